"""One writer a lake: a lease that a driver takes at start and is asked for before every commit.

Drivers number themselves: whoever makes the file `N.holder` in the folder `<lake.path>_lease`, which only one can,
holds the lease as the N-th, for as long as there is no higher number. So one look at the highest number tells a driver
whether it still may write. The holder rewrites `N.beat` from a thread of its own; a driver that waits watches it
change, by its own monotonic clock (no two machines' clocks are compared), and takes N+1 once it has not changed for
`lease.time`, or at once where it says "released".

The folder lies beside the table and not in it: Delta makes no table in a folder that is not empty, VACUUM and whoever
lists a table's files never come by, and a table that is deleted and made again does not take the lease along.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType

from event_lake.config import Config
from event_lake.errors import LeaseError
from event_lake.lease_store import LeaseStore, store_at
from event_lake.storage import Storage

log = logging.getLogger(__name__)

RENEWALS = 5  # in the time after which a holder that is silent loses the lease
WAIT_SECONDS = 1.0  # between two looks of one that waits
TELL_SECONDS = 60.0
RELEASED = "released"
GIVE_UP = 1.5  # times lease.time


def lease_of(storage: Storage, config: Config) -> Lease:
    """The lease on the configured lake."""
    url = f"{storage.qualified(config.lake.path).rstrip('/')}_lease"
    return Lease(store_at(url, storage), url, config.lease.time.total_seconds())


@contextmanager
def stopped_lake(storage: Storage, config: Config) -> Iterator[Lease]:
    """The lease for work that is done while the job is stopped. Raises LeaseError while another driver lives."""
    lease = lease_of(storage, config)
    # A driver that died without a word is out after lease.time; one that lives is not to be waited for.
    until = time.monotonic() + GIVE_UP * config.lease.time.total_seconds()
    if not lease.acquire(lambda: time.monotonic() > until):
        raise LeaseError(f"another driver holds the lake {config.lake.path} and is alive; stop it first")
    with lease:
        yield lease


class Lease:
    """One driver's part in it; `with` an acquired lease it is kept, and released at the end."""

    def __init__(
        self,
        store: LeaseStore,
        url: str,
        seconds: float,
        wait_seconds: float = WAIT_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """It is lost after `seconds` without a sign of life."""
        self._clock = clock
        self._store = store
        self._url = url
        self._seconds = seconds
        self._wait_seconds = min(wait_seconds, seconds / RENEWALS)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        self._name = json.dumps(
            {"host": socket.gethostname(), "pid": os.getpid(), "since": since, "id": uuid.uuid4().hex}
        )
        self._number = 0  # 0: not held
        self._beats = 0
        self._renewed_at = 0.0  # by the monotonic clock, as all times here
        self._lost: LeaseError | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._watched: tuple[int, str | None] = (0, None)
        self._unchanged_since = 0.0

    def acquire(self, asked_to_stop: Callable[[], bool]) -> bool:
        """Waits for as long as another holder lives; False where asked to stop meanwhile."""
        told_at = float("-inf")
        while not asked_to_stop():
            with self._reached():
                newest = self._newest()
                if self._is_free(newest) and self._take(newest + 1):
                    return True
                if time.monotonic() - told_at >= TELL_SECONDS:
                    log.info("waiting for=lease lease=%s %s", self._url, self._holder(newest))
                    told_at = time.monotonic()
            time.sleep(self._wait_seconds)
        return False

    def __enter__(self) -> Lease:
        threading.Thread(target=self._keep, name="lease", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def check(self) -> None:
        """To be called before every commit. Raises LeaseError unless this driver holds the lease."""
        with self._reached():
            self._look()
            if self._clock() - self._renewed_at > self._seconds:
                # After a standstill. Nobody has taken the lease; from here on nobody does for a while.
                self._renew()
                self._look()

    def check_known(self) -> None:
        """Raises LeaseError where the thread that renews the lease has found it lost. Costs nothing."""
        if self._lost:
            raise self._lost

    def lost_to(self) -> LeaseError | None:
        """The error that names who has the lease, where that is another; None also where nobody can tell."""
        try:
            self._look()
        except LeaseError as error:
            return error
        except OSError:
            return None
        return None

    def release(self) -> None:
        """Lets the next driver start at once; from now on `check` refuses."""
        self._over.set()
        with self._lock:
            number, self._number = self._number, 0
            if not number or self._lost:
                return
            try:
                self._store.replace(_beat(number), RELEASED)
            except OSError as error:
                log.warning(
                    "not_released lease=%s error=%s: the next driver waits %g s", self._url, error, self._seconds
                )

    # Taking it

    def _is_free(self, newest: int) -> bool:
        # What is found now was so since the last look, however long this process stands still in between.
        began = self._clock()
        beat = self._store.read(_beat(newest)) if newest else RELEASED
        if beat == RELEASED:
            return True
        if self._watched != (newest, beat):
            self._watched, self._unchanged_since = (newest, beat), self._clock()
            return False
        return began - self._unchanged_since >= self._seconds

    def _take(self, number: int) -> bool:
        if not self._store.create(_holder(number), self._name):
            return False
        if self._store.create(_holder(number), "?"):
            raise LeaseError(
                f"the store at {self._url} does not refuse to make a file that exists (S3: If-None-Match), so no lease "
                "can be had there and two drivers could write one lake. Use a store that does."
            )
        self._number = number
        self._renew()
        newest = self._newest()
        if newest != number:  # while this process stood still, others have come and gone
            self._number = 0
            return False
        for name in self._store.names():
            if 0 < _number(name) < number:
                self._store.delete(name)
        log.info("lease=%s number=%d", self._url, number)
        return True

    # Keeping it

    def _keep(self) -> None:
        while not self._over.wait(self._seconds / RENEWALS):
            try:
                self._renew()
                self._look()
            except LeaseError as error:
                self._lost = error
                return
            except OSError as error:
                log.warning("not_renewed lease=%s error=%s", self._url, error)

    def _renew(self) -> None:
        with self._lock:
            if self._number:
                began = self._clock()
                self._beats += 1
                self._store.replace(_beat(self._number), str(self._beats))
                self._renewed_at = began

    def _look(self) -> None:
        number, newest = self._number, self._newest()
        if self._lost:
            raise self._lost
        if not number or newest != number:
            raise LeaseError(
                f"this driver does not hold the lease {self._url} any more: it is held by {self._holder(newest)}. "
                "Nothing more was committed, and nothing is lost: the other driver goes on. If both are meant to run, "
                "give each a lake of its own."
            )

    # The files

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LeaseError(
                f"the lease {self._url} cannot be reached, so nobody can tell whether another driver has taken it: "
                f"{error}. Nothing more was committed. Starting again goes on from the checkpoint."
            ) from error

    def _newest(self) -> int:
        """The highest number; 0 where nobody has ever held the lease."""
        return max((_number(name) for name in self._store.names() if name.endswith(".holder")), default=0)

    def _holder(self, number: int) -> str:
        text = self._store.read(_holder(number)) if number else None
        try:
            told = json.loads(text or "{}")
        except ValueError:
            told = {}
        return " ".join(f"{name}={told.get(name)}" for name in ("host", "pid", "since")) if told else "nobody known"


def _holder(number: int) -> str:
    return f"{number:010d}.holder"


def _beat(number: int) -> str:
    return f"{number:010d}.beat"


def _number(name: str) -> int:
    number = name.partition(".")[0]
    return int(number) if number.isdigit() else 0
