"""A process that takes a lease and commits under it, for tests that race, stop and kill it.

    lease_process.py URL SECONDS JOURNAL MODE

It appends lines `WORD PID` to the journal: `held` when it has the lease. With mode `turns` it then takes the lease ten
times, each time with `begin` and `end` around what only one may do at once. With `hold` it commits (`commit`) ten times
a second until it is told that it must not (`lost`); it says `waits` when it begins to ask for the lease.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from event_lake.errors import LeaseError
from event_lake.lease import Lease
from event_lake.lease_store import LeaseStore, PlainStore, S3Store
from event_lake.s3_client import s3_client

TURNS = 10
SOON = 0.005


def store_of(url: str) -> LeaseStore:
    """`s3://bucket/folder?endpoint`, or a path."""
    parts = urlsplit(url)
    if parts.scheme != "s3":
        return PlainStore(Path(url))
    return S3Store(s3_client(parts.query, "us-east-1", path_style=True), parts.netloc, parts.path.strip("/"))


def main(url: str, seconds: str, journal: str, mode: str) -> None:
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(word: str) -> None:
        os.write(file, f"{word} {os.getpid()}\n".encode())

    for _ in range(TURNS if mode == "turns" else 1):
        lease = Lease(store_of(url), url, float(seconds), SOON)
        if mode == "hold":
            say("waits")
        lease.acquire(lambda: False)
        with lease:
            if mode == "turns":
                lease.check()
                say("begin")
                time.sleep(random.uniform(0, 2 * SOON))
                lease.check()
                say("end")
                continue
            say("held")
            try:
                while True:
                    lease.check()
                    say("commit")
                    time.sleep(0.1)
            except LeaseError:
                say("lost")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main(*sys.argv[1:])
