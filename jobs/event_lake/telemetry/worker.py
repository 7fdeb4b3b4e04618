"""A thread that does one thing with what it is given, behind a bounded queue: whoever gives never waits nor fails."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")
MOST_WAITING = 1000
MOST_AT_ONCE = 100


class Worker(Generic[T]):
    """Calls `work` with all that waits, at most every `every` seconds.

    What it fails at, and what finds the queue full, is dropped and counted. The first failure is logged, and so is the
    first success after it; no other.
    """

    def __init__(
        self, name: str, work: Callable[[Sequence[T]], None], every: float = 0.0, most_waiting: int = MOST_WAITING
    ) -> None:
        self.name = name
        self._work = work
        self._every = every
        self._waiting: queue.Queue[T] = queue.Queue(most_waiting)
        self._ending = threading.Event()
        self.failures = 0
        self.dropped = 0
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name=f"event-lake-{name}", daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        try:
            self._waiting.put_nowait(item)
        except queue.Full:
            self.dropped += 1
            self._tell("more waits than it can keep")

    def stop(self, seconds: float) -> None:
        """What waits is done first, if that takes no longer than this."""
        self._ending.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            log.warning("metrics outlet=%s not done within %g s; what still waited is lost", self.name, seconds)

    def _run(self) -> None:
        while True:
            items = self._next()
            if items:
                self._do(items)
            elif self._ending.is_set():
                return

    def _next(self) -> list[T]:
        try:
            first = self._waiting.get(timeout=0.1)
        except queue.Empty:
            return []
        until = time.monotonic() + self._every
        while time.monotonic() < until and not self._ending.is_set():
            self._ending.wait(min(0.1, self._every))
        items = [first]
        while len(items) < MOST_AT_ONCE and not self._waiting.empty():
            items.append(self._waiting.get_nowait())
        return items

    def _do(self, items: Sequence[T]) -> None:
        try:
            self._work(items)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with metrics must not end the job
            self.failures += 1
            self.dropped += len(items)
            self._tell(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        else:
            if self._is_failing:
                log.warning("metrics outlet=%s works again; dropped=%d so far", self.name, self.dropped)
            self._is_failing = False

    def _tell(self, why: str) -> None:
        if not self._is_failing:
            log.warning("metrics outlet=%s fails, the job goes on without: %s", self.name, why)
        self._is_failing = True
