"""Duplicates, found anew: of every good record that is not stored, the event that is; and events stored twice.

The pipeline knows a window; the audit looks as far back in the events table as it is told.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from event_lake.audit.accounts import ALTERED, COPY, COUNTED, DUPLICATE, MISSING
from event_lake.audit.tables import hash_of_uuid
from event_lake.schema import PLACE

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
MOST_COPIED = 5


def stored_events(events: DataFrame) -> DataFrame:
    """By event_uuid: `copies` (rows in the events table), stored_arrived_at (the earliest's), stored_hash (of its
    payload)."""
    return events.groupBy("event_uuid").agg(
        F.count(F.lit(1)).alias("copies"),
        F.min("arrived_at").alias("stored_arrived_at"),
        F.min_by("payload_hash", "arrived_at").alias("stored_hash"),
    )


def judged_copies(accounts: DataFrame, stored: DataFrame, deleted: DataFrame, only_counted: bool) -> DataFrame:
    """The accounts of copies, settled: `became` and, where the event is stored, stored_arrived_at, is_identical,
    gap_seconds and another_first (the duplicates table names another first copy). `deleted`: event_hash of events that
    were stored and then deleted on purpose. `only_counted`: the engine lists no duplicates."""
    gone = deleted.select("event_hash", F.lit(True).alias("_was_stored")).distinct()
    hashed = accounts.where(F.col("became") == COPY).withColumn("event_hash", hash_of_uuid())
    copies = hashed.join(stored, "event_uuid", "left").join(gone, "event_hash", "left")
    listed, is_stored = F.col("in_duplicates") == 1, F.col("copies").isNotNull()
    was_stored = F.coalesce("_was_stored", F.lit(False))
    another = listed & ~F.col("first_arrived_at").eqNullSafe(F.col("stored_arrived_at"))
    identical = F.col("payload_hash") == F.col("stored_hash")
    # Of several stored copies, or of one that is not stored any more, the audit cannot tell what it was compared with.
    misjudged = listed & ~another & (F.col("copies") == 1) & ~F.col("same_payload").eqNullSafe(identical)
    became = (
        F.when(~is_stored & ~was_stored, MISSING)
        .when((listed & F.col("is_altered")) | misjudged, ALTERED)
        .when(listed, DUPLICATE)
        .otherwise(COUNTED if only_counted else MISSING)
    )
    gap = (F.unix_micros("arrived_at") - F.unix_micros("stored_arrived_at")) / 1_000_000
    return copies.withColumns(
        {"became": became, "is_identical": identical, "another_first": another, "gap_seconds": gap}
    ).drop("event_hash", "_was_stored")


def stored_twice(records: DataFrame, events: DataFrame, stored: DataFrame) -> DataFrame:
    """Records of the range that the events table holds although it holds an earlier one with their event_uuid: the
    columns of `records`, stored_arrived_at, is_identical and gap_seconds."""
    repeated = stored.where(F.col("copies") > 1).select("event_uuid", "stored_arrived_at", "stored_hash")
    # A row that is there twice is one record, and no copy of itself.
    rows = events.join(repeated, "event_uuid").dropDuplicates(list(PLACE))
    order = ("arrived_at", "shard_id", F.length("sequence_number"), "sequence_number", "sub_sequence_number")
    place = F.row_number().over(Window.partitionBy("event_uuid").orderBy(*order))
    later = rows.withColumn("_place", place).where("_place > 1").select(*PLACE, "stored_arrived_at", "stored_hash")
    gap = (F.unix_micros("arrived_at") - F.unix_micros("stored_arrived_at")) / 1_000_000
    identical = F.col("payload_hash") == F.col("stored_hash")
    return records.join(later, list(PLACE)).withColumns({"is_identical": identical, "gap_seconds": gap})


def summary(copies: DataFrame) -> dict[str, Any]:
    """What the duplicates of the range are, as far as their events are stored: how many are copies byte for byte, how
    far they are from the stored one, and which events have the most."""
    found = copies.where(F.col("became").isin(DUPLICATE, COUNTED, ALTERED) & F.col("copies").isNotNull())
    apart = F.abs("gap_seconds")
    numbers = {
        "listed": F.col("in_duplicates") == 1,
        "only_counted": F.col("became") == COUNTED,
        "byte_for_byte": F.col("is_identical"),
        "same_uuid_only": ~F.col("is_identical"),
        "another_first_copy": F.col("another_first"),
        **{f"within_a_{name}": apart <= seconds for name, seconds in SECONDS.items()},
        "beyond_a_day": apart > SECONDS["day"],
    }
    row = found.agg(*(F.count_if(condition).alias(name) for name, condition in numbers.items())).collect()[0]
    most = (
        found.groupBy("event_uuid")
        .agg(
            F.count(F.lit(1)).alias("copies"),
            F.count_distinct("partition_key").alias("partition_keys"),
            F.max("gap_seconds").alias("longest_gap_seconds"),
            F.count_if("is_identical").alias("byte_for_byte"),
        )
        .orderBy(F.desc("copies"), "event_uuid")
        .limit(MOST_COPIED)
    )
    return {**row.asDict(), "most_copied": [each.asDict() for each in most.collect()]}
