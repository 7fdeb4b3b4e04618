"""Whether a deployed job works, from outside: four sample events are put into its stream, read back from it, and waited
for in its table. Needs no Spark; the job must be running.

    scripts/verify --config FILE [--set section.key=value ...] [--wait "5 minutes"]

FILE is the job's own configuration, here or on S3. The events are of the original system's kinds, with uuids that begin
with "verify-" and are new each time, and stay in the table. Whoever calls it needs kinesis:PutRecord,
kinesis:GetShardIterator and kinesis:GetRecords on the stream, and s3:GetObject and s3:ListBucket on the tables.

Exit codes: 0 each was found exactly once; 1 one is missing, or there twice; 2 wrong configuration.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import boto3
import orjson
from botocore.exceptions import BotoCoreError, ClientError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "jobs"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from event_lake.config import ARCHIVE_KINDS, Config, parse_duration, read_config
from event_lake.errors import ConfigError
from put_records import NotAccepted, UsageError, advice, connect
from stored_events import Row, StoredEvents
from traffic import SAMPLE_EVENTS

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

LOOK_SECONDS = 2.0
READ_BACK_SECONDS = 30.0


@dataclass(frozen=True)
class Sent:
    """A sample event, and where Kinesis has put it."""

    uuid: str
    data: bytes
    shard: str
    sequence: str


def main(arguments: list[str]) -> int:
    given = _parse_arguments(arguments)
    try:
        wait = parse_duration("--wait", given.wait)
        config = read_config(_text(given.config), given.set)
        if config.source.kind in ARCHIVE_KINDS:
            raise ConfigError(f'source.kind is "{config.source.kind}"; only a stream can be put into')
        return 0 if verify(config, wait) else 1
    except (ConfigError, UsageError) as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    except (NotAccepted, ClientError, BotoCoreError, OSError) as error:
        print(f"verify: FAILED: {error}", file=sys.stderr)
        return 1


def verify(config: Config, wait: timedelta) -> bool:
    """Says what it does and finds. Whether each event is in the table exactly once, in time."""
    client, stream = connect(config.source.stream, config.source.region or None, config.source.endpoint_url or None)
    began = time.monotonic()
    sent = [_put(client, stream, event) for event in samples(datetime.now(UTC))]
    wrong = [
        f"{one.uuid} was put, but is not what the stream gives back"
        for one in sent
        if not _is_there(client, stream, one)
    ]
    print(f"read back by shard iterator: {len(sent) - len(wrong)} of {len(sent)}")
    print(f"waiting for the rows in {config.lake.path}, at most {wait.total_seconds():.0f} s", flush=True)
    stored = StoredEvents(config)
    rows = _wait_for_rows(stored, [one.uuid for one in sent], began + wait.total_seconds())
    _show(rows)
    found = Counter(row.event_uuid for row in rows)
    wrong += [f"{one.uuid} is stored {found[one.uuid]} times" for one in sent if found[one.uuid] > 1]
    missing = [one for one in sent if not found[one.uuid]]
    wrong += [f"{one.uuid} is missing ({one.shard}, {one.sequence})" for one in missing]
    if not wrong:
        print(f"verify: OK, {len(sent)} events put, read back and stored once each; {time.monotonic() - began:.1f} s")
        return True
    print(f"verify: FAILED after {time.monotonic() - began:.1f} s")
    for line in [*wrong, *_where_to_look(config, stored, [one.uuid for one in missing])]:
        print(f"  {line}")
    return False


def samples(now: datetime) -> list[bytes]:
    """The four sample events, as of now, each with a uuid of its own."""
    changed = {"created_at": int(now.timestamp())}
    return [
        orjson.dumps(orjson.loads(event) | changed | {"event_uuid": f"verify-{uuid4()}"}) for event in SAMPLE_EVENTS
    ]


def _put(client: KinesisClient, stream: dict[str, str], event: bytes) -> Sent:
    """As `aws kinesis put-record --data ... --partition-key ...` does it."""
    uuid = orjson.loads(event)["event_uuid"]
    try:
        answer = client.put_record(Data=event, PartitionKey=uuid, **stream)  # type: ignore[arg-type]
    except (ClientError, BotoCoreError) as error:
        raise UsageError(advice(error, stream)) from error
    sent = Sent(uuid, event, answer["ShardId"], answer["SequenceNumber"])
    print(f"put {orjson.loads(event)['event_name']} {uuid} into {sent.shard} at {sent.sequence}")
    return sent


def _is_there(client: KinesisClient, stream: dict[str, str], sent: Sent) -> bool:
    """`aws kinesis get-shard-iterator` and `get-records`: whether the stream gives the same bytes back."""
    place = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": sent.sequence}
    iterator: str | None = client.get_shard_iterator(ShardId=sent.shard, **place, **stream)["ShardIterator"]  # type: ignore[arg-type]
    deadline = time.monotonic() + READ_BACK_SECONDS
    while iterator and time.monotonic() < deadline:
        answer = client.get_records(ShardIterator=iterator, Limit=1)
        for record in answer["Records"]:
            return record["Data"] == sent.data and record["SequenceNumber"] == sent.sequence
        iterator = answer.get("NextShardIterator")
        time.sleep(0.25)  # an empty answer says nothing; a shard takes five calls a second
    return False


def _wait_for_rows(stored: StoredEvents, uuids: Sequence[str], deadline: float) -> list[Row]:
    while True:
        rows = stored.rows(uuids)
        if {row.event_uuid for row in rows} == set(uuids) or time.monotonic() >= deadline:
            return rows
        time.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))


def _show(rows: Sequence[Row]) -> None:
    for row in rows:
        seconds = (row.stored_at - row.arrived_at).total_seconds()
        print(f"found {row.event_uuid} arrived_at={row.arrived_at:%FT%T.%fZ} stored_after={seconds:.1f}s")
        print(f"  event_type={row.event_type} payload={row.payload}")


def _where_to_look(config: Config, stored: StoredEvents, missing: Sequence[str]) -> list[str]:
    if not missing:
        return ["Stored twice: hold the stream against the tables with scripts/audit."]
    problems = stored.quarantined(missing)
    if problems:
        return [f"{uuid} is in quarantine: {problem}" for uuid, problem in problems]
    newest = stored.newest()
    seen = f"last written {newest:%FT%TZ}" if newest else "not there, or without a commit"
    return [
        f"The events table {config.lake.path} is {seen}. Look whether the job runs, and its log (docs/deploy.md):",
        f"whether it reads the stream {config.source.stream} and writes to that path, whether it waits for another",
        "driver's lease, whether its lag (lag_seconds) is longer than --wait. Not stored yet is not lost.",
    ]


def _text(path: str) -> str:
    parts = urlsplit(path)
    if parts.scheme not in ("s3", "s3a"):
        try:
            return Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--config {path} cannot be read: {error}") from error
    try:
        found = boto3.client("s3").get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))
        return str(found["Body"].read().decode("utf-8"))
    except (ClientError, BotoCoreError) as error:
        raise ConfigError(f"--config {path} cannot be read: {error}") from error


def _parse_arguments(arguments: list[str]) -> argparse.Namespace:
    what, _, rest = (__doc__ or "").partition("\n\n")
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("scripts/verify", description=what, epilog=rest, formatter_class=formatter)
    parser.add_argument("--config", required=True, metavar="FILE", help="the job's configuration, here or s3://")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="goes before the file")
    parser.add_argument("--wait", default="5 minutes", metavar="DURATION", help="for the rows, at most (%(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
