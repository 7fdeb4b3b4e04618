"""A lake's tables by name, and the records of its stream, as frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from event_lake.config import Config
from event_lake.config_file import parse_duration, read_config
from event_lake.deduplicate.verdicts import STORED
from event_lake.errors import ConfigError
from event_lake.explore.micro_batches import measured, recounted
from event_lake.explore.shown import use_style
from event_lake.schema import DUPLICATES, EVENTS, GAPS, QUARANTINE
from event_lake.session import create_session
from event_lake.sink import EventSink
from event_lake.source import kinesis_options, raw_kinesis
from event_lake.storage import Storage, configuration_text
from event_lake.stored_rows import is_there, rows_of
from event_lake.upkeep.advice import advice
from event_lake.upkeep.partitions import Partition, partitions

CONFIG_VARIABLE, SETTINGS_VARIABLE = "EVENT_LAKE_CONFIG", "EVENT_LAKE_SET"


def open_lake(config: str = "", settings: Sequence[str] = ()) -> OpenLake:
    """The lake of a job, by its configuration file and `section.key=value` settings that go before it. Without a file:
    what scripts/notebook was given, which stands in EVENT_LAKE_CONFIG and, a setting a line, in EVENT_LAKE_SET.

    Raises ConfigError.
    """
    given = config or os.environ.get(CONFIG_VARIABLE, "")
    if not given:
        raise ConfigError(
            f"no configuration: open_lake needs the job's TOML file, or its path in {CONFIG_VARIABLE}; "
            "scripts/notebook gives one"
        )
    inherited = os.environ.get(SETTINGS_VARIABLE, "").splitlines()
    read = read_config(configuration_text(given), [*inherited, *settings])
    use_style()
    return OpenLake(create_session(read), read)


class OpenLake:
    """Its tables are views: events, duplicates, quarantine, gaps (each empty where it is not there yet), and
    micro_batches (see explore.micro_batches)."""

    def __init__(self, spark: SparkSession, config: Config) -> None:
        self.spark, self.config = spark, config
        self._storage = Storage.of_session(spark)
        lake = config.lake
        self.paths = {
            "events": lake.path,
            "duplicates": lake.duplicates_path,
            "quarantine": lake.quarantine_path,
            "gaps": lake.gaps_path,
        }
        schemas = (EVENTS, DUPLICATES, QUARANTINE, GAPS)
        frames = {name: self._rows(name, schema) for name, schema in zip(self.paths, schemas, strict=True)}
        for name, frame in {**frames, "micro_batches": self._micro_batches(frames)}.items():
            frame.createOrReplaceTempView(name)

    def records(self, last: str) -> DataFrame:
        """What arrived in the stream within the last `"10 minutes"`, as it is there (schema.RAW_RECORD)."""
        since = datetime.now(UTC) - parse_duration("last", last)
        options = kinesis_options(self.config.source, self.spark.sparkContext.defaultParallelism)
        options |= {"startingPosition": since.isoformat(), "endingPosition": "latest"}
        return raw_kinesis(self.spark, options)

    def complete_through(self) -> datetime | None:
        """Everything that arrived before is stored; None where nothing is yet, or the source cannot tell."""
        mark = EventSink(self.spark, self._storage, self.config.lake).tables[STORED].newest_mark(of_shards=True)
        through = mark.complete_through if mark else None
        return datetime.fromisoformat(through) if through else None

    def files(self, table: str) -> pd.DataFrame:
        """Of a Delta table a row for each partition: its files, those that are small, bytes and rows."""
        found = self._partitions(table)
        columns = ("files", "small_files", "data_bytes", "rows")
        values = [[part.name, *(getattr(part, column) for column in columns)] for part in found]
        return pd.DataFrame(values, columns=["partition", *columns])

    def advice(self, table: str) -> list[str]:
        """Where the partitioning of a Delta table does not fit its volume."""
        return advice(self._partitions(table), self._target_file_size)

    @property
    def _target_file_size(self) -> int:
        return self.config.maintenance.target_file_size.count

    def _partitions(self, table: str) -> list[Partition]:
        if not self._is_delta(self.paths[table]):
            return []
        return partitions(self.spark, self.paths[table], self._target_file_size, datetime.now(UTC).date())

    def _micro_batches(self, frames: dict[str, DataFrame]) -> DataFrame:
        path = self.config.metrics.table_path
        if path and self._is_delta(path):
            return measured(self.spark.read.format("delta").load(path))
        return recounted(frames["events"], frames["duplicates"], frames["quarantine"])

    def _rows(self, table: str, schema: StructType) -> DataFrame:
        return rows_of(self.spark, self._storage, self.config.lake.format, self.paths[table], schema)

    def _is_delta(self, path: str) -> bool:
        return is_there(self._storage, "delta", path)
