"""Figures gathered from real tables, held against these tables' rows as delta-rs reads them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import traffic
from event_lake.audit.report import NUMBERS, Report
from event_lake.errors import ConfigError
from event_lake.mark import BatchMark
from event_lake.report.audited import read_audit
from event_lake.report.figures import METRICS, TABLES, Figures, Spread
from event_lake.report.gather import gather
from event_lake.report.measured import Measured
from event_lake.report.page import page
from event_lake.report.period import Period
from event_lake.schema import GAPS
from event_lake.storage import Storage
from event_lake.telemetry.measures import METRICS as METRICS_COLUMNS
from kinesis_server import KinesisServer
from lake import LakeHouse

COUNTS = ("received", "stored", "duplicates", "quarantined")


def last_week() -> Period:
    now = datetime.now(UTC)
    return Period(now - timedelta(days=7), now)


def reported(spark: SparkSession, house: LakeHouse, **overrides: str) -> Figures:
    return gather(spark, house.config(**overrides), last_week())


def put_some(house: LakeHouse) -> None:
    now = time.time()
    for number, put in enumerate(traffic.generate(400, duplicates=0.1, broken=0.1, seed=5, now=now)):
        house.server.put("events", put.data, partition_key=put.partition_key, arrival=now - 1000 + 2.4 * number)


def totals(figures: Figures) -> dict[str, int]:
    return {name: figures.course.total(name) for name in COUNTS}


@pytest.mark.index_only("a list of duplicates")
def test_the_metrics_and_the_tables_own_rows_give_the_same_figures(spark: SparkSession, house: LakeHouse) -> None:
    put_some(house)
    metrics = {"metrics_table_path": (house.folder / "metrics").as_uri(), "metrics_table_every": "0 seconds"}
    house.run(spark, source_slice="12 minutes", **metrics)
    measured, counted = reported(spark, house, **metrics), reported(spark, house)
    events, duplicates, quarantine = house.events(), house.duplicates(), house.quarantine()
    assert (measured.course.source, counted.course.source) == (METRICS, TABLES)
    assert measured.course.micro_batches > 1
    assert (measured.course.unmeasured, measured.course.waiting) == (0, 0)
    assert (
        totals(measured)
        == totals(counted)
        == {
            "received": len(events) + len(duplicates) + len(quarantine),
            "stored": len(events),
            "duplicates": len(duplicates),
            "quarantined": len(quarantine),
        }
    )
    for figures in (measured, counted):
        assert {one.code: one.rows for one in figures.problems} == Counter(row["problem"] for row in quarantine)
        assert {one.event_type: one.rows for one in figures.kinds.top}.items() <= Counter(
            row["event_type"] for row in events
        ).items()
        assert figures.complete_through == measured.complete_through
        waited = max((row["stored_at"] - row["arrived_at"]).total_seconds() for row in events)
        assert max(p.stored_latency.most for p in figures.course.points if p.stored_latency) == pytest.approx(waited)
    assert sum(point.lag is not None for point in measured.course.points) == len(measured.course.points)
    assert "metrics.table_path is not configured" in page(counted)
    records = {row["data"] for row in quarantine}
    assert all(any(data.startswith(e.head) for data in records) for one in measured.problems for e in one.examples)


def test_of_plain_files_it_tells_all_but_how_they_lie(spark: SparkSession, house: LakeHouse) -> None:
    put_some(house)
    counts = house.run(spark, lake_format="json")
    figures = reported(spark, house, lake_format="json")
    assert figures.course.total("stored") == counts.stored
    assert figures.course.total("quarantined") == counts.quarantined == sum(one.rows for one in figures.problems)
    assert sum(kind.rows for kind in figures.kinds.top) + figures.kinds.rows_of_others == counts.stored
    assert figures.layouts == []
    assert "no log that tells" in page(figures)


@pytest.fixture(scope="module")
def empty(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeHouse]:
    """A lake whose job has found nothing in the stream."""
    with KinesisServer() as server:
        server.create_stream("events", 1)
        house = LakeHouse(tmp_path_factory.mktemp("empty"), server)
        house.run(spark)
        yield house


def test_empty_tables_make_a_page_that_says_so(spark: SparkSession, empty: LakeHouse) -> None:
    figures = reported(spark, empty, metrics_table_path=(empty.folder / "metrics").as_uri())
    assert totals(figures) == dict.fromkeys(COUNTS, 0)
    text = page(figures)
    assert "Nothing was stored in this period." in text
    assert "is not there" in text


def test_without_a_lake_there_is_no_page(spark: SparkSession, house: LakeHouse) -> None:
    with pytest.raises(ConfigError, match=r"lake\.path: there is no delta table at"):
        reported(spark, house)


def test_gaps_are_listed_and_counted(spark: SparkSession, empty: LakeHouse) -> None:
    now = datetime.now(UTC)
    gap = ("shardId-0", None, None, now - timedelta(hours=2), now - timedelta(hours=1), "expired", now, now.date())
    old = (*gap[:6], now - timedelta(days=30), now.date())
    spark.createDataFrame([gap, old], GAPS).write.format("delta").partitionBy("date").save(empty.gaps_path.as_uri())
    figures = reported(spark, empty)
    assert figures.gaps_in_all == 1
    assert (figures.gaps[0].shard_id, figures.gaps[0].why) == ("shardId-0", "expired")
    assert figures.gaps[0].to_time == now - timedelta(hours=1)


def metrics_row(batch_id: int, at: datetime, **measured: Any) -> tuple[Any, ...]:
    row = {"query_id": "q", "batch_id": batch_id, "date": at.date(), "stored_at": at, **dict.fromkeys(COUNTS, batch_id)}
    return tuple({**row, **measured}.get(name) for name in METRICS_COLUMNS.fieldNames())


def test_a_step_has_the_sums_of_its_micro_batches_and_the_worst_of_what_does_not_add_up(
    spark: SparkSession, tmp_path: Path
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    start = now - timedelta(hours=119)

    def spread(*values: float) -> dict[str, float]:
        parts = ("p50", "p95", "p99", "max")
        return {f"stored_latency_{part}_seconds": value for part, value in zip(parts, values, strict=True)}

    table = [
        metrics_row(4, start, lag_seconds=5.0, **spread(1.0, 2.0, 3.0, 4.0)),
        metrics_row(5, start + timedelta(seconds=1), lag_seconds=1.0, **spread(2.0, 2.0, 2.0, 2.0)),
        metrics_row(8, now),  # 6 and 7 were lost; nothing was stored in it
        metrics_row(1, now - timedelta(days=9)),  # before the period
    ]
    path = (tmp_path / "metrics").as_uri()
    spark.createDataFrame(table, METRICS_COLUMNS).write.format("delta").save(path)
    course = Measured(spark, path, last_week()).course(BatchMark("q", 10, "{}", None))
    assert course.step == timedelta(hours=1)
    assert [point.stored for point in course.points] in ([9, 8], [4, 5, 8])  # the hour may end between the two
    assert max(point.lag or 0 for point in course.points) == 5.0
    if len(course.points) == 2:
        assert course.points[0].stored_latency == Spread(2, 2, 3, 4)
    assert course.points[-1].stored_latency is None
    assert (course.micro_batches, course.unmeasured, course.waiting, course.measured_since) == (3, 2, 2, None)


def test_a_metrics_table_that_begins_later_is_told_of(spark: SparkSession, tmp_path: Path) -> None:
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    path = (tmp_path / "metrics").as_uri()
    spark.createDataFrame([metrics_row(7, began)], METRICS_COLUMNS).write.format("delta").save(path)
    assert Measured(spark, path, last_week()).course().measured_since == began


def test_what_an_audit_has_written_is_read_and_nothing_else(storage: Storage, tmp_path: Path) -> None:
    numbers = {**dict.fromkeys(NUMBERS, 0), "received": 9, "missing": 2}
    finding = {"kind": "missing", "event_uuid": "u-1"}
    report = Report("events", "2026-11-26T12:00:00+00:00", None, None, {}, numbers, {}, [finding], None)
    path = tmp_path / "audit.json"
    path.write_text(report.to_json(1.5))
    found = read_audit(storage, path.as_uri())
    assert (found.start, found.end, found.exit_code) == ("2026-11-26 12:00:00", "the end of the table", 3)
    assert (found.numbers["missing"], found.findings) == (2, [finding])
    path.write_text(json.dumps([1]))
    with pytest.raises(ConfigError, match="is not what audit_events"):
        read_audit(storage, path.as_uri())


def test_the_script_writes_the_page_and_says_where(empty: LakeHouse) -> None:
    output = empty.folder / "quality.html"
    with empty.submit("--output", output.as_uri(), "--examples", "0", script="report-quality") as job:
        assert job.wait() == 0, job.output()
        assert f"report={output.as_uri()}" in job.output()
    assert "Nothing was stored in this period." in output.read_text()
