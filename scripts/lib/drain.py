"""How far a job has come that ends when it has caught up, from the lines that it prints of its micro-batches."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from status_line import duration

STARTED = re.compile(r" started spark=")
BATCH = re.compile(r"received=(\d+) .*\bbatch=\d+ seconds=([\d.]+) lag_seconds=([\d.]+|unknown)")


@dataclass(frozen=True)
class Reached:
    """After a micro-batch."""

    at: float  # when it ended, as the clock tells it
    lag: float  # seconds that the next record of the slowest shard had been waiting when it was planned; 0: not known
    left: float  # the same without what has arrived since the start, which a drain does not take


class Drain:
    """Is told each line of the job's; a job that is not at the tip is so many seconds of arrivals behind."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._records = 0
        self._first: Reached | None = None
        self._last: Reached | None = None

    def told(self, line: str) -> None:
        now = self._clock()
        if STARTED.search(line):
            self._began = now  # Java and Spark have started: from here on it counts
        elif batch := BATCH.search(line):
            self._records += int(batch[1])
            lag = 0.0 if batch[3] == "unknown" else float(batch[3])
            planned = now - float(batch[2])
            self._last = Reached(now, lag, max(lag - (planned - self._began), 0.0))
            self._first = self._first or self._last

    def parts(self) -> list[str]:
        """What to show now, the most important first."""
        seconds = self._clock() - self._began
        if self._last is None:
            return ["no micro-batch yet", duration(seconds)]
        rate = self._records / max(self._last.at - self._began, 0.001)
        found = [f"{self._records:,} records", f"{rate:,.0f}/s"]
        if self._last.lag:
            found.append(f"{duration(self._last.lag)} behind the tip")
        left = self._seconds_left()
        return [*found, f"{duration(seconds)} so far" if left is None else f"about {duration(left)} left"]

    def _seconds_left(self) -> float | None:
        """At the pace at which it has caught up since its first micro-batch; None where that tells nothing."""
        if self._first is None or self._last is None or not self._last.left:
            return None
        caught_up = self._first.left - self._last.left
        if caught_up <= 0:
            return None
        pace = caught_up / (self._last.at - self._first.at)
        return max(self._last.left / pace - (self._clock() - self._last.at), 0.0)
