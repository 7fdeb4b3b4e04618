"""Parsed records -> one record for each event_uuid; bad records pass, each of them.

Spark's own operator, `dropDuplicatesWithinWatermark`, on a watermark that can make no record late. The watermark runs
on arrival, not on `created_at` (a phone that was offline for a week loses nothing), and arrival is clamped: with
n = the micro-batch's clock, event time is `greatest(least(arrived_at, n), n - window)` and the watermark stays
window + margin behind it. So every row is at least `margin` ahead of the watermark, on any source and however old
the backlog, unless the clock itself steps back by more than the margin; that is refused at start, and what is dropped
as late is counted before anything is committed.

A key is remembered for 2 x (window + margin); copies are found while the gap between them plus the lag at which they
are processed stays under that.
"""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def deduplicate(parsed: DataFrame, window: timedelta, margin: timedelta) -> DataFrame:
    """Columns: those of schema.PARSED_RECORD, in and out. Keeps one row a key; which copy it is, is not defined."""
    delay = f"{int((window + margin).total_seconds())} seconds"
    return (
        parsed.withColumn("_key", key())
        .withColumn("_event_time", clamped_arrival(window))
        .withWatermark("_event_time", delay)
        .dropDuplicatesWithinWatermark(["_key"])
        .drop("_key", "_event_time")
    )


def key() -> Column:
    """What makes two records copies of one event.

    Never null: to Spark all nulls are one key, and all bad records but one would vanish.
    """
    place = [F.coalesce(F.col(name).cast("string"), F.lit("")) for name in ("shard_id", "sequence_number")]
    number = F.coalesce(F.col("sub_sequence_number").cast("string"), F.lit(""))
    return F.when(F.col("problem").isNull(), F.concat(F.lit("g:"), F.col("event_uuid"))).otherwise(
        F.concat_ws(":", F.lit("b"), *place, number)
    )


def clamped_arrival(window: timedelta) -> Column:
    """Arrival time, but neither after the micro-batch's clock nor more than the window before it."""
    now = F.current_timestamp()
    oldest = now - F.expr(f"INTERVAL {int(window.total_seconds())} SECONDS")
    return F.greatest(F.least(F.coalesce(F.col("arrived_at"), now), now), oldest)
