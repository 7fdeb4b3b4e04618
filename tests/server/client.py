"""boto3, unpatched, as the client of the test server, and what the tests do with it again and again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from kinesis_server import KinesisServer

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

FIRST = "shardId-000000000000"
SESSION = boto3.session.Session("key", "secret", region_name="us-east-1")


def client_of(endpoint_url: str, attempts: int = 1) -> KinesisClient:
    retrying = Config(retries={"total_max_attempts": attempts, "mode": "standard"})
    return SESSION.client("kinesis", endpoint_url=endpoint_url, config=retrying)


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
