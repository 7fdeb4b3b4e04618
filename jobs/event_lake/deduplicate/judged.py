"""One micro-batch and its verdicts, by the index: keys go to the Python workers, verdicts come back and are joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.deduplicate.arrived import Arrived
from event_lake.deduplicate.recognise import CREATED, KEY, NOT_TOLD, PLACE, RECOGNISED, Recogniser, read_report
from event_lake.deduplicate.segment import PREFIX_BITS, PREFIXES, Segment
from event_lake.deduplicate.verdicts import with_verdict
from event_lake.errors import AccountingError
from event_lake.hash_join import left_join_by_hash
from event_lake.mark import BatchMark
from event_lake.metrics import PlanMetrics, read_plan_metrics
from event_lake.spark_api import in_tasks

EPOCH = datetime.fromtimestamp(0, UTC)
BROADCAST_ROWS = 200_000

Remember = Callable[[Sequence[Segment], int], None]


class IndexJudged:
    """A micro-batch, looked up when it is made: that runs the micro-batch once."""

    def __init__(
        self, spark: SparkSession, batch: DataFrame, mark: BatchMark, recogniser: Recogniser, remember: Remember
    ) -> None:
        """`spark` is the query's session, not the micro-batch's; `remember` is called with the new segments and the
        watermark that the micro-batch reaches."""
        self._spark = spark
        self._mark = mark
        self._recogniser = recogniser
        self._remember = remember
        self._batch = batch.persist()
        self._found = recognised(batch, recogniser).persist()
        # Each task says how many it found: to count rows would be another stage of tasks.
        told = self._found.where(F.col("report").isNotNull()).select("report").collect()
        self._reports = [read_report(row["report"]) for row in told]
        self._new = [segment for report in self._reports for segment in report.segments]
        duplicates = sum(report.duplicates for report in self._reports)
        self.rows = marked(batch, self._found if duplicates else None, duplicates <= BROADCAST_ROWS)

    def counted(self) -> PlanMetrics:
        return read_plan_metrics(self._spark.streams.get(self._mark.query_id), operator=False)

    def arrived(self, stored: int) -> Arrived:
        return sum((report.arrived for report in self._reports if report.arrived), Arrived())

    def check(self, stored: int) -> None:
        remembered = sum(segment.rows for segment in self._new)
        if remembered != stored:
            raise AccountingError(
                f"micro-batch {self._mark.batch_id} is about to store {stored} events, but the index of seen keys has "
                f"{remembered} new ones. Nothing was written. Starting again replays it; a repeated failure is a bug, "
                "please report it with these numbers."
            )

    def remember(self) -> None:
        self._remember(self._new, max(self._recogniser.watermark, self._reached()))

    def withdraw(self) -> None:
        for segment in self._new:
            self._recogniser.folder.delete(segment.name)

    def release(self) -> None:
        self._found.unpersist()
        self._batch.unpersist()

    def _reached(self) -> int:
        """Unix microseconds: how far this micro-batch has come in arrival time."""
        if self._mark.complete_through is not None:
            return micros_of(self._mark.complete_through)
        if self._mark.is_of_shards:
            return 0  # the source will say so later
        latest = self._batch.agg(F.max(F.unix_micros("arrived_at"))).collect()[0][0]
        return min(latest or 0, self._recogniser.now)


def recognised(batch: DataFrame, recogniser: Recogniser) -> DataFrame:
    """Duplicates and new segments (recognise.RECOGNISED) of a micro-batch of schema.PARSED_RECORD."""
    keys = batch.where(F.col("problem").isNull()).select(
        *KEY,
        F.coalesce("arrived_at", F.timestamp_micros(F.lit(NOT_TOLD))).alias("arrived_at"),
        F.xxhash64("data").alias("payload_hash"),
        *PLACE,
        *([F.unix_micros("created_datetime").alias(CREATED)] if recogniser.measures else []),
    )
    buckets = recogniser.buckets
    tasks = min(buckets, batch.sparkSession.sparkContext.defaultParallelism)
    prefix = F.shiftright("key_hi", 64 - PREFIX_BITS) + PREFIXES // 2
    bucket = F.floor(prefix * buckets / PREFIXES)
    dealt = in_tasks(keys, tasks, F.floor(bucket * tasks / buckets).cast("int"))
    ordered = dealt.sortWithinPartitions(
        *KEY, "arrived_at", "shard_id", F.length("sequence_number"), "sequence_number", "sub_sequence_number"
    )
    return ordered.mapInArrow(recogniser, RECOGNISED)


def marked(batch: DataFrame, found: DataFrame | None, few: bool) -> DataFrame:
    """The micro-batch with its verdicts (schema.JUDGED_RECORD)."""
    if found is None:
        return with_verdict(batch, F.lit(False), F.lit(None).cast("timestamp"), F.lit(None).cast("boolean"))
    copies = found.where(F.col("report").isNull()).select(
        *(F.col(name).alias(f"_{name}") for name in PLACE), "first_arrived_at", "same_payload"
    )
    rows = left_join_by_hash(batch, copies, {name: f"_{name}" for name in PLACE}, few)
    is_copy = F.col("first_arrived_at").isNotNull()
    return with_verdict(rows, is_copy, F.col("first_arrived_at"), F.col("same_payload"))


def micros_of(moment: str) -> int:
    """ISO 8601 as Unix microseconds."""
    return micros(datetime.fromisoformat(moment) - EPOCH)


def micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
