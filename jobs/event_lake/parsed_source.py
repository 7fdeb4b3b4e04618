"""The Kinesis source with parsing in it: records are parsed where they are read.

As a step of its own in Spark's plan, parsing takes every record from a Python process through the JVM to another and
back. So this is `kinesis-exact` with other columns: same offsets, same options, one more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql.types import StructType

import kinesis_source
from event_lake.parse import parsed
from event_lake.schema import PARSED_RECORD
from kinesis_source.data_source import DataSourceStreamReader, InputPartition
from kinesis_source.options import Options
from kinesis_source.source import KinesisStreamReader

if TYPE_CHECKING:
    from event_lake.contracts.contract_set import ContractSet

UNPACKED_OPTION = "mostUnpacked"


class ParsedKinesis(kinesis_source.KinesisDataSource):
    """Columns: schema.PARSED_RECORD. Options: those of `kinesis-exact`, and `mostUnpacked`, see `parse`."""

    contracts: ContractSet | None = None

    @classmethod
    def name(cls) -> str:
        return "event-lake-kinesis"

    def schema(self) -> StructType:  # type: ignore[override]
        return PARSED_RECORD

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:
        options = {name: value for name, value in self.options.items() if name.lower() != UNPACKED_OPTION.lower()}
        return ParsedStreamReader(Options.parse(options), int(self.options[UNPACKED_OPTION]), self.contracts)


def parsed_kinesis(contracts: ContractSet | None) -> type[ParsedKinesis]:
    """The source that holds good events against these contracts.

    They travel in the class itself, which Spark keeps as bytes, and then in the reader, which goes to the workers. As
    an option they would stand in every plan (Spark 4.1.1, seen); files the workers, without Hadoop, cannot read.
    """
    if not contracts:
        return ParsedKinesis
    held_against = contracts

    class ParsedByContracts(ParsedKinesis):
        contracts = held_against

    return ParsedByContracts


class ParsedStreamReader(KinesisStreamReader):
    """Plans and reads as the exact source does; what is read is parsed before Spark has it."""

    def __init__(self, options: Options, most_unpacked: int, contracts: ContractSet | None) -> None:
        super().__init__(options)
        self._most_unpacked = most_unpacked
        self._contracts = contracts

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        return parsed(super().read(partition), self._most_unpacked, self._contracts)

    def __getstate__(self) -> dict[str, Any]:
        own = {"_most_unpacked": self._most_unpacked, "_contracts": self._contracts}
        return {**super().__getstate__(), **own}
