"""What a version left on disk when it was stopped: to be kept when it is released, and gone on with ever after.

    python tests/released_form.py VERSION     (of the checkout that it runs in, for each engine)

A stream is made anew from its description here, with the same sequence numbers and times to the millisecond: those
are functions of the server's clock, which stands at the same time in each run.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from kinesis_server import KinesisServer
from lake import LakeHouse, event

KEPT = Path(__file__).parent / "released"
FOLDERS = ("checkpoint", "events", "events_duplicates", "quarantine")
CREATED = 1_795_700_000  # Unix seconds, as all that follow
SHARDS = ("shardId-000000000000", "shardId-000000000001")

# Two micro-batches: events of two types, one copy in each, one broken record in each.
FIRST = [event(n, event_name=f"type{n % 2}:x") for n in range(8)] + [event(3, event_name="type1:x"), b"broken 0"]
SECOND = [event(n, event_name=f"type{n % 2}:x") for n in range(8, 12)] + [event(0, event_name="type0:x"), b"broken 1"]


@contextmanager
def stream() -> Iterator[KinesisServer]:
    """A server whose clock stands an hour after the stream was made, without records."""
    with KinesisServer() as server:
        with patch.object(server.service, "now", return_value=CREATED * 1000):
            server.create_stream("events", len(SHARDS))
        set_clock(server, 3600)
        yield server


def set_clock(server: KinesisServer, seconds: float) -> None:
    """To so many seconds after the stream was made; it goes on from there."""
    server.set_clock(0)
    server.set_clock(CREATED + seconds - server.now())


def put(server: KinesisServer, records: list[bytes], seconds: float) -> None:
    """Into both shards in turn, arrived one second after the other from so many seconds after the stream was made."""
    for number, data in enumerate(records):
        server.put("events", data, f"key-{number}", CREATED + seconds + number, SHARDS[number % len(SHARDS)])


def keep(version: str) -> None:
    """Runs this version in two micro-batches and keeps what it leaves."""
    import conftest  # noqa: PLC0415 - it changes the environment, as a session of Spark needs it

    with tempfile.TemporaryDirectory() as folder:
        spark = conftest.small_session(Path(folder))
        for engine in conftest.ENGINES:
            home = Path(folder) / engine
            home.mkdir()
            with stream() as server:
                house = LakeHouse(home, server)
                for records, seconds in ((FIRST, 60), (SECOND, 600)):
                    put(server, records, seconds)
                    house.run(spark, dedup_engine=engine)
            target = KEPT / f"{version}-{engine}"
            shutil.rmtree(target, ignore_errors=True)
            for name in FOLDERS:
                ignored = shutil.ignore_patterns(".*.crc", "*.crc", "_SUCCESS")
                if (home / name).exists():
                    shutil.copytree(home / name, target / name, ignore=ignored)
        spark.stop()


if __name__ == "__main__":
    keep(sys.argv[1])
