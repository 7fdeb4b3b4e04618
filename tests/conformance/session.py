"""The calls that are made on both servers, and what of their answers is compared.

Each function of `CALLS` makes some calls and gives plain values; the order matters, since all of them share one server.
What must differ (sequence numbers, times, iterators) is replaced by what can be compared: a record's place among those
that were put, whether something is there at all, an error's code.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

FIRST, SECOND = "shardId-000000000000", "shardId-000000000001"
HALF = 2**127
ACTIVE_SECONDS = 20.0

CALLS: dict[str, Callable[[Session], Any]] = {}


def call(function: Callable[[Session], Any]) -> Callable[[Session], Any]:
    CALLS[function.__name__] = function
    return function


class Session:
    """A server seen through boto3, and what the calls so far left behind."""

    def __init__(self, client: KinesisClient) -> None:
        self.client = client
        self.numbers: dict[str, str] = {}  # by data: the sequence number that a put answered
        self.middle: datetime | None = None  # a time between two puts

    def put(self, *data: str, stream: str = "events", hash_key: int = 0) -> list[str]:
        """Where each record went."""
        shards = []
        for each in data:
            answer = self.client.put_record(
                StreamName=stream, Data=each.encode(), PartitionKey=f"key {each}", ExplicitHashKey=str(hash_key)
            )
            self.numbers[each] = answer["SequenceNumber"]
            shards.append(answer["ShardId"])
        return shards

    def iterator(self, kind: Any, shard: str = FIRST, stream: str = "events", **where: Any) -> str:
        answer = self.client.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType=kind, **where)
        return answer["ShardIterator"]

    def read(self, kind: Any, shard: str = FIRST, stream: str = "events", limit: int = 10_000, **where: Any) -> Any:
        """The data of every page up to the tip or the end."""
        following: str | None = self.iterator(kind, shard, stream, **where)
        found = []
        for _ in range(50):
            if following is None:
                break
            page = self.client.get_records(ShardIterator=following, Limit=limit)
            found.append([record["Data"].decode() for record in page["Records"]])
            following = page.get("NextShardIterator")
            if not page["Records"] and page["MillisBehindLatest"] == 0:
                break
        return {"pages": [page for page in found if page], "ended": following is None}

    def shards(self, stream: str = "events", **chosen: Any) -> list[str]:
        return sorted(shard["ShardId"] for shard in self.client.list_shards(StreamName=stream, **chosen)["Shards"])

    def wait_until_active(self, stream: str = "events") -> Any:
        deadline = time.monotonic() + ACTIVE_SECONDS
        while True:
            summary = self.client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
            if summary["StreamStatus"] == "ACTIVE":
                return summary
            assert time.monotonic() < deadline, f"{stream} stayed {summary['StreamStatus']}"
            time.sleep(0.02)


def error(attempt: Callable[[], Any]) -> str:
    """The code of the error that it ends in."""
    try:
        attempt()
    except ClientError as failure:
        return failure.response["Error"]["Code"]
    return "no error"


def _to_2_100(hash_key: str) -> int:
    """Which multiple of 2**100 it is next to: where exactly a new stream's shards meet is a call of its own."""
    return (int(hash_key) + 2**99) >> 100


def described(shard: Any) -> dict[str, Any]:
    return {
        "id": shard["ShardId"],
        "keys": tuple(_to_2_100(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey")),
        "parents": (shard.get("ParentShardId"), shard.get("AdjacentParentShardId")),
        "closed": "EndingSequenceNumber" in shard["SequenceNumberRange"],
    }
