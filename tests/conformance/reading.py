"""Calls on a stream whose shards stay as they are."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from .session import HALF, SECOND, Session, call, described


@call
def a_stream_is_created(session: Session) -> Any:
    session.client.create_stream(StreamName="events", ShardCount=2)
    summary = session.wait_until_active()
    names = ("StreamName", "StreamModeDetails", "RetentionPeriodHours", "OpenShardCount", "EncryptionType")
    return {name: summary.get(name) for name in names}  # type: ignore[misc]


@call
def its_shards_are_listed(session: Session) -> Any:
    listed = session.client.list_shards(StreamName="events")
    return [described(shard) for shard in listed["Shards"]], "NextToken" in listed


@call
def the_first_of_two_shards_ends_at(session: Session) -> Any:
    return session.client.list_shards(StreamName="events")["Shards"][0]["HashKeyRange"]["EndingHashKey"]


@call
def it_has_an_arn(session: Session) -> Any:
    arn = session.client.describe_stream_summary(StreamName="events")["StreamDescriptionSummary"]["StreamARN"]
    return arn, [shard["ShardId"] for shard in session.client.list_shards(StreamARN=arn)["Shards"]]


@call
def records_are_put_one_by_one(session: Session) -> Any:
    return session.put("0", "1", "2") + session.put("other", hash_key=HALF)


@call
def a_partition_key_decides_the_shard(session: Session) -> Any:
    session.client.create_stream(StreamName="keys", ShardCount=3)
    session.wait_until_active("keys")
    entries: Any = [{"Data": b"x", "PartitionKey": f"key-{n}"} for n in range(20)]
    answer = session.client.put_records(StreamName="keys", Records=entries)
    return answer["FailedRecordCount"], [record["ShardId"] for record in answer["Records"]]


@call
def sequence_numbers_have_56_digits_and_grow(session: Session) -> Any:
    numbers = [session.numbers[data] for data in ("0", "1", "2")]
    return [len(number) for number in numbers], numbers == sorted(numbers, key=int)


@call
def more_arrive_later(session: Session) -> Any:
    time.sleep(0.02)  # so that a time lies between them: arrivals have milliseconds
    session.middle = datetime.now(UTC)
    time.sleep(0.02)
    return session.put("3", "4")


@call
def a_record_of_zero_bytes_is_taken(session: Session) -> Any:
    return session.put("")


@call
def trim_horizon_reads_everything(session: Session) -> Any:
    return session.read("TRIM_HORIZON"), session.read("TRIM_HORIZON", SECOND)


@call
def a_limit_cuts_pages(session: Session) -> Any:
    return session.read("TRIM_HORIZON", limit=2)


@call
def at_and_after_a_sequence_number(session: Session) -> Any:
    number = session.numbers["1"]
    return (
        session.read("AT_SEQUENCE_NUMBER", StartingSequenceNumber=number),
        session.read("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number),
    )


@call
def at_the_starting_number_of_the_shard(session: Session) -> Any:
    shard = session.client.list_shards(StreamName="events")["Shards"][0]
    return session.read(
        "AT_SEQUENCE_NUMBER", StartingSequenceNumber=shard["SequenceNumberRange"]["StartingSequenceNumber"]
    )


@call
def at_a_time_stamp(session: Session) -> Any:
    assert session.middle is not None
    before = session.middle - timedelta(days=1)
    return session.read("AT_TIMESTAMP", Timestamp=session.middle), session.read("AT_TIMESTAMP", Timestamp=before)


@call
def latest_gives_what_comes_after_it(session: Session) -> Any:
    start = session.iterator("LATEST")
    session.put("5")
    page = session.client.get_records(ShardIterator=start)
    return [record["Data"] for record in page["Records"]]


@call
def a_record_has_these_fields(session: Session) -> Any:
    page = session.client.get_records(ShardIterator=session.iterator("TRIM_HORIZON"), Limit=1)
    (record,) = page["Records"]
    fields = {name for name in record if name != "EncryptionType"}
    return fields, record["PartitionKey"], record["SequenceNumber"] == session.numbers["0"]


@call
def at_the_tip_an_answer_has_these_fields(session: Session) -> Any:
    page = session.client.get_records(ShardIterator=session.iterator("LATEST"))
    return page["MillisBehindLatest"], bool(page.get("NextShardIterator")), page.get("ChildShards") or None


@call
def behind_the_tip_an_answer_says_so(session: Session) -> Any:
    page = session.client.get_records(ShardIterator=session.iterator("TRIM_HORIZON"), Limit=1)
    return page["MillisBehindLatest"] > 0


@call
def answers_have_a_date(session: Session) -> Any:
    return "date" in session.client.list_shards(StreamName="events")["ResponseMetadata"]["HTTPHeaders"]
