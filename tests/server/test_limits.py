"""The service's limits per shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kinesis_server import KinesisServer, Limits
from kinesis_server.limits import MIB, Meters

if TYPE_CHECKING:
    pass

from .client import FIRST, client_of, iterator, refused


def test_the_limits_of_calls_hold_per_shard() -> None:
    with KinesisServer(limits=True) as server:
        server.service.meters = Meters(Limits(), lambda: 0.0)  # all in one moment, however long it takes
        server.create_stream("events", shards=2)
        client = client_of(server.endpoint_url)
        started = [iterator(client) for _ in range(5)]
        with refused("ProvisionedThroughputExceededException", f"Rate exceeded for shard {FIRST} in stream events"):
            iterator(client)
        for each in started:
            client.get_records(ShardIterator=each)
        with refused("ProvisionedThroughputExceededException"):
            client.get_records(ShardIterator=started[0])
        assert iterator(client, shard="shardId-000000000001")
        stats = server.stats("events")
        assert (stats["GetRecords"][FIRST]["calls"], stats["GetRecords"][FIRST]["throttled"]) == (6, 1)
        assert stats["GetShardIterator"]["shardId-000000000001"]["throttled"] == 0


def test_a_write_above_the_limit_is_refused_record_by_record() -> None:
    with KinesisServer(limits=True) as server:
        server.service.meters = Meters(Limits(write_records=300), lambda: 0.0)
        server.create_stream("events")
        client = client_of(server.endpoint_url)
        records: Any = [{"Data": b"x", "PartitionKey": "k"}] * 500
        answer = client.put_records(StreamName="events", Records=records)
        codes = [result.get("ErrorCode") for result in answer["Records"]]
        assert codes == [None] * 300 + ["ProvisionedThroughputExceededException"] * 200
        assert answer["FailedRecordCount"] == 200
        assert len(server.records("events")) == 300


def test_an_answer_of_10_mib_is_followed_by_five_seconds_of_throttling() -> None:
    clock = [0.0]
    meters = Meters(Limits(), lambda: clock[0])
    clock[0] = 60.0
    assert meters.may_call("GetRecords", ("shard",))
    meters.was_read(("shard",), 10 * MIB)
    allowed = []
    for tenth in range(60):
        clock[0] = 60 + tenth / 10
        if meters.may_call("GetRecords", ("shard",)):
            allowed.append(clock[0])
    assert allowed[0] == pytest.approx(65.1)


def test_reads_of_two_mib_a_second_are_never_throttled() -> None:
    clock = [0.0]
    meters = Meters(Limits(), lambda: clock[0])
    for fifth in range(1, 100):
        clock[0] = fifth * 0.2001
        assert meters.may_call("GetRecords", ("shard",))
        meters.was_read(("shard",), 2 * MIB // 5)
