"""The lake's tables as the audit finds them: each at one version, and how far the newest commit says they go.

Every row becomes a claim: this record is here, with these contents. Contents are compared by a hash of 64 bits
(xxHash): two that differ by accident are taken for equal once in 2^64.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from event_lake.config import Lake
from event_lake.errors import ConfigError
from event_lake.mark import source_offset
from event_lake.schema import DELETIONS, DUPLICATES, EVENTS, GAPS, HOUR, PLACE, QUARANTINE
from event_lake.storage import Storage

EVENTS_TABLE, DUPLICATES_TABLE, QUARANTINE_TABLE, GAPS_TABLE = "events", "duplicates", "quarantine", "gaps"
DELETIONS_TABLE = "deletions"
EPOCH = datetime.fromtimestamp(0, UTC)
COMMITS = 100  # of the newest are looked at first: to read a long history is slow


@dataclass(frozen=True)
class Reach:
    """How far the events table goes, by the mark in the commit of its newest micro-batch of the stream."""

    end_offset: str  # positions of all shards
    complete_through: str | None  # ISO 8601: every record that arrived before is in; null where that is not known


class LakeTables:
    """Reads one lake; never writes."""

    def __init__(self, spark: SparkSession, storage: Storage, lake: Lake) -> None:
        self._spark, self._storage, self._format = spark, storage, lake.format
        self.paths = {
            EVENTS_TABLE: storage.qualified(lake.path),
            DUPLICATES_TABLE: storage.qualified(lake.duplicates_path),
            QUARANTINE_TABLE: storage.qualified(lake.quarantine_path),
            GAPS_TABLE: storage.qualified(lake.gaps_path),
            DELETIONS_TABLE: storage.qualified(lake.deletions_path),
        }
        # Events first: the others are committed before them, so what these hold of its micro-batches is there; and what
        # is deleted from any has been written down before.
        self.versions = {name: self.newest_version(name) for name in self.paths}

    def reach(self) -> Reach:
        """Raises ConfigError where no micro-batch is stored yet."""
        mark = self._mark_of_commit() if self._format == "delta" else self._mark_of_files()
        if mark is None:
            raise ConfigError(
                f"{self.paths[EVENTS_TABLE]} holds no micro-batch of this job, so there is nothing to audit. Is "
                "lake.path right?"
            )
        return Reach(mark["end_offset"], mark["complete_through"])

    def events(self, since: datetime, until: datetime) -> DataFrame:
        """Rows that arrived from `since` to `until`, both included: PLACE, arrived_at, event_uuid, content and payload
        as hashes."""
        rows = self._arrived(EVENTS_TABLE, EVENTS, since, until)
        hour = F.col(HOUR) if HOUR in rows.columns else F.lit(None)
        # An event may be as old as it likes when it arrives, but at most a day younger.
        return rows.where(F.col("date") <= F.lit(until.date() + timedelta(days=1))).select(
            *PLACE,
            "arrived_at",
            "event_uuid",
            F.xxhash64("payload").alias("payload_hash"),
            content_of_event(F.col("payload"), F.col("date"), hour).alias("content"),
        )

    def is_by_hour(self) -> bool:
        """Whether the events table is partitioned by the hour, too."""
        return HOUR in self._rows(EVENTS_TABLE, EVENTS).columns

    def duplicates(self, since: datetime, until: datetime) -> DataFrame:
        """PLACE, arrived_at, content, first_arrived_at, same_payload."""
        content = content_of_duplicate(F.col("date")).alias("content")
        rows = self._of_days(DUPLICATES_TABLE, DUPLICATES, since, until)
        return rows.select(*PLACE, "arrived_at", content, "first_arrived_at", "same_payload")

    def quarantine(self, since: datetime, until: datetime) -> DataFrame:
        """PLACE, arrived_at, content, problem."""
        return self._of_days(QUARANTINE_TABLE, QUARANTINE, since, until).select(
            *PLACE, "arrived_at", content_of_quarantine(F.col("data"), F.col("date")).alias("content"), "problem"
        )

    def payloads(self, since: datetime, until: datetime) -> DataFrame:
        """Of stored events: PLACE and payload."""
        return self._arrived(EVENTS_TABLE, EVENTS, since, until).select(*PLACE, "payload")

    def gaps(self) -> DataFrame:
        """Every recorded gap (schema.GAPS)."""
        return self._rows(GAPS_TABLE, GAPS)

    def deleted(self, since: datetime, until: datetime) -> DataFrame:
        """Of rows that were deleted on purpose, and had arrived from `since` to `until`: PLACE, event_hash, and
        is_event (it was in the events table)."""
        rows = self._of_days(DELETIONS_TABLE, DELETIONS, since, until)
        return rows.select(*PLACE, "event_hash", (F.col("table_name") == EVENTS_TABLE).alias("is_event"))

    def names(self, table: str, since: datetime, until: datetime) -> DataFrame:
        """PLACE, event_uuid and event_name: to name a row that the stream does not have."""
        schema = {EVENTS_TABLE: EVENTS, DUPLICATES_TABLE: DUPLICATES, QUARANTINE_TABLE: QUARANTINE}[table]
        return self._arrived(table, schema, since, until).select(*PLACE, "event_uuid", "event_name")

    def _of_days(self, table: str, schema: StructType, since: datetime, until: datetime) -> DataFrame:
        """Of a table that is partitioned by the date of arrival."""
        days = F.col("date").between(F.lit(since.date()), F.lit(until.date()))
        return self._arrived(table, schema, since, until).where(days)

    def _arrived(self, table: str, schema: StructType, since: datetime, until: datetime) -> DataFrame:
        return self._rows(table, schema).where(F.col("arrived_at").between(moment(since), moment(until)))

    def _rows(self, table: str, schema: StructType) -> DataFrame:
        path, version = self.paths[table], self.versions[table]
        if version is not None:
            return self._spark.read.format("delta").option("versionAsOf", version).load(path)
        if self._format != "delta" and self._storage.exists(path):
            return self._spark.read.schema(schema).format(self._format).load(path)
        return self._spark.createDataFrame([], schema)

    def newest_version(self, table: str) -> int | None:
        """Of a Delta table; None where there is none, or where it has another format."""
        path = self.paths[table]
        if self._format != "delta" or not DeltaTable.isDeltaTable(self._spark, path):
            return None
        return int(DeltaTable.forPath(self._spark, path).history(1).select("version").collect()[0][0])

    def _mark_of_commit(self) -> dict[str, Any] | None:
        version = self.versions[EVENTS_TABLE]
        if version is None:
            return None
        table = DeltaTable.forPath(self._spark, self.paths[EVENTS_TABLE])
        for history in (table.history(COMMITS), table.history()):
            commits = history.where(F.col("version") <= version).orderBy("version", ascending=False)
            for row in commits.select("userMetadata").collect():
                mark = json.loads(row["userMetadata"]) if (row["userMetadata"] or "").startswith("{") else {}
                if "shards" in source_offset(mark.get("end_offset", "{}")):  # a backfill may have come behind it
                    return dict(mark)
        return None

    def _mark_of_files(self) -> dict[str, Any] | None:
        """Of all queries that have written here, the one that has come furthest."""
        marks: list[dict[str, Any]] = []
        for query in self._storage.entries(f"{self.paths[EVENTS_TABLE]}/_batches"):
            names = {entry.name for entry in self._storage.entries(query.path)}
            done = [int(name.partition(".")[0]) for name in names if name.endswith(".done")]
            if done and f"{max(done)}.manifest" in names:
                text = self._storage.read_text(f"{query.path}/{max(done)}.manifest")
                marks.append(json.loads(text)["mark"])
        return max(marks, key=lambda mark: mark["complete_through"] or "", default=None)


def moment(when: datetime) -> Column:
    """An aware time as a literal."""
    return F.timestamp_micros(F.lit((when - EPOCH) // timedelta(microseconds=1)))


def time_of(micros: int) -> datetime:
    """Unix microseconds as an aware time."""
    return EPOCH + timedelta(microseconds=micros)


def hash_of_uuid() -> Column:
    """Of event_uuid, as the deletions table has it."""
    return F.sha2(F.col("event_uuid").cast("binary"), 256)


def content_of_event(payload: Column, date: Column, hour: Column) -> Column:
    """A hash of all that the events table says of a record, but for when it was stored. Spark's hash passes over nulls,
    as of the hour where the table has none; the subtype's gets a value of its own."""
    subtype = F.coalesce("event_subtype", F.lit("\0"))
    named = ("event_uuid", "event_name", "event_type", subtype, "created_at", "created_datetime", "arrived_at")
    return F.xxhash64(*named, date, hour.cast("int"), payload)


def content_of_duplicate(date: Column, partition_key: Column | None = None) -> Column:
    """The same of the duplicates table, but for what it says of the first copy."""
    key = F.col("partition_key") if partition_key is None else partition_key
    return F.xxhash64("event_uuid", "event_name", "event_type", "arrived_at", key, date)


def content_of_quarantine(data: Column, date: Column) -> Column:
    """The same of the quarantine table, but for why."""
    return F.xxhash64(data, "arrived_at", date)
