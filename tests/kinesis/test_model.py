"""Whatever happens to a stream and a query, what was delivered is what was put: once, and in order within a shard.

A hypothesis state machine: random puts (time stamps back and forth), splits, merges, faults, empty answers, crashes
with a replay, stops, and micro-batches with random slices, against the project's own Kinesis server.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kinesis_query import Delivered, KinesisQuery
from kinesis_server import KinesisServer
from kinesis_source import tip

MOST_SHARDS = 6
# Seconds since a record's arrival, uneven on purpose: slices end in the middle of a shard, time stamps go back.
AGES = st.sampled_from([2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233])
FAULTS = ("throttle", "internal", "unavailable", "reset", "truncated")


class KinesisModel(RuleBasedStateMachine):
    """The stream as it should have been read, beside the query that reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.server = KinesisServer()
        self.server.__enter__()
        self.put_so_far: list[bytes] = []
        self.delivered: list[Delivered] = []

    @initialize(
        shards=st.integers(1, 3),
        backlog=st.lists(AGES, max_size=30),
        slice_seconds=st.sampled_from(["15", "60"]),
    )
    def start(self, shards: int, backlog: list[int], slice_seconds: str) -> None:
        self.server.create_stream("events", shards)
        self.put(backlog)
        self.query = KinesisQuery(
            {
                "streamName": "events",
                "region": "us-east-1",
                "endpointUrl": self.server.endpoint_url,
                "holdBackMs": "0",
                "sliceSeconds": slice_seconds,
                "tasks": "2",
                "connectionsPerTask": "2",
                "retrySeconds": "30",
            }
        )

    @rule(ages=st.lists(AGES, min_size=1, max_size=12))
    def put(self, ages: list[int]) -> None:
        for age in ages:
            data = f"{len(self.put_so_far)}".encode()
            self.server.put("events", data, partition_key=data.decode(), arrival=self.server.now() - age)
            self.put_so_far.append(data)

    @rule(pick=st.integers(0, 100))
    def split(self, pick: int) -> None:
        shards = self.open_shards()
        if len(shards) < MOST_SHARDS:
            self.server.split("events", shards[pick % len(shards)]["ShardId"])

    @rule(pick=st.integers(0, 100))
    def merge(self, pick: int) -> None:
        shards = sorted(self.open_shards(), key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
        if len(shards) > 1:
            at = pick % (len(shards) - 1)
            self.server.merge("events", shards[at]["ShardId"], shards[at + 1]["ShardId"])

    @rule(crash=st.booleans())
    def micro_batch(self, crash: bool) -> None:
        records = self.query.batch(commit=not crash)
        if crash and records is not None:
            assert placed(self.query.restart()) == placed(records)
        self.delivered += records or []

    @rule()
    def stop_and_start(self) -> None:
        assert self.query.restart() == []

    @rule(rate=st.sampled_from([0.0, 0.2]), kind=st.sampled_from(FAULTS), seed=st.integers(0, 1000))
    def faults(self, rate: float, kind: str, seed: int) -> None:
        operations = ["GetRecords", "GetShardIterator", "ListShards"]
        self.server.set_faults(rate, kinds=[kind], operations=operations, seed=seed)

    @rule(pages=st.integers(0, 3), with_records=st.booleans())
    def answers(self, pages: int, with_records: bool) -> None:
        self.server.set_empty_pages(pages)
        self.server.set_end_with_records(with_records)

    @rule()
    def expire_iterators(self) -> None:
        self.server.expire_iterators()

    @precondition(lambda self: self.put_so_far)
    @rule()
    def drain(self) -> None:
        """Up to a pinned tip; afterwards nothing that had arrived is missing."""
        self.server.clear_faults()
        goal = tip(self.query.options)
        self.delivered += self.query.restart(endingPosition=json.dumps(goal.to_json()))
        for _ in range(2000):
            self.delivered += self.query.batch() or []
            if self.query.offset.covers(goal):
                break
        assert sorted(record.data for record in self.delivered) == sorted(self.put_so_far)
        self.query.options.pop("endingPosition")
        assert self.query.restart() == []

    @invariant()
    def nothing_twice_and_in_order(self) -> None:
        numbers: dict[str, int] = {}
        for record in self.delivered:
            assert numbers.get(record.shard_id, -1) < int(record.sequence_number)
            numbers[record.shard_id] = int(record.sequence_number)

    @invariant()
    def children_after_their_parents(self) -> None:
        places: dict[str, list[int]] = {}
        for place, record in enumerate(self.delivered):
            places.setdefault(record.shard_id, []).append(place)
        for shard in self.server.shards("events") if self.delivered else []:
            for parent in (shard.get("ParentShardId"), shard.get("AdjacentParentShardId")):
                if parent in places and shard["ShardId"] in places:
                    assert places[parent][-1] < places[shard["ShardId"]][0]

    def open_shards(self) -> list[dict[str, object]]:
        shards = self.server.shards("events")
        return [s for s in shards if "EndingSequenceNumber" not in s["SequenceNumberRange"]]

    def teardown(self) -> None:
        if self.put_so_far and hasattr(self, "query"):
            self.drain()
        self.server.__exit__(None, None, None)


def placed(records: list[Delivered]) -> list[tuple[str, int, bytes]]:
    """By place in the stream: shards are read side by side, so only the order within each is given."""
    return sorted((record.shard_id, int(record.sequence_number), record.data) for record in records)


KinesisModel.TestCase.settings = settings(settings.get_profile("repeatable"), max_examples=30, stateful_step_count=50)
TestKinesisModel = pytest.mark.timeout(900)(KinesisModel.TestCase)
