"""What a test can do to the server beyond the protocol; the server in its own process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kinesis_server import KinesisProcess, KinesisServer

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

from .client import FIRST, client_of, iterator, put, read


def test_the_journal_tells_each_call_and_its_volume(server: KinesisServer, client: KinesisClient) -> None:
    put(server, b"abcd", b"efgh", partition_key="k")
    client.get_records(ShardIterator=iterator(client), Limit=1)
    start, get = server.calls(stream="events", shard=FIRST)
    assert (start["operation"], start["iterator_type"]) == ("GetShardIterator", "TRIM_HORIZON")
    assert (get["operation"], get["limit"], get["records"], get["bytes"]) == ("GetRecords", 1, 1, 5)
    assert get["request_bytes"] > 20
    assert server.stats()["GetRecords"][FIRST]["bytes"] == 5
    server.clear_calls()
    assert server.calls() == []


def test_a_fill_spreads_records_over_shards_and_time(server: KinesisServer, client: KinesisClient) -> None:
    server.create_stream("wide", shards=3)
    event = b'{"event_uuid":"{uuid}","created_at":{created_at}}'
    assert server.fill("wide", [event], records_per_shard=100, arrival_start=1_700_000_000, arrival_rate=30) == 300
    records = server.records("wide")
    assert len({json.loads(record["Data"])["event_uuid"] for record in records}) == 300
    for i in range(3):
        arrivals = [r["ApproximateArrivalTimestamp"] for r in records if r["ShardId"].endswith(str(i))]
        assert (len(arrivals), arrivals[0], arrivals[-1]) == (
            100,
            pytest.approx(1_700_000_000 + i / 30, abs=0.002),
            pytest.approx(1_700_000_000 + (297 + i) / 30, abs=0.002),
        )
    again = server.put("wide", b"x", partition_key=records[-1]["PartitionKey"])
    assert again["ShardId"] == records[-1]["ShardId"], "keys hash to the shard that they were filled into"


def test_a_fill_of_a_file_routes_each_line_by_its_event(server: KinesisServer, tmp_path: Path) -> None:
    server.create_stream("wide", shards=2)
    lines = [b'{"event_uuid":"%d"}' % i for i in range(20)] + [b"not json"]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    assert server.fill("wide", path=str(tmp_path / "events.jsonl"), arrival_rate=10) == 21
    records = server.records("wide")
    assert sorted(record["Data"] for record in records) == sorted(lines)
    assert {record["PartitionKey"] for record in records} == {str(i) for i in range(21)}
    assert max(record["ApproximateArrivalTimestamp"] for record in records) == pytest.approx(server.now(), abs=30)


def test_concurrent_puts_and_reads_lose_and_double_nothing(server: KinesisServer) -> None:
    def produce(worker: int) -> None:
        client = client_of(server.endpoint_url)
        for i in range(20):
            records: Any = [{"Data": b"%d-%d-%d" % (worker, i, j), "PartitionKey": f"{j}"} for j in range(20)]
            client.put_records(StreamName="events", Records=records)

    producers = [threading.Thread(target=produce, args=(worker,)) for worker in range(3)]
    for producer in producers:
        producer.start()
    client = client_of(server.endpoint_url)
    found: list[bytes] = []
    following = iterator(client)
    while len(found) < 1200:
        page = client.get_records(ShardIterator=following, Limit=50)
        found += [record["Data"] for record in page["Records"]]
        following = page["NextShardIterator"]
        assert page["Records"] or len(found) < 1200
    for producer in producers:
        producer.join()
    assert len(set(found)) == len(found) == 1200


def test_the_protocol_answers_without_an_sdk_and_keeps_the_connection(server: KinesisServer) -> None:
    connection = HTTPConnection("127.0.0.1", server.port)
    for target, body, status, kind in [
        ("Kinesis_20131202.ListStreams", b"{}", 200, None),
        ("Kinesis_20131202.NoSuch", b"{}", 400, "UnknownOperationException"),
        ("Kinesis_20131202.ListShards", b"[", 400, "SerializationException"),
        ("Kinesis_20131202.ListShards", b"{}", 400, "InvalidArgumentException"),
    ]:
        connection.request("POST", "/", body, {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"})
        socket = connection.sock
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read()).get("__type")) == (status, kind)
        assert connection.sock is socket
        assert answer.headers["Content-Type"] == "application/x-amz-json-1.1"
    connection.close()


def test_a_server_in_its_own_process_is_controlled_alike_and_ends_with_its_input() -> None:
    with KinesisProcess("--limits", "--stream", "events:2") as server:
        client = client_of(server.endpoint_url)
        sent = server.put("events", b"\x00\xff", shard=FIRST, arrival=datetime(2026, 1, 2, tzinfo=UTC))
        assert read(client) == [b"\x00\xff"]
        (record,) = server.records("events", FIRST)
        assert (record["Data"], record["SequenceNumber"]) == (b"\x00\xff", sent["SequenceNumber"])
        assert record["ApproximateArrivalTimestamp"] == datetime(2026, 1, 2, tzinfo=UTC).timestamp()
        assert server.split("events", FIRST) == ["shardId-000000000002", "shardId-000000000003"]
        assert server.calls(shard=FIRST)[0]["operation"] == "GetShardIterator"
        with pytest.raises(RuntimeError, match="ResourceNotFoundException"):
            server.put("nowhere", b"x")
        assert server.stop() == 0


def test_a_server_in_its_own_process_fills_from_a_file_and_ends_on_sigterm(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"event_uuid":"a"}\n{"event_uuid":"b"}\n')
    folder = str(Path(__file__).parents[1] / "kinesis_server")
    command = [sys.executable, folder, "--stream", "events", "--fill", str(tmp_path / "events.jsonl"), "--stay"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout
        client = client_of(json.loads(process.stdout.readline())["endpoint_url"])
        assert len(read(client)) == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
