"""Whatever happens to a stream and a query, what was delivered is what was put: once, and in order within a shard.
And what was put and is gone for good is told by a gap row, at its place among the records of its shard.

A hypothesis state machine: random puts (time stamps back and forth), splits, merges, faults, empty answers, hours that
pass with the stream's retention, the stream made again under its name, crashes with a replay (at once or hours later),
stops, and micro-batches with random slices and bounds, against the project's own Kinesis server.

KINESIS_MODEL_EXAMPLES=2000 looks further than CI does, at other examples each time; KINESIS_MODEL_SHRINK=1 shrinks.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kinesis_query import Delivered, KinesisQuery
from kinesis_server import KinesisServer
from kinesis_source import tip

EXAMPLES = int(os.environ.get("KINESIS_MODEL_EXAMPLES", "50"))
MOST_SHARDS = 6
RETENTION_HOURS = 24
# Seconds since a record's arrival, uneven on purpose: slices end in the middle of a shard, time stamps go back.
AGES = st.sampled_from([2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233])
# No sum of these comes near to the 24 hours of retention, so that no record is at its very edge.
HOURS = st.sampled_from([7, 11, 25])
FAULTS = ("throttle", "internal", "unavailable", "reset", "truncated")
BOUNDS = st.sampled_from(
    [
        {"maxRecordsPerBatch": "1000000", "maxBytesPerBatch": "1000000000"},
        {"maxRecordsPerBatch": "1", "maxBytesPerBatch": "1000000"},
        {"maxRecordsPerBatch": "7", "maxBytesPerBatch": "1000000"},
        {"maxRecordsPerBatch": "1000", "maxBytesPerBatch": "12"},
        {"maxRecordsPerBatch": "30000", "maxBytesPerBatch": "1000000000"},
    ]
)


@dataclass(frozen=True)
class Put:
    """A record as it was put. `stream` counts the streams that have had the name."""

    stream: int
    shard_id: str
    sequence_number: int
    data: bytes


class KinesisModel(RuleBasedStateMachine):
    """The stream as it should have been read, beside the query that reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.server = KinesisServer()
        self.server.__enter__()
        self.stream = 0
        self.hours = 0
        self.put_so_far: list[Put] = []
        self.delivered: list[Delivered] = []
        self.stream_starts = [0]  # by stream, where in `delivered` its rows begin

    @initialize(
        shards=st.integers(1, 3),
        backlog=st.lists(AGES, max_size=30),
        slice_seconds=st.sampled_from(["15", "60"]),
        bounds=st.one_of(st.just({}), BOUNDS),
    )
    def start(self, shards: int, backlog: list[int], slice_seconds: str, bounds: dict[str, str]) -> None:
        self.server.create_stream("events", shards)
        self.put(backlog)
        self.query = KinesisQuery(
            {
                "streamName": "events",
                "region": "us-east-1",
                "endpointUrl": self.server.endpoint_url,
                "failOnDataLoss": "false",
                "holdBackMs": "0",
                "idlePauseMs": "0",
                "callsPerSecond": "1000",
                "sliceSeconds": slice_seconds,
                "tasks": "2",
                "connectionsPerTask": "2",
                "retrySeconds": "30",
                **bounds,
            }
        )

    # What happens to the stream

    @rule(ages=st.lists(AGES, min_size=1, max_size=12))
    def put(self, ages: list[int]) -> None:
        for age in ages:
            data = f"{len(self.put_so_far)}".encode()
            where = self.server.put("events", data, partition_key=data.decode(), arrival=self.server.now() - age)
            self.put_so_far.append(Put(self.stream, where["ShardId"], int(where["SequenceNumber"]), data))

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

    @rule(hours=HOURS)
    def pass_time(self, hours: int) -> None:
        self.hours += hours
        self.server.set_clock(self.server.now() - time.time() + hours * 3600)
        self.server.enforce_retention("events")

    @rule(pick=st.integers(0, 9), shards=st.integers(1, 3))
    def make_again(self, pick: int, shards: int) -> None:
        if pick == 0:
            self.stream += 1
            self.stream_starts.append(len(self.delivered))
            self.server.delete_stream("events")
            self.server.create_stream("events", shards)

    @rule(rate=st.sampled_from([0.0, 0.2]), kind=st.sampled_from(FAULTS), seed=st.integers(0, 1000))
    def faults(self, rate: float, kind: str, seed: int) -> None:
        operations = ["GetRecords", "GetShardIterator", "ListShards", "DescribeStreamSummary"]
        self.server.set_faults(rate, kinds=[kind], operations=operations, seed=seed)

    @rule(pages=st.integers(0, 3), with_records=st.booleans())
    def answers(self, pages: int, with_records: bool) -> None:
        self.server.set_empty_pages(pages)
        self.server.set_end_with_records(with_records)

    @rule()
    def expire_iterators(self) -> None:
        self.server.expire_iterators()

    # What happens to the query

    @rule(crash=st.booleans())
    def micro_batch(self, crash: bool) -> None:
        self.begin()
        records = self.query.batch(commit=not crash)
        if crash and records is not None:
            assert placed(self.query.restart()) == placed(records)
        self.delivered += records or []

    @precondition(lambda self: self.query.log.ends)
    @rule(hours=HOURS)
    def crash_and_come_back_hours_later(self, hours: int) -> None:
        records = self.query.batch(commit=False)
        self.pass_time(hours)
        replayed = self.query.restart()
        self.delivered += replayed
        if records is None:
            assert replayed == []

    @rule(bounds=BOUNDS)
    def stop_and_start(self, bounds: dict[str, str]) -> None:
        assert self.query.restart(**bounds) == []

    @precondition(lambda self: self.put_so_far)
    @rule()
    def drain(self) -> None:
        """Up to a pinned tip; afterwards nothing that had arrived is missing."""
        self.server.clear_faults()
        self.begin()
        goal = tip(self.query.options)
        self.delivered += self.query.restart(endingPosition=json.dumps(goal.to_json()))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self.delivered += self.query.batch() or []
            if self.query.offset.covers(goal):
                break
        self.check_all_is_accounted_for()
        self.query.options.pop("endingPosition")
        assert self.query.restart() == []

    def begin(self) -> None:
        """What retention passes before a query's first start was never its to read."""
        if not self.query.log.ends:
            held = {int(record["SequenceNumber"]) for record in self.server.records("events")}
            self.put_so_far = [put for put in self.put_so_far if put.sequence_number in held]

    # What must hold

    def check_all_is_accounted_for(self) -> None:
        read = {int(record.sequence_number): record for record in self.delivered if record.lost is None}
        lost = [put for put in self.put_so_far if put.sequence_number not in read]
        assert all(read[p.sequence_number].data == p.data for p in self.put_so_far if p.sequence_number in read)
        assert len(read) + len(lost) == len(self.put_so_far)
        held = {int(record["SequenceNumber"]) for record in self.server.records("events")}
        gaps = {record.shard_id for record in self.delivered if record.lost is not None}
        stretches = self.stretches_with_a_gap()
        for put in lost:
            assert put.sequence_number not in held, f"{put} is there and was not delivered"
            told = any(shard == put.shard_id and low < put.sequence_number < high for shard, low, high in stretches)
            # A shard that came and went before the query knew of it is told by one that it comes from or leads to.
            unknown = put.shard_id not in self.shards_known_of(put.stream)
            assert told or (unknown and gaps), f"{put} is gone without a word"

    def shards_known_of(self, stream: int) -> set[str]:
        """Another stream of the same name has shards of the same names."""
        start, end = [*self.stream_starts, None][stream : stream + 2]
        rows = self.delivered[start:end]
        return {row.shard_id for row in rows if row.lost is None or "deleted and made again" not in row.lost}

    def stretches_with_a_gap(self) -> list[tuple[str, int, float]]:
        """Shard, and the sequence numbers delivered before and after each gap row."""
        found: list[tuple[str, int, float]] = []
        for place, gap in enumerate(self.delivered):
            if gap.lost is not None:
                before, after = self.delivered[:place], self.delivered[place:]
                low = max((int(r.sequence_number) for r in before if is_record_of(r, gap.shard_id)), default=-1)
                high = min(
                    (int(r.sequence_number) for r in after if is_record_of(r, gap.shard_id)), default=float("inf")
                )
                if gap.sequence_number is not None:
                    assert low <= int(gap.sequence_number) <= high
                found.append((gap.shard_id, low, high))
        return found

    @invariant()
    def no_loss_is_told_where_there_was_none(self) -> None:
        if self.hours < RETENTION_HOURS and not self.stream:
            assert [record for record in self.delivered if record.lost is not None] == []

    @invariant()
    def nothing_twice_and_in_order(self) -> None:
        numbers: dict[str, int] = {}
        for record in self.delivered:
            if record.lost is None:
                assert numbers.get(record.shard_id, -1) < int(record.sequence_number)
                numbers[record.shard_id] = int(record.sequence_number)

    @invariant()
    def children_after_their_parents(self) -> None:
        now = {put.sequence_number for put in self.put_so_far if put.stream == self.stream}
        places: dict[str, list[int]] = {}
        for place, record in enumerate(self.delivered):
            if record.lost is None and int(record.sequence_number) in now:
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


def is_record_of(row: Delivered, shard_id: str) -> bool:
    return row.lost is None and row.shard_id == shard_id


def placed(records: list[Delivered]) -> list[tuple[str, int, bytes, str]]:
    """By place in the stream: shards are read side by side, so only the order within each is given."""
    return sorted((r.shard_id, int(r.sequence_number or -1), r.data, str(r.lost)) for r in records)


KinesisModel.TestCase.settings = settings(
    settings.get_profile("repeatable"),
    max_examples=EXAMPLES,
    derandomize="KINESIS_MODEL_EXAMPLES" not in os.environ,
    stateful_step_count=50,
    # A failing example is 50 steps of a second or so; to shrink it takes many minutes.
    phases=(Phase.explicit, Phase.generate, *((Phase.shrink,) if "KINESIS_MODEL_SHRINK" in os.environ else ())),
    report_multiple_bugs=False,
)
TestKinesisModel = pytest.mark.timeout(60 + 20 * EXAMPLES)(KinesisModel.TestCase)
