"""What Spark's checkpoint says of the last micro-batches, and a clock that has stepped back."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from event_lake.checkpoint import CheckpointLog, PlannedBatch, refuse_backward_clock
from event_lake.errors import DataLossError
from event_lake.storage import Storage

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WINDOW = timedelta(hours=24)
MARGIN = timedelta(hours=2)
MILLISECOND = timedelta(milliseconds=1)


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def batch(clock: datetime, watermark: datetime | None = None) -> PlannedBatch:
    """A micro-batch that ran when the clock said so; the watermark is 0 until a first one has been seen."""
    return PlannedBatch(7, milliseconds(clock), milliseconds(watermark) if watermark else 0, "{}")


# The clock


def test_a_first_start_has_no_clock_to_compare_with() -> None:
    refuse_backward_clock(None, NOW, WINDOW, MARGIN)


@pytest.mark.parametrize(
    "clock",
    [NOW - timedelta(days=400), NOW - MILLISECOND, NOW, NOW + timedelta(hours=1), NOW + MARGIN - MILLISECOND],
)
def test_a_clock_that_went_on_or_back_by_less_than_the_margin_is_accepted(clock: datetime) -> None:
    refuse_backward_clock(batch(clock), NOW, WINDOW, MARGIN)
    refuse_backward_clock(batch(clock, clock - WINDOW - MARGIN), NOW, WINDOW, MARGIN)


@pytest.mark.parametrize("clock", [NOW + MARGIN, NOW + MARGIN + MILLISECOND, NOW + timedelta(days=400)])
def test_a_clock_that_went_back_by_the_margin_or_more_is_refused(clock: datetime) -> None:
    with pytest.raises(DataLossError) as raised:
        refuse_backward_clock(batch(clock), NOW, WINDOW, MARGIN)
    assert raised.value.exit_code == 3
    for told in (NOW.isoformat(), clock.isoformat(timespec="seconds"), "dedup.margin"):
        assert told in str(raised.value)


def test_the_watermark_in_the_log_counts_too() -> None:
    """It may come from an earlier micro-batch than the last, when the clock was further ahead."""
    watermark = NOW - WINDOW
    refuse_backward_clock(batch(NOW, watermark - MILLISECOND), NOW, WINDOW, MARGIN)
    with pytest.raises(DataLossError):
        refuse_backward_clock(batch(NOW, watermark), NOW, WINDOW, MARGIN)


def test_a_shorter_window_than_the_last_runs_is_accepted() -> None:
    """The watermark then stands where records of the longer window would be late; those of the shorter are not."""
    refuse_backward_clock(batch(NOW, NOW - timedelta(hours=26)), NOW, timedelta(hours=1), MARGIN)


def test_a_longer_window_than_the_last_runs_is_refused_while_records_would_be_late() -> None:
    with pytest.raises(DataLossError, match=r"dedup\.window"):
        refuse_backward_clock(batch(NOW, NOW - timedelta(hours=3)), NOW, timedelta(hours=24), MARGIN)


# The log of a real query


def test_the_log_of_a_query_says_what_was_planned_and_what_was_committed(
    spark: SparkSession, storage: Storage, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "check point"
    log = CheckpointLog(storage, f"file://{checkpoint}/")
    assert log.last_planned() is None
    assert log.last_committed() is None

    folder = tmp_path / "input"
    folder.mkdir()
    began = int(time.time() * 1000)
    times = spark.readStream.schema("id long").parquet(str(folder)).withColumn("time", F.timestamp_seconds(F.lit(5000)))
    unique = times.withWatermark("time", "1000 seconds").dropDuplicatesWithinWatermark(["id"])
    query = unique.writeStream.format("noop").option("checkpointLocation", str(checkpoint)).start()
    try:
        for _ in range(2):
            spark.range(1).coalesce(1).write.mode("append").parquet(str(folder))
            query.processAllAvailable()
    finally:
        query.stop()

    planned = log.last_planned()
    assert planned is not None
    assert planned == log.last_committed() == log.planned(1)
    assert planned.batch_id == 1
    assert began <= planned.clock_ms <= int(time.time() * 1000)
    assert planned.watermark_ms == 4_000_000
    assert json.loads(planned.end_offset) == {"logOffset": 1}
    assert log.planned(0).watermark_ms == 0

    (checkpoint / "commits" / "1").unlink()  # as after a crash in the last micro-batch
    assert log.last_planned() == planned
    assert log.last_committed() == log.planned(0)


def test_the_last_micro_batch_is_the_last_by_number_whatever_else_lies_there(storage: Storage, tmp_path: Path) -> None:
    offsets = tmp_path / "offsets"
    offsets.mkdir()
    for number in (8, 9, 10, 11):
        metadata = json.dumps({"batchWatermarkMs": 5, "batchTimestampMs": number})
        (offsets / str(number)).write_text(f'v1\n{metadata}\n{{"logOffset":{number}}}')
    for name in (".12.crc", ".12.tmp", "12.tmp", "99.delta"):
        (offsets / name).write_text("")
    log = CheckpointLog(storage, str(tmp_path))
    assert log.last_planned() == PlannedBatch(11, clock_ms=11, watermark_ms=5, end_offset='{"logOffset":11}')
    assert log.last_committed() is None
