"""Every record of the stream against every row of the tables, by where it came from: what became of each.

stored quarantined   in the one right table, once, as the stream has it
duplicate            in the duplicates table, and its event is stored (`copies` looks)
counted              in no table: a copy of a stored event, and the engine "spark" only counts those
missing              in no table, or listed as a copy of an event that is not stored
extra                a row that no record of the stream stands behind, or one more than the record's one
misplaced            a good event in quarantine, or a bad record that is not there
altered              in the right table, once, but not as the stream has it
deleted              in no table: its row was deleted on purpose, as the deletions table tells
outside              a row at an edge of the range that belongs to its neighbour
"""

from __future__ import annotations

from functools import partial, reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from event_lake.audit.stream import EDGE, Span, comparable
from event_lake.audit.tables import moment
from event_lake.schema import PLACE

STORED, DUPLICATE, COUNTED, QUARANTINED, OUTSIDE = "stored", "duplicate", "counted", "quarantined", "outside"
DELETED = "deleted"
MISSING, EXTRA, MISPLACED, ALTERED = "missing", "extra", "misplaced", "altered"
COPY = "copy"  # a good record that is not in the events table: what it is, its event says
WRONG = (MISSING, EXTRA, MISPLACED, ALTERED)
# Problems that a good event may have: what a lake asks beyond.
OF_GOOD_EVENTS = ("breaks_contract", "too_many_types")
TABLES = ("in_events", "in_duplicates", "in_quarantine")


def claims(events: DataFrame, duplicates: DataFrame, quarantine: DataFrame) -> DataFrame:
    """What the tables say, a row for each PLACE: how many rows each has (TABLES), `claimed` (their contents),
    row_arrived_at; of a duplicate first_arrived_at and same_payload; of a quarantined record may_be_good."""
    rows = [
        events.select(*PLACE, "arrived_at", "content", *_is_in("in_events")),
        duplicates.select(
            *PLACE, "arrived_at", "content", "first_arrived_at", "same_payload", *_is_in("in_duplicates")
        ),
        quarantine.select(
            *PLACE,
            "arrived_at",
            "content",
            F.col("problem").isin(*OF_GOOD_EVENTS).alias("may_be_good"),
            *_is_in("in_quarantine"),
        ),
    ]
    # One row a place is the rule: max() only has to be right there. What has no shard is from a backfill: no record of
    # the stream stands behind it.
    return (
        reduce(partial(DataFrame.unionByName, allowMissingColumns=True), rows)
        .where(F.col("shard_id").isNotNull())
        .groupBy(*PLACE)
        .agg(
            *(F.sum(name).alias(name) for name in TABLES),
            F.max("content").alias("claimed"),
            F.max("arrived_at").alias("row_arrived_at"),
            F.max("first_arrived_at").alias("first_arrived_at"),
            F.max("same_payload").alias("same_payload"),
            F.max("may_be_good").alias("may_be_good"),
        )
    )


def accounts(records: DataFrame, claimed: DataFrame, deleted: DataFrame, ranges: DataFrame, span: Span) -> DataFrame:
    """The columns of `records` (stream.judged_records) and `claimed` (`claims`), TABLES filled with 0, `is_altered`
    (the one row says something else), and `became` (above, or COPY). `deleted`: PLACE of rows that were."""
    joined = records.join(claimed, list(PLACE), "full_outer").withColumns(
        {
            **{name: F.coalesce(name, F.lit(0)) for name in TABLES},
            "arrived_at": F.coalesce("arrived_at", "row_arrived_at"),
        }
    )
    gone = deleted.select(*PLACE, F.lit(True).alias("was_deleted")).distinct()
    told = joined.join(gone, list(PLACE), "left")
    ranged = told.join(F.broadcast(ranges), "shard_id", "left")
    is_said = F.coalesce(F.col("claimed") == _may_say(), F.lit(False))
    compared = ranged.withColumn("is_altered", (F.col("claimed") != _should_say()) & ~is_said)
    return compared.withColumn("became", _became(span)).drop("low", "high", "row_arrived_at", "was_deleted")


def _should_say() -> Column:
    """The contents of a record's row, by the table that has it."""
    in_events, in_duplicates = F.col("in_events") == 1, F.col("in_duplicates") == 1
    says = F.when(in_events, F.col("as_event")).when(in_duplicates, F.col("as_duplicate"))
    return says.otherwise(F.col("as_quarantined"))


def _may_say() -> Column:
    """A good event that came compressed may have been unpacked before something else was wrong with it; and a copy that
    was in quarantine before has left its partition key behind there."""
    is_copy = F.col("in_duplicates") == 1
    return F.when(F.col("may_be_good"), F.col("as_unpacked")).when(is_copy, F.col("as_replayed"))


def _became(span: Span) -> Column:
    good, rows = F.col("is_good"), sum((F.col(name) for name in TABLES), F.lit(0))
    in_events, in_duplicates, in_quarantine = (F.col(name) == 1 for name in TABLES)
    of_stream = (
        F.when(rows > 1, EXTRA)
        .when((rows == 0) & F.col("was_deleted"), DELETED)
        .when((rows == 0) & good, COPY)
        .when(rows == 0, MISSING)
        .when((good == in_quarantine) & ~F.coalesce("may_be_good", F.lit(False)), MISPLACED)
        .when(in_duplicates, COPY)
        .when(F.col("is_altered"), ALTERED)
        .when(in_events, STORED)
        .otherwise(QUARANTINED)
    )
    return F.when(good.isNotNull(), of_stream).when(_is_of_range(span), EXTRA).otherwise(OUTSIDE)


def _is_of_range(span: Span) -> Column:
    """Of a row without a record: whether the range should have that."""
    number, arrived = comparable(F.col("sequence_number")), F.col("arrived_at")
    within = (number >= F.col("low")) & (number < F.col("high"))
    well_inside = F.lit(True) if span.end is None else arrived < moment(span.end - EDGE)
    if span.offset is not None:
        # The events table is read as it was at that offset: nothing of it lies behind.
        well_inside |= F.col("in_events") > 0
    return F.coalesce(within, F.lit(False)) | ((arrived >= moment(span.start + EDGE)) & well_inside)


def _is_in(table: str) -> list[Column]:
    return [F.lit(int(name == table)).alias(name) for name in TABLES]
