"""How much a micro-batch holds: bounded by time, records and bytes, shards kept together in time, nothing lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from kinesis_query import Delivered, KinesisQuery
from kinesis_server import KinesisServer
from kinesis_source import DataLossError, OptionError
from kinesis_source.slices import FULL, Limits, Rate

MakeQuery = Callable[..., KinesisQuery]


def fill(server: KinesisServer, count: int, seconds: float, size: int = 1) -> list[bytes]:
    """Records over the last so many seconds, in all shards."""
    now = server.now()
    made = [b"%06d" % number + b"x" * (size - 1) for number in range(count)]
    for number, data in enumerate(made):
        arrival = now - seconds + seconds * number / count
        server.put("events", data, partition_key=str(number), arrival=arrival)
    return made


def batches(running: KinesisQuery, expected: int) -> list[list[Delivered]]:
    found: list[list[Delivered]] = []
    deadline = time.monotonic() + 30
    while sum(map(len, found)) < expected:
        assert time.monotonic() < deadline, f"{sum(map(len, found))} of {expected} records in 30 s"
        found.append(running.batch() or [])
    return [batch for batch in found if batch]


def data_of(found: list[list[Delivered]]) -> list[bytes]:
    return sorted(record.data for batch in found for record in batch)


@pytest.mark.parametrize("most", [1, 7, 100, 900])
@pytest.mark.parametrize("seconds", [0.0, 3.0, 3000.0])
def test_a_micro_batch_holds_no_more_records_than_it_may(
    server: KinesisServer, query: MakeQuery, most: int, seconds: float
) -> None:
    made = fill(server, {1: 60, 7: 300}.get(most, 1500), seconds)
    found = batches(query(maxRecordsPerBatch=str(most)), len(made))
    assert data_of(found) == sorted(made)
    # A record of each shard is the least, or one would stand still.
    assert max(map(len, found)) <= max(most, 2)


def test_bounded_micro_batches_are_well_filled(server: KinesisServer, query: MakeQuery) -> None:
    made = fill(server, 3000, 3000)
    found = batches(query(maxRecordsPerBatch="200", sliceSeconds="86400"), len(made))
    assert len(found) < 1.7 * len(made) / 200


def test_a_micro_batch_holds_no_more_bytes_than_it_may(server: KinesisServer, query: MakeQuery) -> None:
    made = fill(server, 400, 400, size=10_000)
    found = batches(query(maxBytesPerBatch="500000"), len(made))
    assert data_of(found) == sorted(made)
    assert max(sum(len(record.data) for record in batch) for batch in found) <= 500_000
    assert len(found) < 1.7 * 400 * 10_000 / 500_000


def test_a_record_larger_than_a_micro_batch_may_hold_comes_alone(server: KinesisServer, query: MakeQuery) -> None:
    made = fill(server, 6, 60, size=50_000)
    found = batches(query(maxBytesPerBatch="1000"), len(made))
    assert data_of(found) == sorted(made)
    assert max(map(len, found)) <= 2


def test_large_bounds_are_kept_by_the_length_of_the_slice(server: KinesisServer, query: MakeQuery) -> None:
    made = fill(server, 40_000, 2000)
    server.clear_calls()
    found = batches(query(maxRecordsPerBatch="8000", sliceSeconds="86400"), len(made))
    assert data_of(found) == sorted(made)
    assert max(map(len, found)) <= 8000 * 1.25
    assert len(found) <= 10
    # It was planned by samples, not by reading everything twice.
    planned = [call for call in server.calls("GetRecords") if (call["limit"] or 10_000) <= 100]
    assert sum(call["records"] for call in planned) < len(made) / 10


def test_shards_stay_together_in_time_while_a_bound_holds_one_of_them_back(
    server: KinesisServer, query: MakeQuery
) -> None:
    busy, quiet = (shard["ShardId"] for shard in server.shards("events"))
    now = server.now()
    for number in range(2000):
        server.put("events", b"busy", shard=busy, arrival=now - 2000 + number)
    for number in range(100):
        server.put("events", b"quiet", shard=quiet, arrival=now - 2000 + 20 * number)
    for batch in batches(query(maxRecordsPerBatch="100", sliceSeconds="400"), 2100)[:-1]:
        newest = {record.shard_id: record.arrived_at for record in batch}
        if len(newest) == 2:
            assert abs(newest[busy] - newest[quiet]) < 60


def test_planning_under_a_bound_still_costs_one_probe_a_shard(server: KinesisServer, query: MakeQuery) -> None:
    fill(server, 2000, 2000)
    for most in ("100", "100000"):
        running = query(maxRecordsPerBatch=most, sliceSeconds="100")
        running.batch()
        server.clear_calls()
        running._reader.latestOffset()
        for shard in server.shards("events"):
            assert len(server.calls("GetRecords", shard=shard["ShardId"])) == 1


def test_a_burst_in_an_idle_shard_is_bounded_too(server: KinesisServer, query: MakeQuery) -> None:
    running = query(maxRecordsPerBatch="40")
    running.batch()
    made = fill(server, 500, 0)
    found = batches(running, len(made))
    assert data_of(found) == sorted(made)
    assert max(map(len, found)) <= 40


def test_a_loss_is_found_under_a_bound_as_well(server: KinesisServer, query: MakeQuery) -> None:
    fill(server, 200, 200)
    running = query(maxRecordsPerBatch="20")
    running.batch()
    server.trim("events", before_time=server.now() - 100)
    with pytest.raises(DataLossError, match="where reading was to go on, is gone"):
        running.batch()


def test_without_knowledge_a_slice_is_as_short_as_full_shards_need() -> None:
    limits = Limits(seconds=600, records=10_000)
    span = limits.slice([(0.0, None), (1.0, FULL)], 2, now=1e6)
    assert span.end == pytest.approx(5.0)
    thin = limits.slice([(0.0, Rate(1.0, 100.0)), (1.0, Rate(9.0, 100.0))], 2, now=1e6)
    assert thin.end == pytest.approx(600)
    assert Limits(600, bytes=1e6).slice([(0.0, Rate(1.0, 1e5))], 1, now=1e6).end == pytest.approx(10.0)


def test_shares_never_add_up_to_more_than_the_bound() -> None:
    for shards in (1, 2, 3, 64):
        for busy in range(shards + 1):
            span = Limits(600, records=1000).slice([(0.0, FULL)] * busy, shards, now=1e6)
            total = busy * span.share.records + (shards - busy) * span.idle_share.records
            assert total <= 1000


def test_a_bound_that_is_no_number_is_named(query: MakeQuery) -> None:
    with pytest.raises(OptionError, match="maxRecordsPerBatch"):
        query(maxRecordsPerBatch="many")
    with pytest.raises(OptionError, match="maxBytesPerBatch"):
        query(maxBytesPerBatch="0")
