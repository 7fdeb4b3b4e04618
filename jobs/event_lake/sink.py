"""One micro-batch into its tables, each exactly once, whatever Spark replays.

Quarantine and duplicates are written first and events last: an events commit therefore says that its micro-batch is
wholly stored, and carries the micro-batch's end offset, so that a table can be held against a checkpoint.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from event_lake.config import Lake
from event_lake.deduplicate.verdicts import DUPLICATE, GAP, QUARANTINED, STORED
from event_lake.delta_log import Commit, DeltaLog
from event_lake.delta_table import NO_PROPERTIES, DeltaTableWriter
from event_lake.events_layout import layout_of
from event_lake.file_table import FileTableWriter
from event_lake.hash_join import left_join_by_hash
from event_lake.mark import BatchMark, LastBatch
from event_lake.schema import (
    DUPLICATES,
    DUPLICATES_PARTITIONS,
    GAPS,
    GAPS_PARTITIONS,
    HOUR,
    QUARANTINE,
    QUARANTINE_PARTITIONS,
)
from event_lake.spark_api import frame_of, in_tasks
from event_lake.storage import Storage


class TableWriter(Protocol):
    """What a format must be able to do."""

    @property
    def path(self) -> str:
        """Where the table is, in full."""

    def create(self) -> None:
        """Makes the table where there is none; called once, before the first micro-batch."""

    def is_untouched(self) -> bool:
        """Whether there is no table yet, or an empty one that no query has written to."""

    def last_batch(self, query_id: str) -> LastBatch | None:
        """The last micro-batch of a query that is in the table, or came half into it."""

    def newest_mark(self, of_shards: bool = False) -> BatchMark | None:
        """The last mark that any query has left, or any that reads a stream of shards, where the format can tell which
        one is the last."""

    def is_written(self, mark: BatchMark) -> bool:
        """Whether the table holds this micro-batch.

        Raises DataLossError where it holds a later one, or another one under this number: the checkpoint is older than
        the table, and the rows would be taken for written.
        """

    def partitioned_by(self) -> tuple[str, ...] | None:
        """The partition columns that the table was made with; None where there is nothing yet that has any."""

    def payload_variant(self) -> str | None:
        """What lake.payload_variant was when the table was made; None where there is none."""

    def values(self, column: str) -> set[str]:
        """The values of a partition column, without reading rows."""

    def commit(self, mark: BatchMark) -> Commit | None:
        """How a micro-batch came into the table; None where it did not, or where the format keeps no log."""

    def append(self, rows: DataFrame, mark: BatchMark, may_write: Callable[[], None]) -> None:
        """Adds the rows of a micro-batch that is not written yet, all or none, and its mark with them.

        `may_write` is called right before the table is changed, and raises where this driver must not any more.
        """


@dataclass(frozen=True, slots=True)
class Volume:
    """Rows and bytes of a micro-batch bound for one partition of a table."""

    verdict: str
    kind: str | None  # the event type, or the problem; null where the table is not partitioned by one
    day: str | None  # the date, ISO 8601
    rows: int
    data_bytes: int
    broken: int = 0  # of the stored: rows that break a contract which is only counted
    first_arrival: int | None = None  # Unix microseconds
    greatest_age: int | None = None  # of the stored: microseconds from created_at to arrival


@dataclass(frozen=True, slots=True)
class TableWrite:
    """What was done to one table for a micro-batch."""

    seconds: float
    was_there: bool  # an earlier run of the micro-batch had written it
    stored_at: datetime  # of rows that are new


def volumes(judged: DataFrame) -> list[Volume]:
    """How much of a micro-batch (schema.JUDGED_RECORD) goes where. Its first action runs it: it should be persisted."""
    is_stored = F.col("verdict") == STORED
    kind = F.when(is_stored, F.col("event_type")).otherwise(F.col("problem"))
    day = F.when(is_stored, _date("created_datetime")).otherwise(_date("arrived_at"))
    arrived = F.unix_micros("arrived_at")
    grouped = (
        judged.groupBy("verdict", kind.alias("kind"), day.alias("day"))
        .agg(
            F.count(F.lit(1)).alias("rows"),
            F.sum(F.length("data")).alias("data_bytes"),
            F.count(F.when(is_stored, F.col("detail"))).alias("broken"),
            F.min(arrived).alias("first_arrival"),
            F.max(F.when(is_stored, arrived - F.unix_micros("created_datetime"))).alias("greatest_age"),
        )
        .withColumn("day", F.col("day").cast("string"))
    )
    return [Volume(**(row.asDict() | {"data_bytes": row["data_bytes"] or 0})) for row in grouped.collect()]


class EventSink:
    """The events table, and beside it quarantine, duplicates and gaps."""

    def __init__(self, spark: SparkSession, storage: Storage, lake: Lake) -> None:
        self._most_bytes = lake.target_file_size.count
        self._parallelism = spark.sparkContext.defaultParallelism
        self._duplicate_payloads = lake.duplicate_payloads
        self.layout = layout_of(lake)  # of the events table

        def table(
            path: str,
            role: str,
            schema: StructType,
            partitions: Sequence[str],
            properties: Mapping[str, str] = NO_PROPERTIES,
        ) -> TableWriter:
            path = storage.qualified(path)
            if lake.format == "delta":
                return DeltaTableWriter(
                    spark, DeltaLog(spark, storage, path), role, schema, partitions, properties=properties
                )
            return FileTableWriter(storage, path, lake.format, schema, partitions)

        self._tables: dict[str, TableWriter] = {
            QUARANTINED: table(lake.quarantine_path, "quarantine", QUARANTINE, QUARANTINE_PARTITIONS),
            DUPLICATE: table(lake.duplicates_path, "duplicates", DUPLICATES, DUPLICATES_PARTITIONS),
            GAP: table(lake.gaps_path, "gaps", GAPS, GAPS_PARTITIONS),
            STORED: table(lake.path, "events", self.layout.schema, self.layout.partitions, self.layout.properties),
        }

    @property
    def tables(self) -> Mapping[str, TableWriter]:
        """The tables by the verdict whose rows they hold, in the order in which they are written."""
        return self._tables

    def create(self) -> None:
        """Makes the tables, but for that of gaps: it comes with the first one."""
        for verdict, table in self._tables.items():
            if verdict != GAP:
                table.create()

    def event_types(self) -> set[str]:
        """All that the events table has."""
        return self._tables[STORED].values("event_type")

    def is_begun(self, mark: BatchMark) -> bool:
        """Whether a table holds its part of this micro-batch. Raises DataLossError (see TableWriter.is_written)."""
        return any(table.is_written(mark) for verdict, table in self._tables.items() if verdict != GAP)

    def write(
        self,
        judged: DataFrame,
        parts: Sequence[Volume],
        mark: BatchMark,
        now: datetime,
        may_write: Callable[[], None] = lambda: None,
    ) -> dict[str, TableWrite]:
        """Stores a persisted micro-batch (schema.JUDGED_RECORD); `now` becomes its stored_at. `may_write`: see
        TableWriter.append. Returns, by verdict, what was done to the tables that have a part in it."""
        own = {verdict: [part for part in parts if part.verdict == verdict] for verdict in self._tables}
        tables = {verdict: table for verdict, table in self._tables.items() if own[verdict] or verdict != GAP}
        if own[GAP]:
            may_write()
            tables[GAP].create()
        # All are asked before any is written: a refusal must leave nothing behind. Events first, it leaves none out.
        written = {verdict: table.is_written(mark) for verdict, table in reversed(tables.items())}
        done: dict[str, TableWrite] = {}
        for verdict, table in tables.items():
            if not own[verdict] and verdict != STORED:
                continue
            began = time.monotonic()
            if not written[verdict]:
                rows = self._gathered(self._rows(judged, verdict), own[verdict], now)
                if verdict == STORED:
                    rows = self.layout.completed(rows)  # what can be made of the rest need not change places with it
                table.append(rows, replace(mark, stored_at=now.isoformat()), may_write)
            done[verdict] = TableWrite(time.monotonic() - began, written[verdict], now)
        return done

    def _rows(self, judged: DataFrame, verdict: str) -> DataFrame:
        """The rows of one table, but for `stored_at`, and with `_kind`."""
        rows = judged.where(F.col("verdict") == verdict)
        if verdict == STORED:
            # Where the table has no such level the writer leaves it out.
            return stored(rows).withColumns({"_kind": F.col("event_type"), HOUR: F.hour("created_datetime")})
        if verdict == QUARANTINED:
            return quarantined(rows).withColumn("_kind", F.col("problem"))
        if verdict == GAP:
            return gaps(rows).withColumn("_kind", F.lit(GAP))
        return copies(rows, self._duplicate_payloads).withColumn("_kind", F.lit(None).cast("string"))

    def _gathered(self, rows: DataFrame, parts: Sequence[Volume], now: datetime) -> DataFrame:
        """Adds `stored_at`, and brings the rows of one partition into one task, so that they become one file.

        What differs from one micro-batch to the next is joined, not written into expressions: Spark would generate and
        compile other code for each micro-batch.
        """
        tasks, numbers = placed(parts, self._most_bytes, 2 * self._parallelism)
        table = pa.table(
            {
                "_kind_of": pa.array([part.kind for part in numbers], pa.string()),
                "_day": pa.array([part.day for part in numbers], pa.string()),
                "_tasks": pa.array(list(numbers.values()), pa.list_(pa.int32())),
                "stored_at": pa.array([now] * len(numbers), pa.timestamp("us", tz="UTC")),
            }
        )
        places = frame_of(rows.sparkSession, table).withColumn("_day", F.to_date("_day"))
        # A too big partition is spread by where its records came from: that differs even where a producer sends the
        # same bytes for ever.
        origin = F.xxhash64("shard_id", "sequence_number", "sub_sequence_number")
        piece = F.when(F.size("_tasks") > 1, F.pmod(origin, F.size("_tasks"))).otherwise(0)
        placed_rows = left_join_by_hash(rows, places, {"_kind": "_kind_of", "date": "_day"}, broadcast=True)
        if tasks == 1:
            return placed_rows.coalesce(1)  # no rows have to change places
        return in_tasks(placed_rows, tasks, F.get("_tasks", piece.cast("int")))


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


def copies(duplicates: DataFrame, with_payload: bool) -> DataFrame:
    """Duplicates as rows of their table (schema.DUPLICATES), but for `stored_at`."""
    gap = F.unix_micros("arrived_at") - F.unix_micros("first_arrived_at")
    payload = F.col("data") if with_payload else F.lit(None)
    return duplicates.select(
        "event_uuid",
        "event_name",
        "event_type",
        "arrived_at",
        "first_arrived_at",
        (gap / 1_000_000).alias("gap_seconds"),
        "same_payload",
        payload.cast("string").alias("payload"),
        "shard_id",
        "sequence_number",
        "sub_sequence_number",
        "partition_key",
        _date("arrived_at").alias("date"),
    )


def gaps(lost: DataFrame) -> DataFrame:
    """What the source says of lost records as rows of their table (schema.GAPS), but for `stored_at`, and with where a
    record comes from. The source tells in JSON: see kinesis_source.gap."""
    said = F.from_json("detail", "why string, `from` string, `to` string, since string")
    return lost.select(
        "shard_id",
        said["from"].alias("from_position"),
        said["to"].alias("to_position"),
        said["since"].cast("timestamp").alias("from_time"),
        F.col("arrived_at").alias("to_time"),
        F.coalesce(said["why"], "detail").alias("why"),
        _date("arrived_at").alias("date"),
        "sequence_number",
        "sub_sequence_number",
    )


def _date(column: str) -> Column:
    return F.to_date(F.col(column))
