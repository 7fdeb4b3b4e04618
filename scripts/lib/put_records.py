"""Puts events into a Kinesis stream in order, as fast as it takes them: what `put_events` and `demo` share."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    WaiterError,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from traffic import Put

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_kinesis.type_defs import PutRecordsRequestEntryTypeDef

BATCH_RECORDS, BATCH_BYTES = 500, 5 * 1024 * 1024  # limits of PutRecords, partition keys included
ATTEMPTS = 12  # in a row without one record accepted: about a quarter of a minute
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 5.0
PASSING = {"ProvisionedThroughputExceededException", "LimitExceededException", "ThrottlingException", "InternalFailure"}


class UsageError(Exception):
    """The caller can set it right; the message says how."""


class NotAccepted(Exception):
    """Kinesis kept refusing records, or could not be reached."""


@dataclass
class Totals:
    put: int = 0
    failed: int = 0
    copies: int = 0
    broken: int = 0
    sent_again: int = 0

    def count(self, accepted: list[Put]) -> None:
        self.put += len(accepted)
        self.copies += sum(put.copy_of_earlier for put in accepted)
        self.broken += sum(put.problem is not None for put in accepted)


def put_all(
    client: KinesisClient,
    stream: dict[str, str],
    puts: Iterable[Put],
    totals: Totals,
    *,
    rate: float | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> None:
    """Puts everything, at most `rate` events a second, and keeps count in `totals`. Raises NotAccepted, UsageError."""
    started = time.monotonic()
    largest = BATCH_RECORDS if rate is None else max(1, min(BATCH_RECORDS, int(rate / 5)))
    for batch in batches(puts, largest):
        if rate is not None:
            time.sleep(max(0.0, started + totals.put / rate - time.monotonic()))
        deliver(client, stream, batch, totals)
        report(totals.put)


def batches(puts: Iterable[Put], largest: int = BATCH_RECORDS) -> Iterator[list[Put]]:
    """Consecutive puts, as many at once as PutRecords takes; a record above its limit goes alone."""
    batch: list[Put] = []
    size = 0
    for put in puts:
        weight = len(put.data) + len(put.partition_key.encode())
        if batch and (len(batch) == largest or size + weight > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(put)
        size += weight
    if batch:
        yield batch


def deliver(client: KinesisClient, stream: dict[str, str], batch: list[Put], totals: Totals) -> None:
    """Puts one batch, and what Kinesis refuses of it again after a pause, for as long as some of it gets through."""
    fruitless = 0
    while batch:
        totals.failed = len(batch)
        reasons = _put_records(client, stream, batch)
        accepted = [put for put, reason in zip(batch, reasons, strict=True) if not reason]
        totals.count(accepted)
        batch = [put for put, reason in zip(batch, reasons, strict=True) if reason]
        totals.failed = len(batch)
        fruitless = 0 if accepted else fruitless + 1
        if fruitless == ATTEMPTS:
            raise NotAccepted(f"{len(batch)} records were refused {ATTEMPTS} times in a row, with {max(reasons)}")
        if batch:
            totals.sent_again += len(batch)
            time.sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2**fruitless)))


def _put_records(client: KinesisClient, stream: dict[str, str], batch: list[Put]) -> list[str]:
    """For each record why it was refused; empty text where it was accepted."""
    try:
        answer = client.put_records(Records=[_entry(put) for put in batch], **stream)  # type: ignore[arg-type]
    except ClientError as error:
        if error.response["Error"]["Code"] in PASSING:
            return [str(error)] * len(batch)
        raise UsageError(advice(error, stream)) from error
    except (EndpointConnectionError, HTTPClientError) as error:
        raise NotAccepted(str(error)) from error
    except BotoCoreError as error:
        raise UsageError(advice(error, stream)) from error
    return [f"{r['ErrorCode']} {r.get('ErrorMessage', '')}" if r.get("ErrorCode") else "" for r in answer["Records"]]


def _entry(put: Put) -> PutRecordsRequestEntryTypeDef:
    entry: PutRecordsRequestEntryTypeDef = {"Data": put.data, "PartitionKey": put.partition_key}
    if put.explicit_hash_key is not None:
        entry["ExplicitHashKey"] = put.explicit_hash_key
    return entry


def connect(stream: str, region: str | None, endpoint_url: str | None) -> tuple[KinesisClient, dict[str, str]]:
    """A client, and the arguments that name the stream in its calls."""
    is_arn = stream.startswith("arn:")
    if is_arn and stream.count(":") != 5:
        raise UsageError(f"--stream {stream} is no stream's ARN: arn:aws:kinesis:REGION:ACCOUNT:stream/NAME")
    region = region or (stream.split(":")[3] if is_arn else None)
    settings = Config(retries={"mode": "standard"})
    try:
        client = boto3.Session().client("kinesis", region_name=region, endpoint_url=endpoint_url, config=settings)
    except (BotoCoreError, ValueError) as error:
        raise UsageError(advice(error, {})) from error
    return client, {"StreamARN": stream} if is_arn else {"StreamName": stream}


def create_stream(client: KinesisClient, stream: dict[str, str], shards: int) -> None:
    """Creates the stream unless it is there, and waits until it takes records."""
    name = stream.get("StreamName") or stream["StreamARN"].rpartition("/")[2]
    try:
        client.create_stream(StreamName=name, ShardCount=shards)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceInUseException":
            raise UsageError(advice(error, stream)) from error
    except (EndpointConnectionError, HTTPClientError) as error:
        raise NotAccepted(str(error)) from error
    except BotoCoreError as error:
        raise UsageError(advice(error, stream)) from error
    try:
        client.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 60})
    except WaiterError as error:
        raise NotAccepted(f"stream {name} did not become active: {error}") from error


def advice(error: Exception, stream: dict[str, str]) -> str:
    """What happened and what to do about it."""
    name = next(iter(stream.values()), "")
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return (
            f"{error}; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is "
            "attached (an emulator takes any value, such as test)"
        )
    if isinstance(error, NoRegionError):
        return "no region: give --region, set AWS_REGION, or name the stream by its ARN"
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    if code == "ResourceNotFoundException":
        return f"stream {name} was not found: check --stream and --region, or give --create-shards N to create it"
    if code == "AccessDeniedException":
        return f"{error}\nthe credentials must allow kinesis:PutRecords on {name}"
    return str(error)
