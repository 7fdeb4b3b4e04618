"""The numbers of a micro-batch: each counted on its own, and refused where they do not add up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.deduplicate.operator import deduplicate
from event_lake.errors import AccountingError
from event_lake.metrics import Counts, PlanMetrics, check_accounting, read_plan_metrics
from event_lake.parse import parse
from event_lake.schema import RAW_RECORD
from records import event_bytes, raw_frame, raw_records


def test_counts_read_as_the_accounting_line() -> None:
    counts = Counts(received=10, stored=6, duplicates=3, quarantined=1)
    assert str(counts) == "received=10 stored=6 duplicates=3 quarantined=1 late_dropped=0"


def test_counts_add_up_number_by_number() -> None:
    assert Counts(1, 2, 3, 4, 5) + Counts(10, 20, 30, 40, 50) == Counts(11, 22, 33, 44, 55)
    assert Counts() + Counts(1, 2, 3, 4, 5) == Counts(1, 2, 3, 4, 5)


@pytest.mark.parametrize("counts", [Counts(), Counts(1, 1), Counts(1, 0, 1), Counts(1, 0, 0, 1), Counts(10, 6, 3, 1)])
def test_a_micro_batch_that_adds_up_is_accepted(counts: Counts) -> None:
    check_accounting(0, counts)


@pytest.mark.parametrize(
    "counts",
    [
        Counts(received=10, stored=9),
        Counts(received=9, stored=10),
        Counts(received=10, stored=6, duplicates=3),
        Counts(received=0, quarantined=1),
        Counts(received=10, stored=9, late_dropped=1),
        Counts(received=10, stored=10, late_dropped=1),
    ],
)
def test_a_micro_batch_with_a_record_too_few_too_many_or_late_is_refused_with_its_numbers(counts: Counts) -> None:
    with pytest.raises(AccountingError) as raised:
        check_accounting(17, counts)
    assert "micro-batch 17" in str(raised.value)
    assert str(counts) in str(raised.value)
    assert raised.value.exit_code == 4


def running(spark: SparkSession) -> Any:
    """The query whose micro-batch this thread works on."""
    return spark.streams.get(str(spark.sparkContext.getLocalProperty("sql.streaming.queryId")))


def test_the_plan_of_a_running_micro_batch_says_what_was_scanned_and_dropped(
    spark: SparkSession, tmp_path: Path
) -> None:
    found: list[PlanMetrics] = []

    def count(batch: DataFrame, _: int) -> None:
        batch.persist()
        for _ in range(3):  # only the first of them runs the plan
            batch.count()
            found.append(read_plan_metrics(running(spark)))
        batch.unpersist()

    def put(*data: bytes) -> None:
        raw_frame(spark, raw_records(data)).coalesce(1).write.mode("append").parquet(str(tmp_path / "input"))

    put(event_bytes(event_uuid="a"), event_bytes(event_uuid="a"), event_bytes(event_uuid="b"), b"", b"{", b"{}")
    raw = spark.readStream.schema(RAW_RECORD).parquet(str(tmp_path / "input"))
    events = deduplicate(parse(raw), timedelta(hours=24), timedelta(hours=2))
    query = events.writeStream.foreachBatch(count).option("checkpointLocation", str(tmp_path / "checkpoint")).start()
    try:
        query.processAllAvailable()
        assert found == [PlanMetrics(scanned=6, duplicates=1, late=0)] * 3
        put(event_bytes(event_uuid="b"), event_bytes(event_uuid="b"), event_bytes(event_uuid="c"))
        query.processAllAvailable()
        assert found[3:] == [PlanMetrics(scanned=3, duplicates=2, late=0)] * 3
    finally:
        query.stop()


def test_rows_dropped_as_late_are_counted(spark: SparkSession, tmp_path: Path) -> None:
    """Without the clamp of `deduplicate`, which leaves none to count."""
    found: list[PlanMetrics] = []

    def count(batch: DataFrame, _: int) -> None:
        batch.persist().count()
        found.append(read_plan_metrics(running(spark)))
        batch.unpersist()

    def put(*seconds: int) -> None:
        times = spark.createDataFrame([(second,) for second in seconds], "seconds long").coalesce(1)
        times.write.mode("append").parquet(str(tmp_path / "input"))

    put(1_000_000, 1_000_001)
    events = spark.readStream.schema("seconds long").parquet(str(tmp_path / "input"))
    timed = events.withColumn("time", F.timestamp_seconds("seconds")).withWatermark("time", "10 seconds")
    unique = timed.dropDuplicatesWithinWatermark(["seconds"])
    query = unique.writeStream.foreachBatch(count).option("checkpointLocation", str(tmp_path / "checkpoint")).start()
    try:
        query.processAllAvailable()
        put(1_500_000)  # Spark drops as late what was behind the watermark one micro-batch ago
        query.processAllAvailable()
        put(1, 2, 2_000_000, 2_000_000)
        query.processAllAvailable()
        assert found == [PlanMetrics(2, 0, 0), PlanMetrics(1, 0, 0), PlanMetrics(scanned=4, duplicates=1, late=2)]
    finally:
        query.stop()


def test_a_plan_without_the_metrics_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    failures: list[str] = []

    def count(batch: DataFrame, _: int) -> None:
        batch.persist().count()
        try:
            read_plan_metrics(running(spark))
        except AccountingError as error:
            failures.append(str(error))
        batch.unpersist()

    raw_frame(spark, raw_records([b""])).write.parquet(str(tmp_path / "input"))
    raw = spark.readStream.schema(RAW_RECORD).parquet(str(tmp_path / "input"))
    query = raw.writeStream.foreachBatch(count).option("checkpointLocation", str(tmp_path / "checkpoint")).start()
    try:
        query.processAllAvailable()
    finally:
        query.stop()
    assert failures == [
        "Spark's plan has no metric numDroppedDuplicateRows; this Spark version cannot be accounted for"
    ]
