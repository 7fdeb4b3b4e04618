"""The test server does what AWS documents of Kinesis and what a test asks of it; boto3 unpatched is its client."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from kinesis_server import KinesisProcess, KinesisServer, Limits
from kinesis_server.limits import MIB, Meters

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

FIRST = "shardId-000000000000"
SESSION = boto3.session.Session("key", "secret", region_name="us-east-1")


def client_of(endpoint_url: str, attempts: int = 1) -> KinesisClient:
    retrying = Config(retries={"total_max_attempts": attempts, "mode": "standard"})
    return SESSION.client("kinesis", endpoint_url=endpoint_url, config=retrying)


@pytest.fixture
def server() -> Iterator[KinesisServer]:
    with KinesisServer() as running:
        running.create_stream("events")
        yield running


@pytest.fixture
def client(server: KinesisServer) -> KinesisClient:
    return client_of(server.endpoint_url)


def iterator(client: KinesisClient, kind: Any = "TRIM_HORIZON", shard: str = FIRST, **where: Any) -> str:
    answer = client.get_shard_iterator(StreamName="events", ShardId=shard, ShardIteratorType=kind, **where)
    return answer["ShardIterator"]


def pages(client: KinesisClient, start: str, limit: int = 10_000) -> Iterator[Any]:
    """Answers up to the tip or to the end of the shard."""
    following: str | None = start
    while following:
        page = client.get_records(ShardIterator=following, Limit=limit)
        yield page
        following = page.get("NextShardIterator")
        if page["MillisBehindLatest"] == 0 and following and not page["Records"]:
            return


def read(client: KinesisClient, kind: Any = "TRIM_HORIZON", shard: str = FIRST, **where: Any) -> list[bytes]:
    start = iterator(client, kind, shard, **where)
    return [record["Data"] for page in pages(client, start) for record in page["Records"]]


def put(server: KinesisServer, *data: bytes, **options: Any) -> list[str]:
    return [server.put("events", each, **options)["SequenceNumber"] for each in data]


@contextmanager
def refused(code: str, text: str = "", status: int = 400) -> Iterator[None]:
    with pytest.raises(ClientError) as failure:
        yield
    response = failure.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert text in response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-errortype"] == code
    assert response["ResponseMetadata"]["RequestId"]


# Streams


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
    with KinesisServer(transition_seconds=0.15) as server:
        client = client_of(server.endpoint_url)
        client.create_stream(StreamName="events", ShardCount=1)
        with refused("ResourceInUseException"):
            client.list_shards(StreamName="events")
        client.get_waiter("stream_exists").wait(StreamName="events", WaiterConfig={"Delay": 1, "MaxAttempts": 5})
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


# Sequence numbers and hash keys


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


# Puts


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


# Reading


def test_iterators_start_where_their_type_says(server: KinesisServer, client: KinesisClient) -> None:
    numbers = put(server, b"a", b"b", b"c")
    latest = iterator(client, "LATEST")
    assert read(client) == [b"a", b"b", b"c"]
    assert read(client, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]) == [b"b", b"c"]
    assert read(client, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]) == [b"c"]
    between = str(int(numbers[1]) + (1 << 36))  # the same record a second later: no record has this number
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert read(client, kind, StartingSequenceNumber=between) == [b"c"]
    put(server, b"d")
    assert [record["Data"] for page in pages(client, latest) for record in page["Records"]] == [b"d"]


@pytest.mark.parametrize(
    ("kind", "where", "text"),
    [
        ("LATEST", {"StartingSequenceNumber": "0"}, "and also a StartingSequenceNumber"),
        ("AT_SEQUENCE_NUMBER", {}, "and no StartingSequenceNumber"),
        ("AT_SEQUENCE_NUMBER", {"StartingSequenceNumber": "123"}, "is invalid."),
        ("AT_TIMESTAMP", {}, "Must specify timestampInMillis"),
    ],
)
def test_an_iterator_of_contradictory_arguments_is_refused(
    client: KinesisClient, kind: str, where: dict[str, str], text: str
) -> None:
    with refused("InvalidArgumentException", text):
        iterator(client, kind, **where)


def test_a_sequence_number_of_another_shard_is_refused(server: KinesisServer, client: KinesisClient) -> None:
    number = put(server, b"x")[0]
    child = server.split("events", FIRST)[0]
    with refused("InvalidArgumentException", f"It encodes {FIRST}"):
        iterator(client, "AT_SEQUENCE_NUMBER", child, StartingSequenceNumber=number)


def test_at_timestamp_finds_the_first_record_in_order_that_arrived_then_or_later(
    server: KinesisServer, client: KinesisClient
) -> None:
    base = 1_700_000_000
    for i, offset in enumerate([0.0, 5.0, 2.0, 5.001, 9.0]):
        put(server, b"%d" % i, arrival=base + offset)
    for at, first in [(-9.0, 0), (0.0, 0), (0.001, 1), (5.0, 1), (5.001, 3), (6.0, 4)]:
        found = read(client, "AT_TIMESTAMP", Timestamp=datetime.fromtimestamp(base + at, UTC))
        assert found[0] == b"%d" % first, at
        assert len(found) == 5 - first
    assert read(client, "AT_TIMESTAMP", Timestamp=datetime.fromtimestamp(base + 10, UTC)) == []


def test_a_time_stamp_in_the_servers_future_is_refused(server: KinesisServer, client: KinesisClient) -> None:
    server.set_clock(-3600)
    half_an_hour_ago = time.time() - 1800
    with refused("InvalidArgumentException", "cannot be greater than the currentTimestampInMillis"):
        iterator(client, "AT_TIMESTAMP", Timestamp=half_an_hour_ago)
    server.set_clock(0)
    assert iterator(client, "AT_TIMESTAMP", Timestamp=half_an_hour_ago)


def test_the_date_header_and_arrivals_follow_the_servers_clock(server: KinesisServer, client: KinesisClient) -> None:
    server.set_clock(86_400)
    headers = client.list_streams()["ResponseMetadata"]["HTTPHeaders"]
    assert 86_390 < parsedate_to_datetime(headers["date"]).timestamp() - time.time() < 86_410
    put(server, b"x")
    assert abs(server.records("events")[0]["ApproximateArrivalTimestamp"] - time.time() - 86_400) < 10


def test_answers_hold_at_most_the_limit_10000_records_and_10_mib(server: KinesisServer, client: KinesisClient) -> None:
    server.fill("events", data=[b"x"], records_per_shard=10_500)
    assert [len(page["Records"]) for page in pages(client, iterator(client))] == [10_000, 500, 0]
    assert len(client.get_records(ShardIterator=iterator(client), Limit=7)["Records"]) == 7
    with refused("InvalidArgumentException"):
        client.get_records(ShardIterator=iterator(client), Limit=10_001)
    server.create_stream("large", max_record_kib=10_240)
    for size in (4 * MIB, 6 * MIB - 2, 1, 10 * MIB - 1, 11 * MIB):
        server.put("large", bytes(size), "k")
    start = client.get_shard_iterator(StreamName="large", ShardId=FIRST, ShardIteratorType="TRIM_HORIZON")
    sizes = [[len(r["Data"]) for r in page["Records"]] for page in pages(client, start["ShardIterator"])]
    assert sizes == [[4 * MIB, 6 * MIB - 2], [1], [10 * MIB - 1], [11 * MIB], []]


def test_millis_behind_latest_is_zero_only_where_nothing_waits(server: KinesisServer, client: KinesisClient) -> None:
    now = server.now()
    put(server, b"a", arrival=now - 100)
    put(server, b"b", arrival=now - 60)
    put(server, b"c", arrival=now + 60)
    behind = [page["MillisBehindLatest"] for page in pages(client, iterator(client), limit=1)]
    assert behind[0] == pytest.approx(60_000, abs=5_000)
    assert behind[1:] == [1, 0, 0]


def test_empty_pages_come_before_the_first_record_and_say_that_it_waits(
    server: KinesisServer, client: KinesisClient
) -> None:
    put(server, b"a", b"b")
    server.set_empty_pages(3)
    answers = list(pages(client, iterator(client), limit=1))
    assert [len(page["Records"]) for page in answers] == [0, 0, 0, 1, 1, 0]
    assert all(page["MillisBehindLatest"] > 0 for page in answers[:3])
    assert len({page["NextShardIterator"] for page in answers}) == len(answers)
    assert len(list(pages(client, iterator(client, "LATEST")))) == 1
    server.set_empty_pages(1, between=True)
    assert [len(page["Records"]) for page in pages(client, iterator(client), limit=1)] == [0, 1, 0, 1, 0]


def test_iterators_expire_after_five_minutes_and_on_command(server: KinesisServer, client: KinesisClient) -> None:
    old = iterator(client)
    server.set_clock(299)
    following = client.get_records(ShardIterator=old)["NextShardIterator"]
    server.set_clock(301)
    with refused("ExpiredIteratorException", "tolerated delay of 300000 milliseconds"):
        client.get_records(ShardIterator=old)
    assert client.get_records(ShardIterator=following)["Records"] == []
    server.expire_iterators()
    with refused("ExpiredIteratorException"):
        client.get_records(ShardIterator=following)
    assert client.get_records(ShardIterator=iterator(client))["Records"] == []
    with refused("InvalidArgumentException", "Invalid ShardIterator."):
        client.get_records(ShardIterator="nonsense")


# Resharding and retention


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


# Limits


def test_the_limits_of_calls_hold_per_shard() -> None:
    with KinesisServer(limits=True) as server:
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
    with KinesisServer(limits=Limits(write_records=300)) as server:
        server.create_stream("events")
        client = client_of(server.endpoint_url)
        records: Any = [{"Data": b"x", "PartitionKey": "k"}] * 500
        answer = client.put_records(StreamName="events", Records=records)
        codes = [result.get("ErrorCode") for result in answer["Records"]]
        assert codes[:300] == [None] * 300
        assert codes[-1] == "ProvisionedThroughputExceededException"
        assert answer["FailedRecordCount"] == len(codes) - codes.count(None)
        assert len(server.records("events")) == codes.count(None)


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


# Faults


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttle", "ProvisionedThroughputExceededException", 400),
        ("internal", "InternalFailure", 500),
        ("unavailable", "ServiceUnavailable", 503),
        ("expired_iterator", "ExpiredIteratorException", 400),
    ],
)
def test_a_planned_fault_hits_exactly_the_next_calls(
    server: KinesisServer, client: KinesisClient, kind: str, code: str, status: int
) -> None:
    start = iterator(client)
    server.fail_next("GetRecords", kind, count=2, shard=FIRST)
    for _ in range(2):
        with refused(code, status=status):
            client.get_records(ShardIterator=start)
    client.get_records(ShardIterator=start)
    assert [call["error"] for call in server.calls("GetRecords")] == [code, code, None]


def test_a_throttled_list_shards_is_a_limit_exceeded(server: KinesisServer, client: KinesisClient) -> None:
    server.fail_next("ListShards", "throttle")
    with refused("LimitExceededException"):
        client.list_shards(StreamName="events")


def test_a_reset_call_did_not_run_and_a_truncated_one_did(server: KinesisServer, client: KinesisClient) -> None:
    server.fail_next("PutRecord", "reset")
    with pytest.raises(ConnectionClosedError):
        client.put_record(StreamName="events", Data=b"lost", PartitionKey="k")
    server.fail_next("PutRecord", "truncated")
    with pytest.raises(ConnectionClosedError):
        client.put_record(StreamName="events", Data=b"stored, unknown to the client", PartitionKey="k")
    assert [record["Data"] for record in server.records("events")] == [b"stored, unknown to the client"]
    client.put_record(StreamName="events", Data=b"x", PartitionKey="k")


def test_a_reset_is_one_of_tcp_and_a_truncated_answer_promises_more_than_it_sends(server: KinesisServer) -> None:
    server.fail_next("ListStreams", "reset")
    server.fail_next("ListStreams", "truncated")
    for failure in (ConnectionResetError, IncompleteRead):
        connection = HTTPConnection("127.0.0.1", server.port)
        connection.request("POST", "/", "{}", {"X-Amz-Target": "Kinesis_20131202.ListStreams"})
        with pytest.raises(failure) as raised:
            connection.getresponse().read()
        assert raised.type is failure, "RemoteDisconnected would be an orderly close"
        connection.close()


def test_a_partial_put_stores_the_rest(server: KinesisServer, client: KinesisClient) -> None:
    server.fail_next("PutRecords", "partial")
    records: Any = [{"Data": b"%d" % i, "PartitionKey": "k"} for i in range(4)]
    answer = client.put_records(StreamName="events", Records=records)
    assert answer["FailedRecordCount"] == 2
    assert [record["Data"] for record in server.records("events")] == [b"0", b"2"]


def test_faults_at_a_rate_repeat_for_a_seed_and_boto3_retries_through_them(server: KinesisServer) -> None:
    client = client_of(server.endpoint_url)

    def failed() -> list[bool]:
        server.clear_calls()
        server.set_faults(0.3, ["internal", "unavailable", "throttle"], operations=["ListStreams"], seed=7)
        for _ in range(40):
            with suppress(ClientError):
                client.list_streams()
        return [call["error"] is not None for call in server.calls("ListStreams")]

    first = failed()
    assert first == failed()
    assert 4 < sum(first) < 24
    client.describe_stream(StreamName="events")
    server.clear_faults()
    server.fail_next("ListStreams", "unavailable", count=1)
    assert client_of(server.endpoint_url, attempts=3).list_streams()["StreamNames"] == ["events"]


def test_an_unknown_fault_is_refused(server: KinesisServer) -> None:
    with pytest.raises(ValueError, match="no fault 'explode'"):
        server.set_faults(1, ["explode"])
    with pytest.raises(ValueError, match="GetRecords only"):
        server.fail_next("PutRecord", "expired_iterator")


def test_delays_do_not_queue_behind_each_other(server: KinesisServer) -> None:
    server.set_round_trip(0.15)
    server.fail_next("ListStreams", "slow", seconds=0.15)
    clients = [client_of(server.endpoint_url) for _ in range(6)]
    started = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda client: client.list_streams(), clients))
    assert 0.3 <= time.monotonic() - started < 0.75


# Control


def test_the_journal_tells_each_call_and_its_volume(server: KinesisServer, client: KinesisClient) -> None:
    put(server, b"abcd", b"efgh", partition_key="k")
    client.get_records(ShardIterator=iterator(client), Limit=1)
    start, get = server.calls(stream="events", shard=FIRST)
    assert (start["operation"], start["iterator_type"]) == ("GetShardIterator", "TRIM_HORIZON")
    assert (get["operation"], get["limit"], get["records"], get["bytes"]) == ("GetRecords", 1, 1, 5)
    assert get["request_bytes"] > 20
    assert server.stats()["GetRecords"][FIRST]["bytes"] == 5
    server.clear_calls()
    assert server.calls() == []


def test_a_fill_spreads_records_over_shards_and_time(server: KinesisServer, client: KinesisClient) -> None:
    server.create_stream("wide", shards=3)
    event = b'{"event_uuid":"{uuid}","created_at":{created_at}}'
    assert server.fill("wide", [event], records_per_shard=100, arrival_start=1_700_000_000, arrival_rate=30) == 300
    records = server.records("wide")
    assert len({json.loads(record["Data"])["event_uuid"] for record in records}) == 300
    for i in range(3):
        arrivals = [r["ApproximateArrivalTimestamp"] for r in records if r["ShardId"].endswith(str(i))]
        assert (len(arrivals), arrivals[0], arrivals[-1]) == (
            100,
            pytest.approx(1_700_000_000 + i / 30, abs=0.002),
            pytest.approx(1_700_000_000 + (297 + i) / 30, abs=0.002),
        )
    again = server.put("wide", b"x", partition_key=records[-1]["PartitionKey"])
    assert again["ShardId"] == records[-1]["ShardId"], "keys hash to the shard that they were filled into"


def test_a_fill_of_a_file_routes_each_line_by_its_event(server: KinesisServer, tmp_path: Path) -> None:
    server.create_stream("wide", shards=2)
    lines = [b'{"event_uuid":"%d"}' % i for i in range(20)] + [b"not json"]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    assert server.fill("wide", path=str(tmp_path / "events.jsonl"), arrival_rate=10) == 21
    records = server.records("wide")
    assert sorted(record["Data"] for record in records) == sorted(lines)
    assert {record["PartitionKey"] for record in records} == {str(i) for i in range(21)}
    assert max(record["ApproximateArrivalTimestamp"] for record in records) == pytest.approx(server.now(), abs=2)


def test_concurrent_puts_and_reads_lose_and_double_nothing(server: KinesisServer) -> None:
    def produce(worker: int) -> None:
        client = client_of(server.endpoint_url)
        for i in range(20):
            records: Any = [{"Data": b"%d-%d-%d" % (worker, i, j), "PartitionKey": f"{j}"} for j in range(20)]
            client.put_records(StreamName="events", Records=records)

    producers = [threading.Thread(target=produce, args=(worker,)) for worker in range(3)]
    for producer in producers:
        producer.start()
    client = client_of(server.endpoint_url)
    found: list[bytes] = []
    following = iterator(client)
    while len(found) < 1200:
        page = client.get_records(ShardIterator=following, Limit=50)
        found += [record["Data"] for record in page["Records"]]
        following = page["NextShardIterator"]
        assert page["Records"] or len(found) < 1200
    for producer in producers:
        producer.join()
    assert len(set(found)) == len(found) == 1200


def test_the_protocol_answers_without_an_sdk_and_keeps_the_connection(server: KinesisServer) -> None:
    connection = HTTPConnection("127.0.0.1", server.port)
    for target, body, status, kind in [
        ("Kinesis_20131202.ListStreams", b"{}", 200, None),
        ("Kinesis_20131202.NoSuch", b"{}", 400, "UnknownOperationException"),
        ("Kinesis_20131202.ListShards", b"[", 400, "SerializationException"),
        ("Kinesis_20131202.ListShards", b"{}", 400, "InvalidArgumentException"),
    ]:
        connection.request("POST", "/", body, {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"})
        socket = connection.sock
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read()).get("__type")) == (status, kind)
        assert connection.sock is socket
        assert answer.headers["Content-Type"] == "application/x-amz-json-1.1"
    connection.close()


# Its own process


def test_a_server_in_its_own_process_is_controlled_alike_and_ends_with_its_input() -> None:
    with KinesisProcess("--limits", "--stream", "events:2") as server:
        client = client_of(server.endpoint_url)
        sent = server.put("events", b"\x00\xff", shard=FIRST, arrival=datetime(2026, 1, 2, tzinfo=UTC))
        assert read(client) == [b"\x00\xff"]
        (record,) = server.records("events", FIRST)
        assert (record["Data"], record["SequenceNumber"]) == (b"\x00\xff", sent["SequenceNumber"])
        assert record["ApproximateArrivalTimestamp"] == datetime(2026, 1, 2, tzinfo=UTC).timestamp()
        assert server.split("events", FIRST) == ["shardId-000000000002", "shardId-000000000003"]
        assert server.calls(shard=FIRST)[0]["operation"] == "GetShardIterator"
        with pytest.raises(RuntimeError, match="ResourceNotFoundException"):
            server.put("nowhere", b"x")
        assert server.stop() == 0


def test_a_server_in_its_own_process_fills_from_a_file_and_ends_on_sigterm(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"event_uuid":"a"}\n{"event_uuid":"b"}\n')
    folder = str(Path(__file__).parent / "kinesis_server")
    command = [sys.executable, folder, "--stream", "events", "--fill", str(tmp_path / "events.jsonl"), "--stay"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout
        client = client_of(json.loads(process.stdout.readline())["endpoint_url"])
        assert len(read(client)) == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
