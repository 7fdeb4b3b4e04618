"""The Kinesis source with parsing in it: records are parsed where they are read.

As a step of its own in Spark's plan, parsing takes every record from a Python process through the JVM to another and
back. So this is `kinesis-exact` with other columns: same offsets, same options, one more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.types import StructType

import kinesis_source
from event_lake.parse import parsed
from event_lake.schema import PARSED_RECORD
from kinesis_source.options import Options
from kinesis_source.source import KinesisStreamReader

UNPACKED_OPTION = "mostUnpacked"


class ParsedKinesis(kinesis_source.KinesisDataSource):
    """Columns: schema.PARSED_RECORD. Options: those of `kinesis-exact`, and `mostUnpacked`, see `parse`."""

    @classmethod
    def name(cls) -> str:
        return "event-lake-kinesis"

    def schema(self) -> StructType:  # type: ignore[override]
        return PARSED_RECORD

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:
        options = {name: value for name, value in self.options.items() if name.lower() != UNPACKED_OPTION.lower()}
        return ParsedStreamReader(Options.parse(options), int(self.options[UNPACKED_OPTION]))


class ParsedStreamReader(KinesisStreamReader):
    """Plans and reads as the exact source does; what is read is parsed before Spark has it."""

    def __init__(self, options: Options, most_unpacked: int) -> None:
        super().__init__(options)
        self._most_unpacked = most_unpacked

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        return parsed(super().read(partition), self._most_unpacked)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_most_unpacked": self._most_unpacked}
