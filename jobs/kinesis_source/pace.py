"""How fast one shard may be read: calls and bytes a second, kept to so that AWS need not refuse.

A call above the limits costs more than waiting for it would have: after an answer of 10 MiB AWS refuses the shard's
calls for five seconds (API reference, GetRecords), and other consumers of the shard are refused with us.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from kinesis_source.shards import MOST_RECORDS

# Bytes of answers, as they come over the wire.
SMALLEST_PAGE = 1024 * 1024
LARGEST_PAGE = 14 * 1024 * 1024
LEAST_GOAL = 64 * 1024

# Records to ask for where nothing is known of their size: another request costs less than an answer that is too large.
FIRST_LIMIT = 50
_record_bytes: dict[str, int] = {}  # by stream, as seen last in this process: Spark keeps it for the next micro-batch


class Pace:
    """One shard's budget. Up to one second's worth may come at once."""

    def __init__(
        self, calls_per_second: float, bytes_per_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._calls = _Bucket(calls_per_second, max(1.0, calls_per_second), clock)
        self._bytes = _Bucket(bytes_per_second, bytes_per_second, clock)

    def wait(self) -> float:
        """Seconds until the next call may be made."""
        return max(self._calls.wait(1.0), self._bytes.wait(0.0))

    def called(self) -> None:
        self._calls.take(1.0)

    def read(self, size: int) -> None:
        """Bytes of an answer, known only when it is there: data and partition keys, as AWS counts."""
        self._bytes.take(size)


class PageSize:
    """How many records to ask for, so that an answer is neither too large for memory nor too small for its call.

    An answer of 10 MiB, the most that AWS gives, brings nothing: 1 MiB at 5 calls/s is twice what a shard may give.
    """

    def __init__(self, stream: str, calls_per_second: float, bytes_per_second: float) -> None:
        self._stream = stream
        needed = 2 * bytes_per_second / calls_per_second  # JSON and base64 about double small records
        a_second = max(LEAST_GOAL, bytes_per_second)
        self._goal = int(min(LARGEST_PAGE, max(SMALLEST_PAGE, needed), a_second))
        self.limit = FIRST_LIMIT
        self.answer_bytes = self._goal
        if stream in _record_bytes:
            self._choose(_record_bytes[stream])

    def saw(self, answer_bytes: int, records: int) -> None:
        """Learns from an answer how large the shard's records are."""
        if records:
            _record_bytes[self._stream] = answer_bytes // records
            self._choose(answer_bytes // records)

    def _choose(self, record_bytes: int) -> None:
        self.limit = max(1, min(MOST_RECORDS, self._goal // max(1, record_bytes)))
        self.answer_bytes = max(SMALLEST_PAGE, self.limit * record_bytes)

    def expect(self, answer_bytes: int) -> None:
        """An answer of this size was refused for want of room; the same will come again."""
        self.answer_bytes = answer_bytes


class Streak:
    """The same thing again and again, and how long it took: tries and waits, not the time that Spark took meanwhile."""

    def __init__(self) -> None:
        self.length, self.seconds = 0, 0.0

    def extend(self, seconds: float) -> None:
        self.length += 1
        self.seconds += seconds

    def end(self) -> None:
        self.length, self.seconds = 0, 0.0


class _Bucket:
    def __init__(self, rate: float, most: float, clock: Callable[[], float]) -> None:
        self._rate, self._most, self._level = rate, most, most
        self._clock, self._at = clock, clock()

    def wait(self, needed: float) -> float:
        self._refill()
        return max(0.0, needed - self._level) / self._rate

    def take(self, amount: float) -> None:
        self._refill()
        # More than a second's worth is paid for in full: what was saved up does not shorten AWS's penalty.
        self._level = -amount if amount > self._most else self._level - amount

    def _refill(self) -> None:
        now = self._clock()
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
