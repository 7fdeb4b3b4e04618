"""The lake's tables as a deletion reads them: the rows that it means, and the record of what was deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from event_lake.config import Lake
from event_lake.deletion.condition import MATCHES, Search
from event_lake.delta_log import DeltaLog
from event_lake.delta_table import DeltaTableWriter
from event_lake.file_table import OPTIONS
from event_lake.schema import (
    DELETIONS,
    DELETIONS_PARTITIONS,
    DUPLICATES,
    DUPLICATES_PARTITIONS,
    EVENTS_LAYOUTS,
    PLACE,
    QUARANTINE,
    QUARANTINE_PARTITIONS,
    REPLAYED,
)
from event_lake.storage import Storage
from event_lake.stored_rows import is_there, read_rows
from kinesis_source.worker import forget_zip_finders

FILE = "_file"  # of plain formats: where the row is, as Spark writes a path
# What is known of a row that a condition means, or may mean.
FOUND = StructType(
    [
        StructField("shard_id", StringType()),
        StructField("sequence_number", StringType()),
        StructField("sub_sequence_number", LongType()),
        StructField("event_uuid", StringType()),
        StructField("arrived_at", TimestampType()),
        StructField("day", StringType()),  # the partition's date
        StructField(FILE, StringType()),
        StructField("verdict", StringType()),  # of condition.Search.judge
    ]
)


@dataclass(frozen=True)
class Table:
    """A table that may hold something of a person, and its column with the record."""

    name: str
    path: str
    schema: StructType
    partitions: Sequence[str]
    body: str


def deleted_events(spark: SparkSession, storage: Storage, lake: Lake) -> DataFrame:
    """What was deleted from the events table (schema.DELETIONS): no copy of it may come back."""
    return LakeRows(spark, storage, lake).record().where(F.col("table_name") == "events")


class LakeRows:
    """Reads the tables of one lake, and writes its record of deletions."""

    def __init__(self, spark: SparkSession, storage: Storage, lake: Lake) -> None:
        self._spark, self._storage, self.format = spark, storage, lake.format
        self._record_path = storage.qualified(lake.deletions_path)
        path = storage.qualified
        # In the order in which rows are taken out: of an event that is still there its copies can be found again.
        self.tables = (
            Table("duplicates", path(lake.duplicates_path), DUPLICATES, DUPLICATES_PARTITIONS, "payload"),
            Table("quarantine", path(lake.quarantine_path), QUARANTINE, QUARANTINE_PARTITIONS, "data"),
            Table("replayed", path(lake.replayed_path), REPLAYED, QUARANTINE_PARTITIONS, "data"),
            Table("events", path(lake.path), *EVENTS_LAYOUTS[lake.partition_by], "payload"),
        )

    def exists(self, path: str) -> bool:
        return is_there(self._storage, self.format, path)

    def found(self, search: Search) -> dict[str, DataFrame]:
        """By table: the rows (FOUND) that a condition means or may mean, read once and kept."""
        kept = {table.name: self._searched(table, search).localCheckpoint() for table in self.tables}
        duplicates = self.tables[0]
        deleted = self.record().where(F.col("table_name") == "events").select("event_hash")
        is_meant = F.col("verdict") == MATCHES
        now = kept["events"].where(is_meant).select(hash_of("event_uuid").alias("event_hash"))
        copies = (
            self._rows(duplicates)
            .select(*_told(self._file()), F.lit(MATCHES).alias("verdict"), hash_of("event_uuid").alias("event_hash"))
            .join(deleted.union(now).distinct(), "event_hash", "left_semi")
            .select(FOUND.fieldNames())
        )
        by_payload = kept["duplicates"].where(is_meant)
        same = same_place("c", "p") & F.col(f"c.{FILE}").eqNullSafe(F.col(f"p.{FILE}"))
        others = copies.alias("c").join(by_payload.alias("p"), same, "left_anti")
        return {**kept, "duplicates": by_payload.union(others).localCheckpoint()}

    def _searched(self, table: Table, search: Search) -> DataFrame:
        rows = self._rows(table).select(*_told(self._file()), F.col(table.body).cast("binary").alias("body"))
        return rows.mapInArrow(partial(_search, search), FOUND)

    def _rows(self, table: Table) -> DataFrame:
        return self._read(table.path, table.schema)

    def _read(self, path: str, schema: StructType) -> DataFrame:
        if not self.exists(path):
            return self._spark.createDataFrame([], StructType([*schema, StructField("_metadata", _METADATA)]))
        return read_rows(self._spark, self.format, path, schema)

    def _file(self) -> Column:
        return F.lit(None).cast("string") if self.format == "delta" else F.col("_metadata.file_path")

    # The record

    def record(self) -> DataFrame:
        """What was deleted until now (schema.DELETIONS)."""
        return self._read(self._record_path, DELETIONS).select(DELETIONS.fieldNames())

    def write_down(self, chosen: dict[str, DataFrame], deletion_id: str) -> None:
        """Adds the rows (FOUND) of each table to the record, but for those that are in it. Where this is killed, and
        for plain formats came half into it, the next time adds the rest."""
        parts = [
            rows.select(
                F.lit(deletion_id).alias("deletion_id"),
                F.lit(name).alias("table_name"),
                *PLACE,
                hash_of("event_uuid").alias("event_hash"),
                "arrived_at",
                F.current_timestamp().alias("deleted_at"),
                F.to_date("arrived_at").alias("date"),
            )
            for name, rows in chosen.items()
        ]
        is_known = same_place("n", "k") & (F.col("n.table_name") == F.col("k.table_name"))
        every = reduce(DataFrame.union, parts).distinct()
        new = every.alias("n").join(self.record().alias("k"), is_known, "left_anti").localCheckpoint()
        if new.isEmpty():
            return
        if self.format == "delta":
            log = DeltaLog(self._spark, self._storage, self._record_path)
            DeltaTableWriter(self._spark, log, "deletions", DELETIONS, DELETIONS_PARTITIONS).create()
        writer = new.coalesce(1).write.format(self.format).mode("append").partitionBy(*DELETIONS_PARTITIONS)
        writer.options(**OPTIONS.get(self.format, {})).save(self._record_path)


_METADATA = StructType([StructField("file_path", StringType())])


def same_place(left: str, right: str) -> Column:
    """Whether two rows are of one record; a source may leave a part of the place null."""
    return reduce(Column.__and__, (F.col(f"{left}.{name}").eqNullSafe(F.col(f"{right}.{name}")) for name in PLACE))


def hash_of(column: str) -> Column:
    """Of an event_uuid, as the record has it."""
    return F.sha2(F.col(column).cast("binary"), 256)


def _told(file: Column) -> list[Column]:
    """FOUND but for the verdict, of a table's row."""
    named = [F.col(name) for name in (*PLACE, "event_uuid", "arrived_at")]
    return [*named, F.col("date").cast("string").alias("day"), file.alias(FILE)]


def _search(search: Search, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """FOUND but for the verdict, and `body`, in; FOUND out, without rows that no condition means."""
    forget_zip_finders()
    for batch in batches:
        verdicts = pa.array([search.judge(body) for body in batch.column("body").to_pylist()], pa.string())
        known = batch.drop_columns(["body"]).append_column("verdict", verdicts)
        yield known.filter(verdicts.is_valid())
