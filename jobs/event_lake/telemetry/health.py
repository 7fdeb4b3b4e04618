"""Whether the job does what it is for, and if not, why: in words."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from event_lake.errors import AccountingError
from event_lake.mark import BatchMark


@dataclass(frozen=True)
class Bounds:
    """What is still healthy; zero: no bound."""

    silence: timedelta  # without a finished micro-batch, while there is something to do
    lag: timedelta


class Health:
    """Told by the batch writer and by whoever watches the query; asked by the endpoint, from other threads."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self._sign_of_life = clock()
        self._lag: tuple[str, float] | None = None
        self._failure: Exception | None = None

    def idle(self) -> None:
        """The query waits for data: there is nothing to finish."""
        self._sign_of_life = self._clock()
        self._lag = None

    def finished(self, mark: BatchMark) -> None:
        self._sign_of_life = self._clock()
        self._lag = max(mark.lag.items(), key=lambda shard: shard[1], default=None)

    def failed(self, error: Exception) -> None:
        self._failure = error

    def reasons(self) -> list[str]:
        """Why the job is not healthy; none where it is."""
        found = []
        silence = self._clock() - self._sign_of_life
        bound = self._bounds.silence.total_seconds()
        if bound and silence > bound:
            found.append(f"no micro-batch has finished for {silence:.0f} s; expected one within {bound:.0f} s")
        most = self._bounds.lag.total_seconds()
        if most and self._lag and self._lag[1] > most:
            shard, lag = self._lag
            found.append(f"shard {shard} is read {lag:.0f} s behind its tip; expected at most {most:.0f} s")
        if isinstance(self._failure, AccountingError):
            found.append(f"the accounting failed, and the job ends: {self._failure}")
        elif self._failure:
            found.append(f"the job fails: {self._failure}")
        return found
