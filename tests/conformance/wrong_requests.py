"""Calls that are refused: the codes of their errors; after those of `resharding`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from .session import ACTIVE_SECONDS, FIRST, HALF, Session, call, error


@call
def a_missing_stream(session: Session) -> Any:
    return (
        error(lambda: session.client.list_shards(StreamName="nowhere")),
        error(lambda: session.iterator("LATEST", stream="nowhere")),
        error(lambda: session.client.put_record(StreamName="nowhere", Data=b"", PartitionKey="a")),
        error(lambda: session.client.delete_stream(StreamName="nowhere")),
    )


@call
def a_missing_shard(session: Session) -> Any:
    return error(lambda: session.iterator("LATEST", "shardId-000000000099")), error(
        lambda: session.client.split_shard(
            StreamName="events", ShardToSplit="shardId-000000000099", NewStartingHashKey="7"
        )
    )


@call
def a_stream_that_is_there_already(session: Session) -> Any:
    return error(lambda: session.client.create_stream(StreamName="events", ShardCount=1))


@call
def an_iterator_that_is_none(session: Session) -> Any:
    return error(lambda: session.client.get_records(ShardIterator="A" * 100))


@call
def a_sequence_number_without_a_use(session: Session) -> Any:
    return error(lambda: session.iterator("TRIM_HORIZON", StartingSequenceNumber=session.numbers["0"]))


@call
def a_missing_sequence_number(session: Session) -> Any:
    return error(lambda: session.iterator("AT_SEQUENCE_NUMBER")), error(
        lambda: session.iterator("AFTER_SEQUENCE_NUMBER")
    )


@call
def a_sequence_number_of_another_shard(session: Session) -> Any:
    number = session.numbers["other"]
    return error(lambda: session.iterator("AT_SEQUENCE_NUMBER", StartingSequenceNumber=number))


@call
def a_sequence_number_that_is_none(session: Session) -> Any:
    return error(lambda: session.iterator("AT_SEQUENCE_NUMBER", StartingSequenceNumber="7"))


@call
def a_missing_time_stamp(session: Session) -> Any:
    return error(lambda: session.iterator("AT_TIMESTAMP"))


@call
def a_time_stamp_in_the_future(session: Session) -> Any:
    return error(lambda: session.iterator("AT_TIMESTAMP", Timestamp=datetime.now(UTC) + timedelta(hours=1)))


@call
def a_limit_above_10000(session: Session) -> Any:
    return error(lambda: session.client.get_records(ShardIterator=session.iterator("LATEST"), Limit=10_001))


@call
def more_than_500_records(session: Session) -> Any:
    entries: Any = [{"Data": b"x", "PartitionKey": "a"}] * 501
    return error(lambda: session.client.put_records(StreamName="events", Records=entries))


@call
def a_record_above_1_mib(session: Session) -> Any:
    return error(lambda: session.client.put_record(StreamName="events", Data=b"x" * 1_048_576, PartitionKey="a"))


@call
def a_partition_key_above_256_characters(session: Session) -> Any:
    return error(lambda: session.client.put_record(StreamName="events", Data=b"x", PartitionKey="a" * 257))


@call
def a_closed_shard_cannot_be_split(session: Session) -> Any:
    return error(
        lambda: session.client.split_shard(StreamName="events", ShardToSplit=FIRST, NewStartingHashKey=str(HALF // 2))
    )


@call
def shards_that_are_no_neighbours_cannot_be_merged(session: Session) -> Any:
    return error(
        lambda: session.client.merge_shards(
            StreamName="keys", ShardToMerge=FIRST, AdjacentShardToMerge="shardId-000000000002"
        )
    )


@call
def a_shard_cannot_be_split_outside_of_its_keys(session: Session) -> Any:
    return error(
        lambda: session.client.split_shard(StreamName="keys", ShardToSplit=FIRST, NewStartingHashKey=str(2**128 - 1))
    )


@call
def a_stream_cannot_be_scaled_fourfold(session: Session) -> Any:
    return error(
        lambda: session.client.update_shard_count(StreamName="keys", TargetShardCount=12, ScalingType="UNIFORM_SCALING")
    )


@call
def a_token_and_a_stream_name_exclude_each_other(session: Session) -> Any:
    token = session.client.list_shards(StreamName="events", MaxResults=1)["NextToken"]
    return error(lambda: session.client.list_shards(StreamName="events", NextToken=token))


@call
def a_stream_made_anew_starts_empty_and_knows_no_old_numbers(session: Session) -> Any:
    old = session.iterator("TRIM_HORIZON", stream="keys")
    session.client.delete_stream(StreamName="keys")
    deadline = time.monotonic() + ACTIVE_SECONDS
    while error(lambda: session.client.list_shards(StreamName="keys")) == "no error":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    session.client.create_stream(StreamName="keys", ShardCount=3)
    session.wait_until_active("keys")
    return session.shards("keys"), session.read("TRIM_HORIZON", stream="keys"), bool(old)
