"""Splits and merges, whenever they happen: nothing lost, nothing twice, parents before children, and few calls."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from kinesis_query import Delivered, KinesisQuery
from kinesis_server import KinesisServer
from kinesis_source.position import END, format_time

MakeQuery = Callable[..., KinesisQuery]


class Puts:
    """Records by shard, each put once."""

    def __init__(self, server: KinesisServer) -> None:
        self.server = server
        self.made: list[bytes] = []

    def everywhere(self, count: int, age: float = 0.0) -> None:
        """So many records in every open shard."""
        for shard in self.server.shards("events"):
            if "EndingSequenceNumber" not in shard["SequenceNumberRange"]:
                self.into(shard["ShardId"], count, age)

    def into(self, shard: str, count: int, age: float = 0.0) -> list[bytes]:
        made = [f"{shard[-2:]} {len(self.made) + number}".encode() for number in range(count)]
        for data in made:
            self.server.put("events", data, shard=shard, arrival=self.server.now() - age)
        self.made += made
        return made


@pytest.fixture
def puts(server: KinesisServer) -> Puts:
    return Puts(server)


def check(server: KinesisServer, records: list[Delivered], expected: list[bytes]) -> None:
    assert [record for record in records if record.lost] == []
    assert sorted(record.data for record in records) == sorted(expected)
    places: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        places.setdefault(record.shard_id, []).append(place)
    for shard in server.shards("events"):
        for parent in (shard.get("ParentShardId"), shard.get("AdjacentParentShardId")):
            if parent in places and shard["ShardId"] in places:
                assert places[parent][-1] < places[shard["ShardId"]][0]


def three_generations(server: KinesisServer, puts: Puts, count: int) -> None:
    """2 shards, split into 4, merged into 3, split into 6; records in all of them."""
    puts.everywhere(count, age=400)
    for shard in [shard["ShardId"] for shard in server.shards("events")]:
        server.split("events", shard)
    puts.everywhere(count, age=300)
    by_keys = sorted(open_shards(server), key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
    server.merge("events", by_keys[1]["ShardId"], by_keys[2]["ShardId"])
    puts.everywhere(count, age=200)
    for shard in open_shards(server):
        server.split("events", shard["ShardId"])
    puts.everywhere(count, age=100)


def open_shards(server: KinesisServer) -> list[dict[str, dict[str, str]]]:
    return [s for s in server.shards("events") if "EndingSequenceNumber" not in s["SequenceNumberRange"]]


@pytest.mark.parametrize("start", ["trim_horizon", "time"])
@pytest.mark.parametrize("slice_seconds", ["30", "86400"])
def test_generations_before_the_first_start(
    server: KinesisServer, query: MakeQuery, puts: Puts, slice_seconds: str, start: str
) -> None:
    three_generations(server, puts, 5)
    position = start if start == "trim_horizon" else format_time(server.now() - 10_000)
    running = query(sliceSeconds=slice_seconds, startingPosition=position)
    check(server, running.drain(len(puts.made)), puts.made)


def test_generations_while_the_query_was_stopped(server: KinesisServer, query: MakeQuery, puts: Puts) -> None:
    puts.everywhere(5, age=500)
    running = query()
    records = running.drain(10)
    three_generations(server, puts, 5)
    running.restart(sliceSeconds="30")
    check(server, records + running.drain(len(puts.made) - 10), puts.made)


def test_generations_while_the_query_runs(server: KinesisServer, query: MakeQuery, puts: Puts) -> None:
    running, records = query(), list[Delivered]()
    for _ in range(5):
        puts.everywhere(3)
        records += running.batch() or []
        shards = sorted(open_shards(server), key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
        server.split("events", shards[0]["ShardId"])
        puts.everywhere(2)
        shards = sorted(open_shards(server), key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
        server.merge("events", shards[-2]["ShardId"], shards[-1]["ShardId"])
        records += running.batch() or []
    records += running.drain(len(puts.made) - len(records))
    check(server, records, puts.made)


def test_a_start_at_a_time_between_generations_takes_what_arrived_since(
    server: KinesisServer, query: MakeQuery, puts: Puts
) -> None:
    left, right = (shard["ShardId"] for shard in server.shards("events"))
    puts.into(left, 3, age=400)
    puts.into(right, 3, age=400)
    late = puts.into(right, 3, age=100)
    both = server.merge("events", left, right)
    late += puts.into(both, 3, age=50)
    running = query(startingPosition=format_time(server.now() - 200))
    records = running.batch() or []
    # The parent that was over then is there as ended, so that nobody takes it for one that was forgotten.
    assert json.loads(running.log.ends[0])["first"][left] == "end"
    running.restart()
    records += running.drain(6 - len(records))
    check(server, records, late)
    assert set(running.offset.shards) == {both}


def test_parents_that_retention_has_partly_passed_before_the_start_are_no_loss(
    server: KinesisServer, query: MakeQuery, puts: Puts
) -> None:
    three_generations(server, puts, 6)
    server.trim("events", before_time=server.now() - 250)
    held = [record["Data"] for record in server.records("events")]
    check(server, query(sliceSeconds="30").drain(len(held)), held)


def test_a_merge_of_a_drained_parent_and_one_with_a_backlog(
    server: KinesisServer, query: MakeQuery, puts: Puts
) -> None:
    left, right = (shard["ShardId"] for shard in server.shards("events"))
    for age in range(3000, 0, -100):
        puts.into(right, 2, age=age)
    both = server.merge("events", left, right)
    puts.into(both, 5)
    running = query(sliceSeconds="200")
    server.clear_calls()
    records = running.drain(len(puts.made))
    check(server, records, puts.made)
    assert len(running.log.ends) >= 14
    # Not one a trigger: at the start, where the drained one ended, where the other did.
    assert len(server.calls("ListShards")) <= 4
    assert set(running.offset.shards) == {both}


def test_closed_shards_leave_the_offset_within_three_micro_batches(
    server: KinesisServer, query: MakeQuery, puts: Puts
) -> None:
    puts.everywhere(3)
    running = query()
    running.drain(6)
    parents = [shard["ShardId"] for shard in server.shards("events")]
    children = [child for parent in parents for child in server.split("events", parent)]
    for _ in range(10):
        running.batch()
    assert set(running.offset.shards) == set(children)
    ends = [json.loads(text)["shards"] for text in running.log.ends]
    assert sum(str(END) in shards.values() for shards in ends) <= 2


def test_many_resharded_shards_cost_one_listing_each_time_and_not_one_a_shard(
    server: KinesisServer, query: MakeQuery
) -> None:
    server.create_stream("wide", 64)
    running = query(streamName="wide")
    running.batch()
    for shard in [shard["ShardId"] for shard in server.shards("wide")]:
        server.split("wide", shard)
    server.clear_calls()
    for _ in range(20):
        running.batch()
    assert len(running.offset.shards) == 128
    assert len(server.calls("ListShards")) <= 2


def test_resharding_after_the_stream_was_idle_for_longer_than_retention(
    server: KinesisServer, query: MakeQuery, puts: Puts
) -> None:
    puts.everywhere(3)
    running = query()
    records = running.drain(6)
    for hour in range(1, 40):
        server.set_clock(hour * 3600.0)
        server.enforce_retention("events")
        records += running.batch() or []
    left, right = (shard["ShardId"] for shard in server.shards("events"))
    server.merge("events", left, right)
    puts.everywhere(4)
    running.restart()
    server.split("events", open_shards(server)[0]["ShardId"])
    puts.everywhere(4)
    records += running.drain(len(puts.made) - len(records))
    check(server, records, puts.made)
    for hour in range(40, 80):
        server.set_clock(hour * 3600.0)
        server.enforce_retention("events")
        records += running.batch() or []
    running.restart()
    records += running.batch() or []
    check(server, records, puts.made)
    assert len(running.offset.shards) == 2


def test_a_thousand_shards_are_planned_within_five_seconds(server: KinesisServer, query: MakeQuery) -> None:
    server.create_stream("wide", 1000)
    now = server.now()
    server.fill("wide", data=[b"x" * 100], records_per_shard=20, arrival_start=now - 1000, arrival_rate=20.0)
    running = query(streamName="wide", sliceSeconds="300")
    took = []
    for _ in range(3):
        began = time.process_time()
        offset = running._reader.latestOffset()
        took.append(time.process_time() - began)
    print(f"CPU seconds of planning 1,000 shards, server included: {took}, offset of {len(json.dumps(offset))} bytes")
    assert len(offset["shards"]) == 1000
    # CPU time of this process, in which the server runs too: the clock on the wall is shared with others.
    assert max(took) < 5
