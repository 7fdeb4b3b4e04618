"""The keys of events that a table holds, as segments: for the index of a new checkpoint, or one that learns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from event_lake.deduplicate.judged import recognised
from event_lake.deduplicate.recognise import KEY, PLACE, Recogniser, read_report
from event_lake.deduplicate.segment import Segment
from event_lake.deletion.lake import hash_of
from event_lake.key import halves_of

MOST_AT_ONCE = 4_000_000  # keys; a task holds its part of them in memory, at 32 bytes each, and sorts it
DAY = 86_400_000_000  # Unix microseconds


def seeded(stored: DataFrame, deleted: DataFrame, recogniser: Recogniser, oldest: int) -> tuple[Segment, ...]:
    """Segments with the keys of all events of the table that arrived at `oldest` (Unix microseconds) or later, and of
    those that were deleted from it (schema.DELETIONS), which a copy must not bring back; but for those that the
    recogniser knows.

    A key is remembered by its event's arrival. An event that was read long after its arrival was remembered by when it
    was read, where the stream's arrival times are out of order; copies within the window are found either way.
    """
    nothing, event_hash = F.lit(None).cast("string"), hash_of("event_uuid")
    kept = stored.select(event_hash.alias("event_hash"), "arrived_at", "payload", *PLACE)
    gone = deleted.select("event_hash", "arrived_at", nothing.alias("payload"), *PLACE)
    every = kept.union(gone.where(F.col("event_hash").isNotNull())).where(F.col("arrived_at") >= _time(oldest))
    recent = every.select(
        nothing.alias("problem"), "event_hash", "arrived_at", F.col("payload").cast("binary").alias("data"), *PLACE
    )
    arrived = F.unix_micros("arrived_at")
    count, first, last = recent.agg(F.count(F.lit(1)), F.min(arrived), F.max(arrived)).collect()[0]
    segments: list[Segment] = []
    for start, stop in _spans(first, last, min(recogniser.block, DAY), count) if count else ():
        rows = recent.where((F.col("arrived_at") >= _time(start)) & (F.col("arrived_at") < _time(stop)))
        told = recognised(_keyed(rows), recogniser).where(F.col("report").isNotNull()).select("report").collect()
        for row in told:
            segments += read_report(row["report"]).segments
    return tuple(segments)


def _keyed(rows: DataFrame) -> DataFrame:
    """With the columns KEY, made as for a parsed record."""
    schema = StructType([*rows.schema, *(StructField(name, LongType()) for name in KEY)])
    return rows.mapInArrow(_with_keys, schema)


def _with_keys(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        halves = halves_of([bytes.fromhex(digest) for digest in batch.column("event_hash").to_pylist()])
        columns = [*batch.columns, *(pa.array(half, pa.int64()) for half in halves)]
        yield pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names, *KEY])


def _spans(first: int, last: int, unit: int, count: int) -> Iterator[tuple[int, int]]:
    """Spans of arrival time, of whole units, with a bearable number of keys each if these have come evenly."""
    length = unit * max(1, (last - first + 1) * MOST_AT_ONCE // (count * unit))
    for start in range(first // unit * unit, last + 1, length):
        yield start, min(start + length, last + 1)  # few keys in a long time would go beyond what a time can be


def _time(moment: int) -> Column:
    return F.timestamp_micros(F.lit(moment))
