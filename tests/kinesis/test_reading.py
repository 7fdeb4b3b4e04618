"""How the executors' half keeps to memory, to a shard's limits and to time, against the project's own server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kinesis_query import KinesisQuery
from kinesis_server import KinesisProcess, KinesisServer
from kinesis_source import DataLossError, UnavailableError, tip
from kinesis_source.memory import COST_OF_A_BYTE, MemoryBudget
from kinesis_source.options import Options
from kinesis_source.pace import Pace
from kinesis_source.position import TRIM_HORIZON
from kinesis_source.reader import ShardRange, read_ranges

MakeQuery = Callable[..., KinesisQuery]
MIB = 1024 * 1024
JOBS = Path(__file__).resolve().parents[2] / "jobs"
READ_PROCESS = Path(__file__).with_name("read_process.py")


def read_in_a_process(server: Any, stream: str, pause: float = 0.0, **options: str) -> dict[str, Any]:
    given = {"streamName": stream, "endpointUrl": server.endpoint_url, "region": "us-east-1"}
    goal = json.dumps(tip(given).to_json())
    time.sleep(pause)
    environment = {**os.environ, "PYTHONPATH": str(JOBS)}
    command = [sys.executable, str(READ_PROCESS), json.dumps({**given, **options}), goal]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, env=environment)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ranges_to_the_tip(options: dict[str, str]) -> list[ShardRange]:
    ends = tip(options).shards
    return [ShardRange(shard, TRIM_HORIZON, end) for shard, end in ends.items() if end != TRIM_HORIZON]


# Memory


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize(
    ("record_bytes", "a_shard", "most_grown"),
    [(10 * MIB - 200, 3, 170 * MIB), (50_000, 600, 170 * MIB), (360, 30_000, 130 * MIB)],
)
def test_memory_stays_bounded_whatever_the_size_of_the_records(
    record_bytes: int, a_shard: int, most_grown: int
) -> None:
    with KinesisProcess() as server:
        server.create_stream("sizes", 8, max_record_kib=10240)
        for shard in server.shards("sizes") if record_bytes > MIB else []:
            for _ in range(a_shard):
                server.put("sizes", b"x" * record_bytes, shard=shard["ShardId"])
        if record_bytes <= MIB:
            server.fill("sizes", data=[b"x" * record_bytes], records_per_shard=a_shard)
        found = read_in_a_process(server, "sizes", bytesPerSecond="1e12", callsPerSecond="1e6", taskMemoryMB="64")
    assert found["records"] == 8 * a_shard
    assert found["bytes"] >= 8 * a_shard * record_bytes
    assert found["grown"] < most_grown


def test_an_answer_larger_than_all_memory_is_read_alone(server: KinesisServer, query: MakeQuery) -> None:
    server.create_stream("large", 4, max_record_kib=10240)
    for number, shard in enumerate(server.shards("large") * 2):
        server.put("large", b"%d" % number * (5 * MIB), shard=shard["ShardId"])
    records = query(streamName="large", taskMemoryMB="1", tasks="1").drain(8)
    assert sorted(record.data[:1] for record in records) == [b"%d" % n for n in range(8)]
    assert {len(record.data) for record in records} == {5 * MIB}


def test_a_large_answer_is_not_overtaken_for_ever_by_small_ones() -> None:
    budget = MemoryBudget(10 * COST_OF_A_BYTE)
    small, order = budget.take(6), []
    assert small is not None

    def take(size: int) -> None:
        share = budget.take(size)
        order.append(size)
        assert share is not None
        share.give_back()

    threads = [threading.Thread(target=take, args=(size,)) for size in (10, 1, 2)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        deadline = time.monotonic() + 5
        while len(budget._waiting) < number and time.monotonic() < deadline:
            time.sleep(0.001)
    assert order == []
    small.give_back()
    for thread in threads:
        thread.join(5)
    assert order[0] == 10


def test_a_share_takes_more_only_where_there_is_more_and_gives_all_of_it_back() -> None:
    budget = MemoryBudget(10 * COST_OF_A_BYTE)
    one, other = budget.take(3), budget.take(3)
    assert one is not None
    assert other is not None
    assert one.admits(7)
    assert not other.admits(4)
    assert other.admits(1)
    other.shrink()
    one.give_back()
    assert other.admits(100), "what is larger than everything gets everything"
    other.give_back()
    assert budget._free == budget.most


def test_nobody_waits_for_memory_after_the_end() -> None:
    budget = MemoryBudget(1)
    assert budget.take(1) is not None
    thread = threading.Thread(target=lambda: budget.take(1))
    thread.start()
    budget.close()
    thread.join(5)
    assert not thread.is_alive()


def test_reading_that_is_given_up_leaves_no_thread_behind(server: KinesisServer, query: MakeQuery) -> None:
    server.fill("events", data=[b"x" * 1000], records=20_000)
    options = query(streamName="events", taskMemoryMB="2").options
    batches = read_ranges(ranges_to_the_tip(options), Options.parse(options))
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while (left := [t for t in threading.enumerate() if t.name.startswith("kinesis-exact")]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.01)
    assert left == []


# A shard's limits


def test_catching_up_on_limited_shards_uses_what_they_give_and_is_not_refused() -> None:
    shards = 4  # of whose 8 MB/s two cores have time for more than what is asked below
    with KinesisProcess("--limits") as server:
        server.create_stream("limited", shards)
        server.fill("limited", data=[b"x" * 4000], records_per_shard=2500)
        found = read_in_a_process(server, "limited", pause=6.0)  # finding the tip has used up what was saved
        calls = [call for call in server.calls("GetRecords") if call["time"] > server.now() - found["seconds"] - 0.2]
    assert found["records"] == shards * 2500
    burst = shards * 2 * MIB
    share = (found["bytes"] - burst) / (shards * 2 * MIB) / found["seconds"]
    assert share > 0.6
    assert sum(call["error"] is not None for call in calls) <= shards


def test_a_budget_of_calls_is_kept_to(server: KinesisServer, query: MakeQuery) -> None:
    server.set_empty_pages(7)
    server.put("events", b"behind them", partition_key="a")
    options = query(callsPerSecond="4").options
    ranges = ranges_to_the_tip(options)
    server.clear_calls()
    assert [b.column("data").to_pylist() for b in read_ranges(ranges, Options.parse(options))] == [[b"behind them"]]
    times = [call["time"] for call in server.calls("GetRecords")]
    assert len(times) == 8
    assert times[-1] - times[0] >= 3 / 4  # four at once, then one every quarter of a second


def test_a_budget_of_bytes_is_kept_to(server: KinesisServer, query: MakeQuery) -> None:
    server.create_stream("paced", 2)  # the size of a stream's records is remembered by its name
    server.fill("paced", data=[b"x" * 1000], records_per_shard=3000)
    options = query(streamName="paced", bytesPerSecond="1000000").options
    ranges = ranges_to_the_tip(options)
    began = time.monotonic()
    assert sum(batch.num_rows for batch in read_ranges(ranges, Options.parse(options))) == 6000
    assert time.monotonic() - began >= 1.0  # of 3 MB a shard one is free, and the last page is not waited for


def test_a_pace_forgives_one_second_of_silence_and_no_more() -> None:
    now = 0.0
    pace = Pace(calls_per_second=2, bytes_per_second=1000, clock=lambda: now)
    for _ in range(2):
        assert pace.wait() == 0
        pace.called()
        pace.called()
        assert pace.wait() == 0.5
        pace.read(900)
        assert pace.wait() == 0.5
        pace.read(700)
        assert pace.wait() == pytest.approx(0.6)
        pace.read(5000)
        assert pace.wait() == 5.0
        now += 60


# Faults and time


@pytest.mark.parametrize("operation", ["GetRecords", "GetShardIterator", "ListShards"])
@pytest.mark.parametrize("kind", ["throttle", "reset", "truncated"])
def test_what_stays_wrong_ends_in_a_clear_error_and_never_in_a_hot_loop(
    server: KinesisServer, query: MakeQuery, operation: str, kind: str
) -> None:
    server.put("events", b"x")
    server.set_faults(1.0, kinds=[kind], operations=[operation])
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="start the query again"):
        query(retrySeconds="1").batch()
    assert time.monotonic() - began < 10
    assert len(server.calls(operation)) <= 2 * 10  # two shards, back-off


def test_an_iterator_that_expires_again_and_again_is_no_loss(server: KinesisServer, query: MakeQuery) -> None:
    server.put("events", b"x")
    options = query(retrySeconds="1", failOnDataLoss="false").options
    ranges = ranges_to_the_tip(options)
    server.set_faults(1.0, kinds=["expired_iterator"], operations=["GetRecords"])
    with pytest.raises(UnavailableError, match=r"empty answers.*Nothing is lost"):
        list(read_ranges(ranges, Options.parse(options)))
    assert len(server.calls("GetShardIterator")) < 20


def test_empty_answers_without_end_behind_the_tip_are_an_error_and_no_loss(
    server: KinesisServer, query: MakeQuery
) -> None:
    server.put("events", b"x")
    options = query(retrySeconds="1", failOnDataLoss="false").options
    ranges = ranges_to_the_tip(options)
    server.set_empty_pages(100_000)
    with pytest.raises(UnavailableError, match=r"shardId-.*empty answers.*Nothing is lost"):
        list(read_ranges(ranges, Options.parse(options)))


def test_records_that_are_gone_together_with_the_planned_end_are_a_loss(
    server: KinesisServer, query: MakeQuery
) -> None:
    server.put("events", b"x")
    options = query(retrySeconds="1").options
    ranges = ranges_to_the_tip(options)
    server.trim("events")
    with pytest.raises(DataLossError, match="before the planned end after:"):
        list(read_ranges(ranges, Options.parse(options)))


def test_a_spark_that_takes_its_time_makes_neither_faults_nor_losses_out_of_it(
    server: KinesisServer, query: MakeQuery
) -> None:
    server.fill("events", data=[b"x" * 1000], records_per_shard=3000)
    options = query(retrySeconds="2", taskMemoryMB="1", failOnDataLoss="true").options
    ranges = ranges_to_the_tip(options)
    server.fail_next("GetRecords", "throttle", 2)
    batches = read_ranges(ranges, Options.parse(options))
    count = next(batches).num_rows
    time.sleep(2.5)  # longer than retrySeconds
    server.fail_next("GetRecords", "throttle", 2)
    server.expire_iterators()
    server.set_empty_pages(1)
    assert count + sum(batch.num_rows for batch in batches) == 6000


@contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """An endpoint that reads a request and then does what it is told."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

        def converse(connection: socket.socket) -> None:
            with connection:
                try:
                    while connection.recv(65536):
                        answer(connection)
                except OSError:
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def respond(body: bytes) -> Callable[[socket.socket], None]:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    return lambda connection: connection.sendall(head + body)


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (respond(b"[]"), "BadAnswer"),
        (respond(b"null"), "BadAnswer"),
        (respond(b"{}"), "BadAnswer: an answer without"),
        (respond(b'{"ShardIterator":"x","Records":7}'), "BadAnswer: an answer without Records"),
        (respond(b'{"ShardIterator":'), "BadAnswer"),
        (respond(b"\xff" * 100), "BadAnswer"),
        (drip, "SlowAnswer"),
        (lambda connection: connection.close(), "ConnectionError"),
        (lambda connection: connection.sendall(b"\x00" * 100), "ConnectionError"),
    ],
)
def test_an_answer_that_is_none_is_tried_again_and_then_named(
    answer: Callable[[socket.socket], None], named: str
) -> None:
    with raw_server(answer) as url:
        options = Options.parse(
            {"streamName": "events", "region": "us-east-1", "endpointUrl": url, "retrySeconds": "0.5"}
        )
        began = time.monotonic()
        with pytest.raises(UnavailableError, match=named):
            list(read_ranges([ShardRange("shardId-000000000000", TRIM_HORIZON, TRIM_HORIZON)], options))
        assert time.monotonic() - began < 15
