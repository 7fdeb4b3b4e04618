"""Faults on purpose."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, IncompleteRead
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from kinesis_server import KinesisServer

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

from .client import FIRST, client_of, iterator, refused


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttle", "ProvisionedThroughputExceededException", 400),
        ("internal", "InternalFailure", 500),
        ("unavailable", "ServiceUnavailable", 503),
        ("kms_throttle", "KMSThrottlingException", 400),
        ("access_denied", "AccessDeniedException", 400),
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
    clients = [client_of(server.endpoint_url) for _ in range(20)]
    started = time.monotonic()
    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(lambda client: client.list_streams(), clients))
    assert 0.3 <= time.monotonic() - started < 0.15 * len(clients)
