"""What the job measures, in the metrics table and in lines of JSON, held against the tables' own rows."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import traffic
from event_lake.metrics import Counts
from event_lake.telemetry.measures import MEASURES
from kinesis_server import KinesisServer
from lake import LakeHouse, event, rows

Line = dict[str, Any]
RANK_ERROR = 0.001  # see event_lake.quantiles


@pytest.fixture
def house(tmp_path: Path) -> Iterator[LakeHouse]:
    with KinesisServer() as server:
        server.create_stream("events", 2)
        yield LakeHouse(tmp_path, server)


def reported(house: LakeHouse, spark: SparkSession, **overrides: str) -> Counts:
    outlets = {"metrics_table_path": (house.folder / "metrics").as_uri(), "metrics_table_every": "0 seconds"}
    return house.run(spark, metrics_json_lines=str(house.folder / "metrics.jsonl"), **{**outlets, **overrides})


def lines(house: LakeHouse) -> list[Line]:
    return [json.loads(line) for line in (house.folder / "metrics.jsonl").read_text().splitlines()]


def total(found: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum(row[name] for row in found)


def seconds_of(found: Sequence[Mapping[str, Any]], until: str, since: str) -> list[float]:
    return sorted((row[until] - row[since]).total_seconds() for row in found)


def check_spread(row: Mapping[str, Any], name: str, values: Sequence[float]) -> None:
    assert row[f"{name}_max_seconds"] == pytest.approx(values[-1], abs=1e-5)
    for part, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        low, high = (values[min(max(int(len(values) * at), 0), len(values) - 1)] for at in _around(share, len(values)))
        assert low - 1e-5 <= row[f"{name}_{part}_seconds"] <= high + 1e-5, (name, part)


def _around(share: float, count: int) -> tuple[float, float]:
    slack = RANK_ERROR + 2 / count
    return share - slack, share + slack


@pytest.mark.index_only("a list of duplicates")
def test_metrics_are_the_sums_and_percentiles_of_the_tables_own_rows(spark: SparkSession, house: LakeHouse) -> None:
    now = time.time()
    for number, put in enumerate(traffic.generate(1500, duplicates=0.1, broken=0.1, seed=5, now=now)):
        house.server.put("events", put.data, partition_key=put.partition_key, arrival=now - 1900 + 1.2 * number)
    counts = reported(house, spark, metrics_top_types="2", source_slice="25 minutes")
    found = rows(house.folder / "metrics")
    assert len(found) > 1  # micro-batches
    assert {name: total(found, name) for name in ("received", "stored", "duplicates", "quarantined")} == {
        "received": counts.received,
        "stored": len(house.events()),
        "duplicates": len(house.duplicates()),
        "quarantined": len(house.quarantine()),
    }
    by_problem: Counter[str] = Counter()
    for row in found:
        by_problem.update(dict(row["quarantined_by_problem"]))
    assert by_problem == Counter(row["problem"] for row in house.quarantine())
    assert total(found, "stored_bytes") == sum(len(row["payload"].encode()) for row in house.events())
    assert total(found, "quarantined_bytes") == sum(len(row["data"]) for row in house.quarantine())
    events, duplicates = house.events(), house.duplicates()
    for row in found:
        stored = [one for one in events if one["stored_at"] == row["stored_at"]]
        copies = [one for one in duplicates if one["stored_at"] == row["stored_at"]]
        assert (len(stored), len(copies)) == (row["stored"], row["duplicates"])
        check_spread(row, "stored_latency", seconds_of(stored, "stored_at", "arrived_at"))
        check_spread(row, "duplicate_latency", seconds_of(copies, "stored_at", "arrived_at"))
        check_spread(row, "event_age", seconds_of(stored, "arrived_at", "created_datetime"))
        assert row["duplicate_rate"] == len(copies) / (len(copies) + len(stored))
        types = Counter(one["event_type"] for one in stored)
        top = dict(row["stored_by_type"])
        assert sorted(top.values()) == sorted(count for _, count in types.most_common(2))
        assert {kind: types[kind] for kind in top} == top
        assert row["stored_of_other_types"] == len(stored) - sum(top.values())
        assert (row["late_dropped"], row["gaps"], row["replayed"], row["shards"]) == (0, 0, False, 2)
        assert row["lag_seconds"] is not None
        assert row["complete_through"] < row["stored_at"]
        assert sum(row[name] for name in PHASES) <= row["seconds"]
        assert all(row[name] > 0 for name in PHASES[:-1])
    assert total(found, "files_written") == sum(
        len(list(folder.rglob("*.parquet")))
        for folder in (house.events_path, house.duplicates_path, house.quarantine_path)
    )
    told = {name for line in lines(house) for name in line}
    assert told == {measure.name for measure in MEASURES}  # and what is in no line is not known
    last = max(found, key=lambda row: row["batch_id"])
    assert last["events_version"] == len(list((house.events_path / "_delta_log").glob("*.json"))) - 1
    assert (last["index_keys"], last["index_bytes"]) == (counts.stored, 32 * counts.stored)


PHASES = (
    *("judging_seconds", "write_events_seconds", "write_duplicates_seconds", "write_quarantine_seconds"),
    *("index_seconds", "measuring_seconds", "maintenance_seconds"),
)
# What a replay may tell otherwise.
OWN_OF_A_RUN = {"seconds", *PHASES, "replayed", "index_segments"}


def test_a_replay_says_so_has_the_same_numbers_and_is_in_the_table_once(spark: SparkSession, house: LakeHouse) -> None:
    for number in range(20):
        house.server.put("events", event(number % 15), partition_key=str(number))
    house.server.put("events", b"{", partition_key="k")
    reported(house, spark)
    # As after kill -9 between the tables' commits and Spark's own.
    for name in ("0", ".0.crc"):
        (house.checkpoint_path / "commits" / name).unlink(missing_ok=True)
    reported(house, spark)
    first, again = lines(house)[:2]
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert {name for name in {*first, *again} if first.get(name) != again.get(name)} <= OWN_OF_A_RUN
    assert [row["batch_id"] for row in rows(house.folder / "metrics")] == [0]


@contextmanager
def scraped() -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """A free port, and what /metrics and /healthz there answer while the block runs: status and text."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    answers: list[tuple[int, str]] = []
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(0.1):
            for path in ("metrics", "healthz"):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
                        answers.append((answer.status, answer.read().decode()))
                except urllib.error.HTTPError as error:
                    answers.append((error.code, error.read().decode()))
                except OSError:
                    continue  # not listening yet, or no more

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield str(port), answers
    finally:
        ended.set()
        thread.join()


def test_an_outlet_that_fails_is_told_of_once_and_stops_nothing(
    spark: SparkSession, house: LakeHouse, caplog: pytest.LogCaptureFixture
) -> None:
    (house.folder / "in-the-way").write_text("no folder")
    arrived = time.time() - 120
    for number in range(4):
        house.server.put("events", event(number), partition_key="k", arrival=arrived + 20 * number)
    with caplog.at_level(logging.WARNING, logger="event_lake.telemetry"), scraped() as (port, answers):
        table = (house.folder / "in-the-way" / "metrics").as_uri()
        counts = reported(
            house,
            spark,
            metrics_table_path=table,
            metrics_prometheus_port=port,
            metrics_health_intervals="1000",  # a busy machine is not what is looked at here
            source_slice="45 seconds",
        )
    assert counts.stored == 4
    assert len(lines(house)) > 1
    told = [record.getMessage() for record in caplog.records if "outlet=" in record.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("metrics outlet=table fails, the job goes on without: ")
    assert "in-the-way" in told[0]  # what Java said, not which call it was
    assert any('event_lake_outlet_failures_total{outlet="table"} 1.0' in text for _, text in answers)
    assert {status for status, _ in answers} == {200}
