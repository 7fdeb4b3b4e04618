"""The engine "spark": Spark's own operator, `dropDuplicatesWithinWatermark`, on a watermark that makes no record late.

The watermark runs on arrival, not on `created_at` (a phone that was offline for a week loses nothing), and arrival is
clamped: with n = the micro-batch's clock, event time is `greatest(least(arrived_at, n), n - window)` and the watermark
stays window + margin behind it. So every row is at least `margin` ahead of the watermark, on any source and however old
the backlog, unless the clock itself steps back by more than the margin; that is refused at start, and what is dropped
as late is counted before anything is committed.

A key is remembered for 2 x (window + margin); copies are found while the gap between them plus the lag at which they
are processed stays under that.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.checkpoint import CheckpointLog
from event_lake.config import Dedup
from event_lake.deduplicate.arrived import Arrived
from event_lake.deduplicate.verdicts import GAP, with_verdict
from event_lake.errors import ConfigError
from event_lake.mark import BatchMark
from event_lake.metrics import PlanMetrics, read_plan_metrics
from event_lake.quantiles import summary
from event_lake.spark_api import table_of

SAMPLE = 10_000
SEED = 1


class OperatorEngine:
    """Works in the streaming plan; what reaches the batch writer are first copies and bad records."""

    def __init__(self, spark: SparkSession, checkpoint: CheckpointLog, dedup: Dedup) -> None:
        self._spark = spark
        self._checkpoint = checkpoint
        self._dedup = dedup

    def open(self) -> None:
        planned = self._checkpoint.last_planned()
        # A job of this engine that was killed in its first micro-batch may have left no state; it begins there again.
        if planned and (self._checkpoint.has("seen") or (planned.batch_id and not self._checkpoint.has("state"))):
            raise ConfigError(
                f'dedup.engine is "spark", but the checkpoint {self._checkpoint.path} was written with "index"; the '
                'keys that it remembers cannot be handed over. Set dedup.engine = "index", or start with a new '
                "checkpoint path (docs/operations.md)."
            )

    def learn(self, stored: DataFrame, deleted: DataFrame) -> None:
        raise ConfigError(
            'dedup.engine is "spark", but another query has stored events in the same table (a backfill, a replay), '
            "and Spark's operator cannot be given their keys: copies of them would be stored again. Nothing was read. "
            'Set dedup.engine = "index" and recover from the tables into a new checkpoint path (docs/operations.md).'
        )

    def on_stream(self, parsed: DataFrame) -> DataFrame:
        return deduplicate(parsed, self._dedup.window, self._dedup.margin)

    def judge(self, batch: DataFrame, mark: BatchMark, clock: datetime) -> OperatorJudged:
        return OperatorJudged(self._spark, batch, mark)

    def size(self) -> None:
        """Spark's progress says it, after the micro-batch."""


class OperatorJudged:
    """A micro-batch whose duplicates are gone already; Spark has counted them."""

    def __init__(self, spark: SparkSession, batch: DataFrame, mark: BatchMark) -> None:
        self._spark = spark
        self._batch = batch.persist()
        self._query_id = mark.query_id
        nothing = F.lit(None).cast("timestamp"), F.lit(None).cast("boolean")
        self.rows = with_verdict(batch, F.lit(False), *nothing)

    def counted(self) -> PlanMetrics:
        return read_plan_metrics(self._spark.streams.get(self._query_id))

    def arrived(self, stored: int) -> Arrived:
        """By a look at a sample, since Spark's operator tells nothing; of duplicates nothing is left to look at."""
        arrived = F.unix_micros("arrived_at")
        age = arrived - F.unix_micros("created_datetime")
        is_told = F.col("problem").isNull() & F.col("arrived_at").isNotNull()
        sample = self._batch.where(is_told & (F.rand(SEED) < _share(stored)))
        found = table_of(sample.select(arrived.alias("stored"), age.alias("age")))
        return Arrived(**{name: [summary(found[name].to_numpy())] for name in found.column_names})

    def check(self, stored: int) -> None:
        """Spark keeps no books of its own that could be compared."""

    def remember(self) -> None:
        """Spark has."""

    def withdraw(self) -> None:
        """Spark has remembered the keys; a copy that comes within the window counts as a duplicate."""

    def release(self) -> None:
        self._batch.unpersist()


def _share(rows: int) -> float:
    """The least power of two (1, 0.5, 0.25, ...) that leaves SAMPLE of them: micro-batches of like size then run the
    same generated code. With the number itself in it, Spark would compile it anew for each (seen)."""
    return 2.0 ** -max(0, (rows // SAMPLE).bit_length() - 1)


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
    # Two gaps may be told at one place: their details differ.
    gap = F.when(F.col("problem") == GAP, F.col("detail"))
    return F.when(F.col("problem").isNull(), F.concat(F.lit("g:"), F.col("event_uuid"))).otherwise(
        F.concat_ws(":", F.lit("b"), *place, number, gap)
    )


def clamped_arrival(window: timedelta) -> Column:
    """Arrival time, but neither after the micro-batch's clock nor more than the window before it."""
    now = F.current_timestamp()
    oldest = now - F.expr(f"INTERVAL {int(window.total_seconds())} SECONDS")
    return F.greatest(F.least(F.coalesce(F.col("arrived_at"), now), now), oldest)
