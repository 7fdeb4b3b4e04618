"""Streams and puts: names, modes, retention periods, and the numbers and shards that records get."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kinesis_server import KinesisServer
from kinesis_server.limits import MIB

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

from .client import FIRST, client_of, iterator, pages, put, refused


def test_a_stream_is_active_at_once_and_known_by_name_and_by_arn(client: KinesisClient) -> None:
    client.create_stream(StreamName="orders", ShardCount=3)
    summary = client.describe_stream_summary(StreamName="orders")["StreamDescriptionSummary"]
    assert (summary["StreamStatus"], summary["OpenShardCount"]) == ("ACTIVE", 3)
    by_arn = client.describe_stream(StreamARN=summary["StreamARN"])["StreamDescription"]
    assert (by_arn["StreamName"], len(by_arn["Shards"]), by_arn["HasMoreShards"]) == ("orders", 3, False)
    assert client.list_streams()["StreamNames"] == ["events", "orders"]
    with refused("ResourceInUseException"):
        client.create_stream(StreamName="orders", ShardCount=1)
    client.delete_stream(StreamARN=summary["StreamARN"])
    with refused("ResourceNotFoundException", "Stream orders under account 000000000000 not found."):
        client.describe_stream(StreamName="orders")


def test_an_on_demand_stream_has_four_shards_and_refuses_to_be_resharded_by_hand(client: KinesisClient) -> None:
    client.create_stream(StreamName="busy", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    summary = client.describe_stream_summary(StreamName="busy")["StreamDescriptionSummary"]
    assert (summary["OpenShardCount"], summary["StreamModeDetails"]["StreamMode"]) == (4, "ON_DEMAND")
    with refused("ValidationException"):
        client.update_shard_count(StreamName="busy", TargetShardCount=2, ScalingType="UNIFORM_SCALING")


def test_a_stream_in_transition_says_so() -> None:
    with KinesisServer(transition_seconds=60) as server:
        client = client_of(server.endpoint_url)
        client.create_stream(StreamName="events", ShardCount=1)
        with refused("ResourceInUseException"):
            client.list_shards(StreamName="events")
        server.service.stream("events").become("CREATING", 0.15)
        client.get_waiter("stream_exists").wait(StreamName="events", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        client.split_shard(StreamName="events", ShardToSplit=FIRST, NewStartingHashKey="9")
        summary = client.describe_stream_summary(StreamName="events")["StreamDescriptionSummary"]
        assert summary["StreamStatus"] == "UPDATING"
        with refused("ResourceInUseException"):
            client.split_shard(StreamName="events", ShardToSplit="shardId-000000000002", NewStartingHashKey="99")


def test_the_retention_period_changes_in_its_own_direction_only(client: KinesisClient) -> None:
    client.increase_stream_retention_period(StreamName="events", RetentionPeriodHours=48)
    with refused("InvalidArgumentException"):
        client.increase_stream_retention_period(StreamName="events", RetentionPeriodHours=24)
    client.decrease_stream_retention_period(StreamName="events", RetentionPeriodHours=24)
    assert client.describe_stream(StreamName="events")["StreamDescription"]["RetentionPeriodHours"] == 24


def test_sequence_numbers_have_56_digits_and_grow_while_time_stamps_go_back(server: KinesisServer) -> None:
    moments = [1_700_000_000.5, 1_600_000_000.0, 1_700_000_000.25]
    numbers = [put(server, b"x", arrival=moment)[0] for moment in moments]
    assert all(len(number) == 56 and number.startswith("49") for number in numbers)
    assert [int(number) for number in numbers] == sorted({int(number) for number in numbers})


def test_a_partition_key_goes_to_the_shard_that_has_its_md5(client: KinesisClient) -> None:
    client.create_stream(StreamName="wide", ShardCount=5)
    ranges = {s["ShardId"]: s["HashKeyRange"] for s in client.list_shards(StreamName="wide")["Shards"]}
    records = [{"Data": b"x", "PartitionKey": f"key-ü-{i}"} for i in range(40)]
    results = client.put_records(StreamName="wide", Records=records)["Records"]  # type: ignore[arg-type]
    for record, result in zip(records, results, strict=True):
        key = int(hashlib.md5(str(record["PartitionKey"]).encode()).hexdigest(), 16)
        keys = ranges[result["ShardId"]]
        assert int(keys["StartingHashKey"]) <= key <= int(keys["EndingHashKey"])
    last = client.put_record(StreamName="wide", Data=b"x", PartitionKey="k", ExplicitHashKey=str(2**128 - 1))
    assert last["ShardId"] == "shardId-000000000004"
    with refused("InvalidArgumentException", "Invalid ExplicitHashKey"):
        client.put_record(StreamName="wide", Data=b"x", PartitionKey="k", ExplicitHashKey=str(2**128))


def test_sequence_numbers_grow_over_generations_of_shards(server: KinesisServer) -> None:
    server.create_stream("wide", shards=16)
    shard, last = "shardId-000000000015", 0
    for _ in range(3):
        number = int(server.put("wide", b"x", shard=shard)["SequenceNumber"])
        assert number > last
        child = server.split("wide", shard)[0]
        last = next(
            int(each["SequenceNumberRange"]["EndingSequenceNumber"])
            for each in server.shards("wide")
            if each["ShardId"] == shard
        )
        assert last > number
        shard = child


def test_a_stream_made_again_has_the_same_shard_ids_and_later_sequence_numbers(
    server: KinesisServer, client: KinesisClient
) -> None:
    old = put(server, b"old")[0]
    held = iterator(client)
    client.delete_stream(StreamName="events")
    client.create_stream(StreamName="events", ShardCount=1)
    (shard,) = client.list_shards(StreamName="events")["Shards"]
    assert shard["ShardId"] == FIRST
    assert int(shard["SequenceNumberRange"]["StartingSequenceNumber"]) > int(old)
    with refused("InvalidArgumentException", "did not come from this stream"):
        iterator(client, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=old)
    with refused("ResourceNotFoundException"):
        client.get_records(ShardIterator=held)


def test_records_come_back_as_they_were_put(client: KinesisClient) -> None:
    data = [b"", b"\x00\xff", b'{"a":"\xc3\xbc"}', "ü".encode()]
    for each in data:
        client.put_record(StreamName="events", Data=each, PartitionKey='k"\\ü\n')
    (page,) = [page for page in pages(client, iterator(client)) if page["Records"]]
    assert [record["Data"] for record in page["Records"]] == data
    assert {record["PartitionKey"] for record in page["Records"]} == {'k"\\ü\n'}
    stamp = page["Records"][0]["ApproximateArrivalTimestamp"]
    assert stamp.microsecond % 1000 == 0
    assert abs((datetime.now(UTC) - stamp).total_seconds()) < 5


def test_put_limits_are_the_services(client: KinesisClient) -> None:
    small = {"Data": b"x", "PartitionKey": "k"}
    with refused("ValidationException", "less than or equal to 500"):
        client.put_records(StreamName="events", Records=[small] * 501)  # type: ignore[list-item]
    with refused("InvalidArgumentException", "maximum record size"):
        client.put_record(StreamName="events", Data=bytes(MIB), PartitionKey="k")
    client.create_stream(StreamName="large", ShardCount=1, MaxRecordSizeInKiB=10240)
    client.put_record(StreamName="large", Data=bytes(10 * MIB - 1), PartitionKey="k")
    with refused("InvalidArgumentException", "10 MB limit"):
        client.put_records(StreamName="large", Records=[{"Data": bytes(6 * MIB), "PartitionKey": "k"}] * 2)
