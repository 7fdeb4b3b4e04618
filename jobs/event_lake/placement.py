"""How much of a micro-batch goes where, and which task writes it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from event_lake.deduplicate.verdicts import STORED
from event_lake.hash_join import left_join_by_hash
from event_lake.spark_api import frame_of, in_tasks


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


def volumes(judged: DataFrame) -> list[Volume]:
    """How much of a micro-batch (schema.JUDGED_RECORD) goes where. Its first action runs it: it should be persisted."""
    is_stored = F.col("verdict") == STORED
    kind = F.when(is_stored, F.col("event_type")).otherwise(F.col("problem"))
    day = F.when(is_stored, F.to_date("created_datetime")).otherwise(F.to_date("arrived_at"))
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


def gathered(rows: DataFrame, parts: Sequence[Volume], now: datetime, most_bytes: int, most_tasks: int) -> DataFrame:
    """Adds `stored_at`, and brings the rows of one partition (by `_kind` and `date`) into one task, so that they become
    one file; `most_bytes` and `most_tasks`: see `placed`.

    What differs from one micro-batch to the next is joined, not written into expressions: Spark would generate and
    compile other code for each micro-batch.
    """
    tasks, numbers = placed(parts, most_bytes, most_tasks)
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
