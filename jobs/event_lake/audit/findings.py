"""What is wrong, record by record: which one, where it should be and where it is. Never what is in it."""

from __future__ import annotations

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from event_lake.audit.accounts import EXTRA, MISPLACED, MISSING, TABLES, WRONG
from event_lake.audit.stream import comparable
from event_lake.schema import PLACE

STORED_TWICE = "stored_twice"
NOWHERE = "nowhere"
COLUMNS = ("kind", *PLACE, "arrived_at", "event_uuid", "event_name", "should_be_in", "is_in")
LOST_BECAUSE = "lost_because"  # of a missing record that lies in a recorded gap: why


def wrong_accounts(settled: DataFrame) -> DataFrame:
    """COLUMNS, of settled accounts (`became`, `is_good`, TABLES; `copies` where the event was looked for)."""
    wrong = settled.where(F.col("became").isin(*WRONG))
    return wrong.select(
        F.col("became").alias("kind"), *PLACE, "arrived_at", "event_uuid", "event_name", _should_be_in(), _is_in()
    )


def later_copies(found: DataFrame) -> DataFrame:
    """COLUMNS, of events that are stored twice (copies.stored_twice)."""
    return found.select(
        F.lit(STORED_TWICE).alias("kind"),
        *PLACE,
        "arrived_at",
        "event_uuid",
        "event_name",
        F.lit("duplicates").alias("should_be_in"),
        F.lit("events").alias("is_in"),
    )


def named(findings: DataFrame, names: DataFrame) -> DataFrame:
    """Rows that the stream does not have get their names from the tables (PLACE, event_uuid, event_name)."""
    by_place = names.groupBy(*PLACE).agg(F.first("event_uuid").alias("_uuid"), F.first("event_name").alias("_name"))
    joined = findings.join(by_place, list(PLACE), "left")
    filled = {"event_uuid": F.coalesce("event_uuid", "_uuid"), "event_name": F.coalesce("event_name", "_name")}
    return joined.withColumns(filled).select(*COLUMNS)


def with_gaps(findings: DataFrame, gaps: DataFrame) -> DataFrame:
    """And LOST_BECAUSE, null where no gap (schema.GAPS) explains what is missing."""
    number = comparable(F.col("sequence_number"))

    def bound(name: str) -> Column:
        return comparable(F.substring_index(name, ":", -1))

    is_later = F.col("from_time").isNull() | (F.col("arrived_at") >= F.col("from_time"))
    begun = F.when(F.col("from_position").startswith("after:"), number > bound("from_position"))
    begun = begun.when(F.col("from_position").startswith("at:"), number >= bound("from_position")).otherwise(is_later)
    is_earlier = F.col("arrived_at") < F.col("to_time")
    ended = F.when(F.col("to_position").isNotNull(), number < bound("to_position")).otherwise(is_earlier)
    known = gaps.withColumnRenamed("shard_id", "_shard").drop("stored_at", "date")
    within = (F.col("kind") == MISSING) & (F.col("shard_id") == F.col("_shard")) & begun & ended
    explained = findings.join(F.broadcast(known), within, "left").dropDuplicates(["kind", *PLACE])
    return explained.select(*COLUMNS, F.col("why").alias(LOST_BECAUSE))


def sentence(finding: dict[str, Any]) -> str:
    """One line for a person. The names come from outside, so they are quoted."""
    place = "/".join(str(finding[name]) for name in PLACE)
    return (
        f"{finding['kind']} record={place} arrived_at={finding['arrived_at'].isoformat()} "
        f"event_uuid={finding['event_uuid']!r} event_name={finding['event_name']!r} "
        f"should_be_in={finding['should_be_in']!r} is_in={finding['is_in']!r}"
        + (f" lost_because={finding[LOST_BECAUSE]!r}" if finding[LOST_BECAUSE] else "")
    )


def _should_be_in() -> Column:
    good, became = F.col("is_good"), F.col("became")
    of_copy = F.when(F.col("copies").isNull(), "events").otherwise("duplicates")
    return (
        F.when(good.isNull(), NOWHERE)
        .when(~good, "quarantine")
        .when(became == MISSING, of_copy)
        .when(became == MISPLACED, "events, or duplicates")
        .when((became == EXTRA) & (F.col("in_events") > 0), "events")
        .otherwise(F.when(F.col("in_events") > 0, "events").otherwise("duplicates"))
        .alias("should_be_in")
    )


def _is_in() -> Column:
    """`events, quarantine`, with how often where it is more than once."""
    parts = [
        F.when(F.col(name) == 1, table).when(F.col(name) > 1, F.format_string(f"{table} %d times", name))
        for name, table in ((name, name.removeprefix("in_")) for name in TABLES)
    ]
    listed = F.concat_ws(", ", *parts)
    return F.when(listed == "", NOWHERE).otherwise(listed).alias("is_in")
