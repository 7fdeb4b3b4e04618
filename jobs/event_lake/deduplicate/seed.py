"""The index of a new checkpoint, made from the events that a table holds."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from event_lake.deduplicate.judged import recognised
from event_lake.deduplicate.recognise import PLACE, Recogniser
from event_lake.deduplicate.segment import Segment

MOST_AT_ONCE = 4_000_000  # keys; a task holds its part of them in memory, at 32 bytes each, and sorts it


def seeded(stored: DataFrame, recogniser: Recogniser, oldest: int) -> tuple[Segment, ...]:
    """Segments with the keys of all events of the table that arrived at `oldest` (Unix microseconds) or later.

    A key is remembered by its event's arrival. An event that was read long after its arrival was remembered by when it
    was read, where the stream's arrival times are out of order; copies within the window are found either way.
    """
    recent = stored.where(F.col("arrived_at") >= _time(oldest)).select(
        F.lit(None).cast("string").alias("problem"),
        "event_uuid",
        "arrived_at",
        F.col("payload").cast("binary").alias("data"),
        *PLACE,
    )
    arrived = F.unix_micros("arrived_at")
    count, first, last = recent.agg(F.count(F.lit(1)), F.min(arrived), F.max(arrived)).collect()[0]
    segments: list[Segment] = []
    for start, stop in _spans(first, last, recogniser.block, count) if count else ():
        rows = recent.where((F.col("arrived_at") >= _time(start)) & (F.col("arrived_at") < _time(stop)))
        found = recognised(rows, recogniser).where(F.col("segment").isNotNull()).select("segment").collect()
        segments += [Segment(**json.loads(row["segment"])) for row in found]
    return tuple(segments)


def _spans(first: int, last: int, block: int, count: int) -> Iterator[tuple[int, int]]:
    """Spans of arrival time, of whole blocks, with a bearable number of keys each if these have come evenly."""
    length = block * max(1, (last - first + 1) * MOST_AT_ONCE // (count * block))
    for start in range(first // block * block, last + 1, length):
        yield start, start + length


def _time(moment: int) -> Column:
    return F.timestamp_micros(F.lit(moment))
