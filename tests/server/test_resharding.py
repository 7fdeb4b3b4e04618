"""Splits, merges, retention, and the shards that are listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kinesis_server import KinesisServer

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

from .client import FIRST, iterator, pages, put, read, refused


def test_a_split_parent_is_closed_readable_and_ends_with_its_children(
    server: KinesisServer, client: KinesisClient
) -> None:
    last = put(server, b"a", b"b")[-1]
    client.split_shard(StreamName="events", ShardToSplit=FIRST, NewStartingHashKey=str(2**126))
    parent, low, high = client.list_shards(StreamName="events")["Shards"]
    assert int(parent["SequenceNumberRange"]["EndingSequenceNumber"]) > int(last)
    assert "EndingSequenceNumber" not in low["SequenceNumberRange"]
    assert low["ParentShardId"] == high["ParentShardId"] == FIRST
    assert low["HashKeyRange"]["EndingHashKey"] == str(2**126 - 1)
    *full, end = pages(client, iterator(client))
    assert [record["Data"] for page in full for record in page["Records"]] == [b"a", b"b"]
    assert all("NextShardIterator" in page and "ChildShards" not in page for page in full)
    assert (end["Records"], "NextShardIterator" in end) == ([], False)
    assert [(c["ShardId"], c["ParentShards"]) for c in end["ChildShards"]] == [
        ("shardId-000000000001", [FIRST]),
        ("shardId-000000000002", [FIRST]),
    ]
    assert read(client, "LATEST") == []
    with refused("InvalidArgumentException"):
        client.split_shard(StreamName="events", ShardToSplit=FIRST, NewStartingHashKey="5")


def test_the_end_of_a_closed_shard_may_come_with_its_last_records(server: KinesisServer, client: KinesisClient) -> None:
    put(server, b"a", b"b")
    server.split("events", FIRST)
    server.set_end_with_records(True)
    (only,) = pages(client, iterator(client))
    assert (len(only["Records"]), len(only["ChildShards"]), "NextShardIterator" in only) == (2, 2, False)


def test_a_merge_has_two_parents_that_must_be_neighbours(client: KinesisClient) -> None:
    client.create_stream(StreamName="wide", ShardCount=3)
    with refused("InvalidArgumentException", "not an adjacent pair"):
        client.merge_shards(StreamName="wide", ShardToMerge=FIRST, AdjacentShardToMerge="shardId-000000000002")
    client.merge_shards(StreamName="wide", ShardToMerge=FIRST, AdjacentShardToMerge="shardId-000000000001")
    child = client.list_shards(StreamName="wide")["Shards"][-1]
    assert (child["ParentShardId"], child["AdjacentParentShardId"]) == (FIRST, "shardId-000000000001")
    assert child["HashKeyRange"]["StartingHashKey"] == "0"


@pytest.mark.parametrize(("before", "after"), [(1, 2), (4, 6), (7, 4), (4, 2)])
def test_update_shard_count_leaves_uniform_open_shards(client: KinesisClient, before: int, after: int) -> None:
    client.create_stream(StreamName="wide", ShardCount=before)
    answer = client.update_shard_count(StreamName="wide", TargetShardCount=after, ScalingType="UNIFORM_SCALING")
    assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (before, after)
    shards = client.list_shards(StreamName="wide", ShardFilter={"Type": "AT_LATEST"})["Shards"]
    starts = sorted(int(shard["HashKeyRange"]["StartingHashKey"]) for shard in shards)
    assert starts == [2**128 * i // after for i in range(after)]
    with refused("LimitExceededException"):
        client.update_shard_count(StreamName="wide", TargetShardCount=99, ScalingType="UNIFORM_SCALING")


def test_trimmed_positions_start_at_the_trim_horizon(server: KinesisServer, client: KinesisClient) -> None:
    numbers = put(server, b"a", b"b", b"c")
    held = iterator(client)
    assert server.trim("events", before_sequence_number=numbers[1]) == 1
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert read(client, kind, StartingSequenceNumber=numbers[0]) == [b"b", b"c"]
    assert read(client) == [b"b", b"c"]
    assert [record["Data"] for record in client.get_records(ShardIterator=held)["Records"]] == [b"b", b"c"]
    assert read(client, "AT_TIMESTAMP", Timestamp=1_000_000_000) == [b"b", b"c"]
    assert server.trim("events") == 2
    put(server, b"d")
    assert read(client, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2]) == [b"d"]


def test_a_closed_shard_leaves_the_list_when_retention_has_passed_it(
    server: KinesisServer, client: KinesisClient
) -> None:
    now = server.now()
    put(server, b"a", arrival=now - 7200)
    child = server.split("events", FIRST)[0]
    assert server.trim("events", FIRST, before_time=now - 3600) == 1
    listed = [shard["ShardId"] for shard in client.list_shards(StreamName="events")["Shards"]]
    assert listed[0] == FIRST, "closed within retention"
    server.set_clock(25 * 3600)
    assert server.enforce_retention("events") == 0
    shards = client.list_shards(StreamName="events")["Shards"]
    assert [shard["ShardId"] for shard in shards] == listed[1:]
    assert shards[0]["ParentShardId"] == FIRST, "children name a parent that is gone"
    with refused("ResourceNotFoundException", f"Shard {FIRST} in stream events"):
        iterator(client)
    assert read(client, shard=child) == []


def test_list_shards_pages_and_its_token_expires(server: KinesisServer, client: KinesisClient) -> None:
    server.create_stream("wide", shards=1_001)
    first = client.list_shards(StreamName="wide")
    assert len(first["Shards"]) == 1000
    rest = client.list_shards(NextToken=first["NextToken"])
    assert ([shard["ShardId"] for shard in rest["Shards"]], "NextToken" in rest) == (["shardId-000000001000"], False)
    after = client.list_shards(StreamName="wide", ExclusiveStartShardId="shardId-000000000009", MaxResults=2)
    assert [shard["ShardId"][-2:] for shard in after["Shards"]] == ["10", "11"]
    with refused("ValidationException", "less than or equal to 10000"):
        client.list_shards(StreamName="wide", MaxResults=10_001)
    with refused("InvalidArgumentException"):
        client.list_shards(StreamName="wide", NextToken=first["NextToken"])
    server.set_clock(301)
    with refused("ExpiredNextTokenException"):
        client.list_shards(NextToken=first["NextToken"])


def test_shard_filters_choose_by_lineage_and_time(server: KinesisServer, client: KinesisClient) -> None:
    server.create_stream("wide", shards=2)
    start = server.now()
    server.set_clock(100)
    server.split("wide", FIRST)
    server.set_clock(200)
    server.merge("wide", "shardId-000000000003", "shardId-000000000001")

    def chosen(kind: Any, **where: Any) -> str:
        chosen_by: Any = {"Type": kind, **where}
        shards = client.list_shards(StreamName="wide", ShardFilter=chosen_by)["Shards"]
        return "".join(shard["ShardId"][-1] for shard in shards)

    assert chosen("FROM_TRIM_HORIZON") == "01234"
    assert chosen("AT_TRIM_HORIZON") == "01"
    assert chosen("AT_LATEST") == "24"
    assert chosen("AFTER_SHARD_ID", ShardId="shardId-000000000002") == "34"
    assert [chosen("AT_TIMESTAMP", Timestamp=start + at) for at in (50, 150, 250)] == ["01", "123", "24"]
    assert [chosen("FROM_TIMESTAMP", Timestamp=start + at) for at in (50, 150, 250)] == ["01234", "1234", "24"]
    server.trim("wide", FIRST)
    assert chosen("AT_TRIM_HORIZON") == "123"
