"""Reading: iterators, pages, the tip, expiry."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from kinesis_server import KinesisServer
from kinesis_server.limits import MIB

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

from .client import FIRST, iterator, pages, put, read, refused


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
