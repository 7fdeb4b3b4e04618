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

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from event_lake.config import Lake
from event_lake.delta_table import DeltaTableWriter
from event_lake.file_table import FileTableWriter
from event_lake.schema import EVENTS, EVENTS_PARTITIONS, QUARANTINE, QUARANTINE_PARTITIONS
from event_lake.storage import Storage

# Partitions that get a task by their size; a case each in the plan, so not all of thousands.
PLACED_PARTITIONS = 64


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
        batch = batch.withColumn("stored_at", F.lit(now))
        bad = [part for part in parts if not part.good]
        if bad and not quarantine_written:
            rows = quarantined(batch.where(F.col("problem").isNotNull()))
            self._quarantine.append(self._gathered(rows, bad, "problem"), mark)
        if not events_written:
            good = [part for part in parts if part.good]
            rows = stored(batch.where(F.col("problem").isNull()))
            self._events.append(self._gathered(rows, good, "event_type"), mark)

    def _gathered(self, rows: DataFrame, parts: Sequence[Volume], kind: str) -> DataFrame:
        """Rows of one partition in one task, so that they become one file; what is too big for one is spread."""
        tasks, places = placed(parts, self._most_bytes, 2 * self._parallelism)
        task: Column = F.pmod(F.xxhash64(kind, "date"), F.lit(tasks))
        # Spread by where a record came from: that differs even where a producer sends the same bytes for ever.
        origin = F.xxhash64("shard_id", "sequence_number", "sub_sequence_number")
        for part, numbers in places:
            here = F.col(kind).eqNullSafe(part.kind) & F.col("date").eqNullSafe(F.lit(part.day).cast("date"))
            piece = F.pmod(origin, F.lit(len(numbers))).cast("int")
            place = F.element_at(F.array(*map(F.lit, numbers)), piece + 1) if len(numbers) > 1 else F.lit(numbers[0])
            task = F.when(here, place).otherwise(task)
        return rows.repartitionById(tasks, task.cast("int"))


def placed(parts: Sequence[Volume], most_bytes: int, most_tasks: int) -> tuple[int, list[tuple[Volume, list[int]]]]:
    """How many tasks to write with, and which of them write the largest partitions; the small rest is dealt by hash.

    A partition is written by one task, or by as many as it takes for each to have about `most_bytes` at most.
    """
    pieces = {part: part.data_bytes // most_bytes + 1 for part in parts}
    tasks = max(1, min(sum(pieces.values()), most_tasks), *pieces.values())
    loads = [(0.0, number) for number in range(tasks)]
    places: list[tuple[Volume, list[int]]] = []
    for part in sorted(parts, key=lambda part: part.data_bytes, reverse=True):
        if pieces[part] == 1 and len(places) >= PLACED_PARTITIONS:
            break
        chosen = [heapq.heappop(loads) for _ in range(pieces[part])]
        for load, number in chosen:
            heapq.heappush(loads, (load + part.data_bytes / pieces[part], number))
        places.append((part, [number for _, number in chosen]))
    return tasks, places


def stored(good: DataFrame) -> DataFrame:
    """Good parsed records as rows of the events table (schema.EVENTS)."""
    return good.select(
        "event_uuid",
        "event_name",
        "event_type",
        "event_subtype",
        "created_at",
        "created_datetime",
        F.col("data").cast("string").alias("payload"),
        "arrived_at",
        "stored_at",
        "shard_id",
        "sequence_number",
        "sub_sequence_number",
        _date("created_datetime").alias("date"),
    )


def quarantined(bad: DataFrame) -> DataFrame:
    """Bad parsed records as rows of the quarantine table (schema.QUARANTINE)."""
    return bad.select(
        "problem",
        "detail",
        "data",
        "event_uuid",
        "event_name",
        "arrived_at",
        "stored_at",
        "shard_id",
        "sequence_number",
        "sub_sequence_number",
        _date("arrived_at").alias("date"),
    )


def _date(column: str) -> Column:
    return F.to_date(F.col(column))
