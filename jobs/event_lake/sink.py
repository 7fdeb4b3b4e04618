"""One micro-batch into two tables, each exactly once, whatever Spark replays.

Quarantine is written first and events last: an events commit therefore says that its micro-batch is wholly stored,
and carries the micro-batch's end offset, so that a table can be held against a checkpoint.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from event_lake.config import Lake
from event_lake.delta_table import DeltaTableWriter
from event_lake.file_table import FileTableWriter
from event_lake.schema import EVENTS, EVENTS_PARTITIONS, QUARANTINE, QUARANTINE_PARTITIONS
from event_lake.storage import Storage


@dataclass(frozen=True)
class BatchMark:
    """What names a micro-batch in the tables: the query, its number, and where it ends in the source."""

    query_id: str
    batch_id: int
    end_offset: str
    complete_through: str | None  # ISO 8601: everything that arrived before it is in; null where the source cannot tell

    @property
    def offset_hash(self) -> str:
        return hashlib.sha256(self.end_offset.encode()).hexdigest()

    @property
    def lag_seconds(self) -> float:
        """How long the next record of the slowest shard had been waiting when this was planned; 0 at the tip, and where
        the source does not tell."""
        offset = json.loads(self.end_offset)
        lag = offset.get("lag") if isinstance(offset, dict) else None
        return max(lag.values()) if lag else 0.0

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "offset_hash": self.offset_hash}, sort_keys=True)


class TableWriter(Protocol):
    """What a format must be able to do."""

    def create(self) -> None:
        """Makes the table where there is none; called once, before the first micro-batch."""

    def is_written(self, mark: BatchMark) -> bool:
        """Whether the table holds this micro-batch.

        Raises DataLossError where it holds a later one, or another one under this number: the checkpoint is older than
        the table, and the rows would be taken for written.
        """

    def append(self, rows: DataFrame, mark: BatchMark) -> None:
        """Adds the rows of a micro-batch that is not written yet, all or none, and its mark with them."""


@dataclass(frozen=True)
class Volume:
    """Rows and bytes of a micro-batch bound for one partition of a table."""

    good: bool
    kind: str  # the event type, or the problem where it is not good
    day: str | None  # the date, ISO 8601
    rows: int
    data_bytes: int


def volumes(batch: DataFrame) -> list[Volume]:
    """Runs the micro-batch (it should be persisted) and says how much of it goes where."""
    good = F.col("problem").isNull()
    kind = F.coalesce(F.col("problem"), F.col("event_type"))
    day = F.when(good, _date("created_datetime")).otherwise(_date("arrived_at"))
    found: Sequence[Row] = (
        batch.groupBy(good.alias("good"), kind.alias("kind"), day.cast("string").alias("day"))
        .agg(F.count(F.lit(1)).alias("rows"), F.sum(F.length("data")).alias("data_bytes"))
        .collect()
    )
    return [Volume(row["good"], row["kind"], row["day"], row["rows"], row["data_bytes"] or 0) for row in found]


class EventSink:
    """The events table and the quarantine table."""

    def __init__(self, spark: SparkSession, storage: Storage, lake: Lake) -> None:
        self._most_bytes = lake.target_file_size.count
        self._parallelism = spark.sparkContext.defaultParallelism

        def table(path: str, role: str, schema: StructType, partitions: Sequence[str]) -> TableWriter:
            path = storage.qualified(path)
            if lake.format == "delta":
                return DeltaTableWriter(spark, path, role, schema, partitions)
            return FileTableWriter(storage, path, lake.format, schema, partitions)

        self._events = table(lake.path, "events", EVENTS, EVENTS_PARTITIONS)
        self._quarantine = table(lake.quarantine_path, "quarantine", QUARANTINE, QUARANTINE_PARTITIONS)

    def create(self) -> None:
        self._events.create()
        self._quarantine.create()

    def write(self, batch: DataFrame, parts: Sequence[Volume], mark: BatchMark, now: datetime) -> None:
        """Stores a persisted micro-batch of parsed records (schema.PARSED_RECORD); `now` becomes their stored_at."""
        # Both are asked before either is written: a refusal must leave nothing behind. Events first, it has no gaps.
        events_written, quarantine_written = self._events.is_written(mark), self._quarantine.is_written(mark)
        if (bad := [part for part in parts if not part.good]) and not quarantine_written:
            rows = quarantined(batch.where(F.col("problem").isNotNull()))
            self._quarantine.append(self._gathered(rows, bad, "problem", now), mark)
        if not events_written:
            good = [part for part in parts if part.good]
            rows = stored(batch.where(F.col("problem").isNull()))
            self._events.append(self._gathered(rows, good, "event_type", now), mark)

    def _gathered(self, rows: DataFrame, parts: Sequence[Volume], kind: str, now: datetime) -> DataFrame:
        """Adds `stored_at`, and brings the rows of one partition into one task, so that they become one file.

        What differs from one micro-batch to the next is joined, not written into expressions: Spark would generate and
        compile other code for each micro-batch.
        """
        tasks, numbers = placed(parts, self._most_bytes, 2 * self._parallelism)
        table = pa.table(
            {
                "_kind": pa.array([part.kind for part in numbers], pa.string()),
                "_day": pa.array([part.day for part in numbers], pa.string()),
                "_tasks": pa.array(list(numbers.values()), pa.list_(pa.int32())),
                "stored_at": pa.array([now] * len(numbers), pa.timestamp("us", tz="UTC")),
            }
        )
        places = rows.sparkSession.createDataFrame(table).withColumn("_day", F.to_date("_day"))
        here = F.col(kind).eqNullSafe(F.col("_kind")) & F.col("date").eqNullSafe(F.col("_day"))
        # A too big partition is spread by where its records came from: that differs even where a producer sends the
        # same bytes for ever.
        origin = F.xxhash64("shard_id", "sequence_number", "sub_sequence_number")
        piece = F.when(F.size("_tasks") > 1, F.pmod(origin, F.size("_tasks"))).otherwise(0)
        placed_rows = rows.join(F.broadcast(places), here, "left")
        return placed_rows.repartitionById(tasks, F.get("_tasks", piece.cast("int")))


def placed(parts: Sequence[Volume], most_bytes: int, most_tasks: int) -> tuple[int, dict[Volume, list[int]]]:
    """With how many tasks to write, and which of them writes which partition: the largest first, to the least laden.

    A partition is written by one task, or by as many as it takes for each to have about `most_bytes` at most.
    """
    pieces = {part: part.data_bytes // most_bytes + 1 for part in parts}
    tasks = max(1, min(sum(pieces.values()), most_tasks), *pieces.values())
    loads = [(0.0, number) for number in range(tasks)]
    places: dict[Volume, list[int]] = {}
    for part in sorted(parts, key=lambda part: part.data_bytes, reverse=True):
        chosen = [heapq.heappop(loads) for _ in range(pieces[part])]
        for load, number in chosen:
            heapq.heappush(loads, (load + part.data_bytes / pieces[part], number))
        places[part] = [number for _, number in chosen]
    return tasks, places


def stored(good: DataFrame) -> DataFrame:
    """Good parsed records as rows of the events table (schema.EVENTS), but for `stored_at`."""
    return good.select(
        "event_uuid",
        "event_name",
        "event_type",
        "event_subtype",
        "created_at",
        "created_datetime",
        F.col("data").cast("string").alias("payload"),
        "arrived_at",
        "shard_id",
        "sequence_number",
        "sub_sequence_number",
        _date("created_datetime").alias("date"),
    )


def quarantined(bad: DataFrame) -> DataFrame:
    """Bad parsed records as rows of the quarantine table (schema.QUARANTINE), but for `stored_at`."""
    return bad.select(
        "problem",
        "detail",
        "data",
        "event_uuid",
        "event_name",
        "arrived_at",
        "shard_id",
        "sequence_number",
        "sub_sequence_number",
        _date("arrived_at").alias("date"),
    )


def _date(column: str) -> Column:
    return F.to_date(F.col(column))
