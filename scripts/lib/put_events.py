"""Puts events into a Kinesis stream: made-up traffic, one event from a file, or a file of JSON lines.

Works against any account through the usual credential chain, and against an emulator with --endpoint-url. Within one
partition key events go in order as far as PutRecords allows: records that Kinesis refused are sent again before
anything behind them. Exit code 0: all put, 1: Kinesis did not take them all, 2: wrong arguments, stream or credentials.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import orjson

from progress import Progress
from put_records import NotAccepted, Totals, UsageError, connect, create_stream, put_all

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from traffic import Put, generate


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    progress, totals = Progress("put-events", None if options.file else options.count), Totals()
    try:
        client, stream = connect(options.stream, options.region, options.endpoint_url)
        puts = from_file(options.file) if options.file else _made_up(options)
        if options.create_shards:
            create_stream(client, stream, options.create_shards)
        put_all(client, stream, puts, totals, rate=options.rate, report=progress.show)
        code, trouble = 0, ""
    except UsageError as error:
        code, trouble = 2, str(error)
    except NotAccepted as error:
        code, trouble = 1, str(error)
    except KeyboardInterrupt:
        code, trouble = 130, "interrupted"
    progress.clear()
    if trouble:
        print(f"put-events: {trouble}", file=sys.stderr)
    print(_summary(totals, progress.seconds, options))
    return code


def _summary(totals: Totals, seconds: float, options: argparse.Namespace) -> str:
    line = f"put={totals.put} failed={totals.failed}"
    if not options.file:
        line += f" left={options.count - totals.put - totals.failed} copies={totals.copies} broken={totals.broken}"
        line += f" seed={options.seed}"
    return f"{line} sent_again={totals.sent_again} seconds={seconds:.1f} rate={totals.put / max(seconds, 1e-3):.0f}"


# Where the events come from


def _made_up(options: argparse.Namespace) -> Iterator[Put]:
    return generate(
        options.count,
        types=options.types,
        duplicates=options.duplicates,
        broken=options.broken,
        seed=options.seed,
        now=time.time(),
    )


def from_file(name: str) -> Iterator[Put]:
    """One JSON document over several lines is one event; else each line is one. Empty lines are left out."""
    if name == "-":
        yield from _from_lines(sys.stdin.buffer)
        return
    try:
        with open(name, "rb") as lines:
            yield from _from_lines(lines)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error


def _from_lines(lines: BinaryIO) -> Iterator[Put]:
    """Reads on only where the first line is no JSON, so that an endless pipe of JSON lines is put as it comes."""
    first = lines.readline()
    chunks: Iterable[bytes] = itertools.chain([first], lines)
    if not _is_json(first):
        all_lines = [first, *lines]
        whole = b"".join(all_lines)
        chunks = [whole] if _is_json(whole) else all_lines
    for chunk in chunks:
        if data := chunk.removesuffix(b"\n"):
            yield Put(data, _partition_key(data))


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except ValueError:
        return False
    return True


def _partition_key(data: bytes) -> str:
    """The event's uuid, so that copies of an event meet in one shard; where there is none, a digest."""
    try:
        uuid = orjson.loads(data)["event_uuid"]
    except (ValueError, TypeError, KeyError):
        uuid = None
    return uuid[:128] if isinstance(uuid, str) and uuid else hashlib.sha256(data).hexdigest()


# Arguments


def _options(arguments: list[str]) -> argparse.Namespace:
    text, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="put-events", description=text, epilog=more)
    add = parser.add_argument
    add("--stream", required=True, help="name or ARN")
    add("--region", help="default: the ARN's, or what AWS_REGION or the profile says")
    add("--endpoint-url", help="an emulator's address; default: AWS")
    add("--create-shards", type=_whole, metavar="N", help="create the stream with N shards if it does not exist")
    add("--rate", type=_positive, help="events a second; default: as fast as Kinesis takes them")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--count", type=_whole, default=1000, help="how many events to make up (default %(default)s)")
    source.add_argument("--file", help="put one event or JSON lines from this file, byte for byte; - is stdin")
    add("--duplicates", type=_share, default=0.05, help="share of events sent a second time (default %(default)s)")
    add("--broken", type=_share, default=0.01, help="share of broken events, of every kind (default %(default)s)")
    add("--types", type=_whole, default=20, help="how many event types (default %(default)s)")
    add("--seed", type=int, default=time.time_ns() % 1_000_000_000, help="the same seed makes the same uuids again")
    options = parser.parse_args(arguments)
    if options.duplicates + options.broken > 1:
        parser.error("--duplicates and --broken are shares of --count: together at most 1")
    return options


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)


def _positive(text: str) -> float:
    if not float(text) > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return float(text)


def _share(text: str) -> float:
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return float(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
