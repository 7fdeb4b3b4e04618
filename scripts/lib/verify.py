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
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "jobs"))
from event_lake.config import ARCHIVE_KINDS, Config
from event_lake.config_file import parse_duration, read_config
from event_lake.errors import ConfigError
from put_records import NotAccepted, UsageError, connect
from sample_events import Sent, is_there, put, samples
from stored_events import Row, StoredEvents

LOOK_SECONDS = 2.0


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
    source, began = config.source, time.monotonic()
    client, stream = connect(source.stream, source.region or None, source.endpoint_url or None)
    sent = [put(client, stream, event) for event in samples(datetime.now(UTC))]
    back = [one for one in sent if is_there(client, stream, one)]
    print(f"read back by shard iterator: {len(back)} of {len(sent)}")
    print(f"waiting for the rows in {config.lake.path}, at most {wait.total_seconds():.0f} s", flush=True)
    stored = StoredEvents(config)
    rows = _wait_for_rows(stored, [one.uuid for one in sent], time.monotonic() + wait.total_seconds())
    _show(rows)
    wrong = [f"{one.uuid} was put, but the stream does not give it back" for one in sent if one not in back]
    wrong += _differences(sent, rows)
    seconds = time.monotonic() - began
    if not wrong:
        print(f"verify: OK, {len(sent)} events put, read back and stored once each; {seconds:.1f} s")
        return True
    found = {row.event_uuid for row in rows}
    print(f"verify: FAILED after {seconds:.1f} s")
    for line in [*wrong, *_where_to_look(config, stored, [one.uuid for one in sent if one.uuid not in found])]:
        print(f"  {line}")
    return False


def _differences(sent: Sequence[Sent], rows: Sequence[Row]) -> Iterator[str]:
    found = Counter(row.event_uuid for row in rows)
    for one in sent:
        if found[one.uuid] > 1:
            yield f"{one.uuid} is stored {found[one.uuid]} times"
        if not found[one.uuid]:
            yield f"{one.uuid} is missing ({one.shard}, {one.sequence})"


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
