"""A thread that does one thing with what it is given, behind a bounded queue: whoever gives never waits nor fails."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from event_lake.errors import in_one_line

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
        self._waiting: queue.Queue[T | None] = queue.Queue(most_waiting)  # None only wakes the thread
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
        with contextlib.suppress(queue.Full):  # then it is awake
            self._waiting.put_nowait(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            log.warning("metrics outlet=%s not done within %g s; what still waited is lost", self.name, seconds)

    def _run(self) -> None:
        while not (self._ending.is_set() and self._waiting.empty()):
            if items := self._next():
                self._do(items)

    def _next(self) -> list[T]:
        items = [self._waiting.get()]
        self._ending.wait(self._every)
        while len(items) < MOST_AT_ONCE and not self._waiting.empty():
            items.append(self._waiting.get_nowait())
        return [item for item in items if item is not None]

    def _do(self, items: Sequence[T]) -> None:
        try:
            self._work(items)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with metrics must not end the job
            self.failures += 1
            self.dropped += len(items)
            self._tell(f"{type(error).__name__}: {in_one_line(error)}")
        else:
            if self._is_failing:
                log.warning("metrics outlet=%s works again; dropped=%d so far", self.name, self.dropped)
            self._is_failing = False

    def _tell(self, why: str) -> None:
        if not self._is_failing:
            log.warning("metrics outlet=%s fails, the job goes on without: %s", self.name, why)
        self._is_failing = True
