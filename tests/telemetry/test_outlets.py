"""Each outlet against the real thing, or a server that speaks its protocol; also where one is slow or gone."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from embedded_aws import EmbeddedAws
from event_lake.errors import AccountingError, ConfigError
from event_lake.mark import BatchMark
from event_lake.telemetry.cloudwatch import EmbeddedMetrics, PutMetrics
from event_lake.telemetry.endpoint import Endpoint
from event_lake.telemetry.exposition import Exposition
from event_lake.telemetry.health import Bounds, Health
from event_lake.telemetry.json_lines import JsonLines
from event_lake.telemetry.measures import MEASURES
from event_lake.telemetry.worker import Worker
from lake import until

LAKE = "s3://bucket/lake/events"
LIMITS = Bounds(silence=timedelta(minutes=10), lag=timedelta(hours=1))


def row(batch_id: int = 7, **changed: Any) -> dict[str, Any]:
    """What one micro-batch measured."""
    return {
        "query_id": "q",
        "batch_id": batch_id,
        "stored_at": datetime.now(UTC),
        "complete_through": datetime(2026, 11, 27, 12, 0, tzinfo=UTC),
        "replayed": False,
        "received": 10,
        "stored": 6,
        "duplicates": 3,
        "quarantined": 1,
        "duplicate_rate": 1 / 3,
        "quarantined_by_problem": {"not_json": 1},
        "stored_by_type": {"lesson": 4, 'odd"\\\nname': 2},
        "stored_latency_p99_seconds": 1.5,
        "duplicate_latency_p99_seconds": None,
        "lag_seconds": 0.0,
        "stored_bytes": 600,
        **changed,
    }


def mark(**lag: float) -> BatchMark:
    return BatchMark("q", 7, json.dumps({"shards": {}, "lag": lag}), complete_through=None)


# Prometheus and health


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextmanager
def listening(health: Health) -> Iterator[tuple[Exposition, int]]:
    exposition = Exposition(lambda: not health.reasons(), lambda: {"table": (2, 5)})
    endpoint = Endpoint("127.0.0.1", 0, exposition, health)
    try:
        yield exposition, endpoint.port
    finally:
        endpoint.stop()


def test_prometheus_parses_what_is_told_and_counters_add_up() -> None:
    with listening(Health(LIMITS)) as (exposition, port):
        exposition([row(7), row(8, received=5, stored=5, duplicates=0, quarantined=0, quarantined_by_problem={})])
        status, text = get(port, "/metrics")
    assert status == 200
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["event_lake_received_total",] == 15
    assert found["event_lake_quarantined_by_problem_total", "not_json"] == 1
    assert found["event_lake_stored_by_type", 'odd"\\\nname'] == 2
    assert found["event_lake_stored_latency_p99_seconds",] == 1.5
    assert found["event_lake_complete_through_timestamp",] == datetime(2026, 11, 27, 12, 0, tzinfo=UTC).timestamp()
    assert found["event_lake_batch_id",] == 8
    assert found["event_lake_healthy",] == 1
    assert (found["event_lake_outlet_failures_total", "table"], found["event_lake_outlet_dropped_total", "table"]) == (
        2,
        5,
    )
    assert ("event_lake_duplicate_latency_p99_seconds",) not in found  # not known is not zero


def test_health_says_in_words_what_is_wrong_and_is_well_again() -> None:
    now = [1000.0]
    health = Health(LIMITS, clock=lambda: now[0])
    with listening(health) as (_, port):
        assert get(port, "/healthz") == (200, '{"status": "ok", "reasons": []}\n')
        now[0] += 601
        status, text = get(port, "/healthz")
        assert status == 503
        assert json.loads(text)["reasons"] == ["no micro-batch has finished for 601 s; expected one within 600 s"]
        health.finished(mark(one=3.0, two=4000.5))
        status, text = get(port, "/healthz")
        assert (status, json.loads(text)["reasons"]) == (
            503,
            ["shard two is read 4000 s behind its tip; expected at most 3600 s"],
        )
        health.finished(mark(one=3.0, two=5.0))
        assert get(port, "/healthz")[0] == 200
        health.failed(AccountingError("micro-batch 8 does not add up"))
        reasons = json.loads(get(port, "/healthz")[1])["reasons"]
        assert reasons == ["the accounting failed, and the job ends: micro-batch 8 does not add up"]
        assert "event_lake_healthy 0.0" in get(port, "/metrics")[1]
        assert get(port, "/elsewhere")[0] == 404


def test_a_job_with_nothing_to_do_is_well_however_long() -> None:
    now = [0.0]
    health = Health(LIMITS, clock=lambda: now[0])
    health.finished(mark(one=4000.0))
    now[0] += 86400
    health.idle()
    assert health.reasons() == []


def test_a_port_that_is_taken_is_told_by_its_key() -> None:
    health = Health(LIMITS)
    with listening(health) as (exposition, port), pytest.raises(ConfigError, match="prometheus_port"):
        Endpoint("127.0.0.1", port, exposition, health)


# CloudWatch


def test_cloudwatch_has_what_was_put_by_lake_and_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedAws() as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        PutMetrics("event-lake", LAKE, "", "")([row(7), row(8)])
        client = aws.client("cloudwatch")
        listed = client.list_metrics(Namespace="event-lake")["Metrics"]
        names = {(found["MetricName"], len(found["Dimensions"])) for found in listed}
        assert {("received", 1), ("quarantined", 1), ("quarantined", 2), ("stored_latency_p99_seconds", 1)} <= names
        assert ("duplicate_latency_p99_seconds", 1) not in names
        assert ("batch_id", 1) not in names
        (point,) = client.get_metric_statistics(
            Namespace="event-lake",
            MetricName="received",
            Dimensions=[{"Name": "Lake", "Value": LAKE}],
            StartTime=datetime.now(UTC) - timedelta(minutes=5),
            EndTime=datetime.now(UTC) + timedelta(minutes=5),
            Period=3600,
            Statistics=["Sum", "SampleCount"],
        )["Datapoints"]
        assert (point["Sum"], point["SampleCount"], point["Unit"]) == (20.0, 2.0, "Count")


class Throttling(BaseHTTPRequestHandler):
    """Refuses the first calls, as AWS does where there are too many, and then takes them."""

    refused: list[int]
    refuse = 2

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.refused.append(len(self.refused))
        status = 503 if len(self.refused) <= self.refuse else 200
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


def test_metrics_that_cloudwatch_refuses_are_put_again() -> None:
    calls: list[int] = []
    handler = type("Handler", (Throttling,), {"refused": calls})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        PutMetrics("event-lake", LAKE, "us-east-1", f"http://127.0.0.1:{server.server_port}")([row()])
    finally:
        server.shutdown()
        server.server_close()
    assert len(calls) == 3


def test_a_line_of_the_embedded_format_declares_what_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    EmbeddedMetrics("event-lake", LAKE)([row()])
    (line,) = capsys.readouterr().out.splitlines()
    document = json.loads(line)
    assert abs(document["_aws"]["Timestamp"] / 1000 - time.time()) < 60
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "event-lake"
    assert directive["Dimensions"] == [["Lake"]]
    assert document["Lake"] == LAKE
    declared = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert declared["stored_latency_p99_seconds"] == "Seconds"
    assert declared["stored_bytes"] == "Bytes"
    assert declared["duplicate_rate"] == "None"
    assert [name for name in declared if not isinstance(document[name], int | float)] == []
    assert len(MEASURES) <= 100  # what one line may declare


# Lines of JSON, and workers


def test_a_line_that_a_kill_cut_short_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"batch_id": 6, "rec')
    JsonLines(str(path))([row(7)])
    JsonLines(str(path))([row(8)])
    lines = path.read_text().splitlines()
    assert [json.loads(line)["batch_id"] for line in lines[1:]] == [7, 8]


def test_an_outlet_that_hangs_keeps_nobody_waiting_and_counts_what_it_drops() -> None:
    released = threading.Event()

    def hang(_: Sequence[int]) -> None:
        released.wait(60)

    worker = Worker("slow", hang, most_waiting=10)
    began = time.monotonic()
    for number in range(200):
        worker.put(number)
    worker.stop(0.1)
    assert time.monotonic() - began < 5
    assert worker.dropped >= 180
    released.set()


def test_an_outlet_that_works_again_goes_on_and_what_waits_is_done_before_the_end() -> None:
    done: list[int] = []
    broken = [True]

    def work(items: Sequence[int]) -> None:
        if broken[0]:
            raise ConnectionError("nobody there")
        done.extend(items)

    worker = Worker("weak", work)
    worker.put(1)
    until(lambda: worker.failures == 1)
    broken[0] = False
    for number in range(2, 400):  # more than are done at once
        worker.put(number)
    worker.stop(10)
    assert (done, worker.dropped) == (list(range(2, 400)), 1)
