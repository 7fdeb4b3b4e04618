"""The original system's four sample events, put into a stream and read back from it as the aws CLI does it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import orjson
from botocore.exceptions import BotoCoreError, ClientError

from put_records import PASSING, UsageError, advice

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from traffic import SAMPLE_EVENTS

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

READ_BACK_SECONDS = 30.0
PAUSE_SECONDS = 0.25  # a shard takes five calls a second, of all its readers together


@dataclass(frozen=True)
class Sent:
    """One of them, and where Kinesis has put it."""

    uuid: str
    data: bytes
    shard: str
    sequence: str


def samples(now: datetime) -> list[bytes]:
    """The four of them, as of now, each with a uuid of its own."""
    created = {"created_at": int(now.timestamp())}
    return [
        orjson.dumps(orjson.loads(event) | created | {"event_uuid": f"verify-{uuid4()}"}) for event in SAMPLE_EVENTS
    ]


def put(client: KinesisClient, stream: dict[str, str], event: bytes) -> Sent:
    """`aws kinesis put-record`; says where it went. Raises UsageError."""
    fields = orjson.loads(event)
    uuid = fields["event_uuid"]
    try:
        answer = client.put_record(Data=event, PartitionKey=uuid, **stream)  # type: ignore[arg-type]
    except (ClientError, BotoCoreError) as error:
        raise UsageError(advice(error, stream)) from error
    sent = Sent(uuid, event, answer["ShardId"], answer["SequenceNumber"])
    print(f"put {fields['event_name']} {uuid} into {sent.shard} at {sent.sequence}")
    return sent


def is_there(client: KinesisClient, stream: dict[str, str], sent: Sent) -> bool:
    """`aws kinesis get-shard-iterator` and `get-records`: whether the stream gives the same bytes back."""
    place = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": sent.sequence}
    iterator = client.get_shard_iterator(ShardId=sent.shard, **place, **stream)["ShardIterator"]  # type: ignore[arg-type]
    deadline = time.monotonic() + READ_BACK_SECONDS
    while iterator and time.monotonic() < deadline:
        try:
            answer = client.get_records(ShardIterator=iterator, Limit=1)
        except ClientError as error:
            if error.response["Error"]["Code"] not in PASSING:
                raise
        else:
            if answer["Records"]:
                record = answer["Records"][0]
                return (record["SequenceNumber"], record["Data"]) == (sent.sequence, sent.data)
            iterator = answer.get("NextShardIterator", "")  # an empty answer says nothing
        time.sleep(PAUSE_SECONDS)
    return False
