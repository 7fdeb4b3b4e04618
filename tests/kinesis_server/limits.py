"""The service's limits per shard, as buckets that refill while time passes.

Numbers from "Quotas and limits" of the developer guide and the API reference (GetRecords, GetShardIterator).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """All per second; per shard, except ``list_shards`` (per stream)."""

    get_records: float = 5
    get_shard_iterator: float = 5
    list_shards: float = 1000
    read_bytes: float = 2 * MIB
    write_records: float = 1000
    write_bytes: float = MIB


class Bucket:
    """Holds up to one second's worth."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._level = rate
        self._at = clock()

    def has(self, amount: float) -> bool:
        """An amount above what the bucket can ever hold passes when it is full: a large record bursts through."""
        now = self._clock()
        self._level = min(self._rate, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level >= min(amount, self._rate)

    def take(self, amount: float) -> None:
        self._level -= amount

    def borrow(self, amount: float) -> None:
        """Take what was only known afterwards.

        "If a call returns 10 MiB, subsequent calls made within the next 5 seconds throw": five seconds of 2 MiB, so
        what was saved up while idle does not shorten it.
        """
        self._level = -amount if amount > self._rate else self._level - amount


class Meters:
    """Every bucket of a server. Throttled calls take nothing."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: dict[tuple[object, ...], Bucket] = {}
        self._lock = threading.Lock()

    def may_call(self, operation: str, where: tuple[object, ...]) -> bool:
        rates = {
            "GetRecords": self._limits.get_records,
            "GetShardIterator": self._limits.get_shard_iterator,
            "ListShards": self._limits.list_shards,
        }
        with self._lock:
            calls = self._bucket((operation, *where), rates[operation])
            if not calls.has(1):
                return False
            if operation == "GetRecords" and not self._reads(where).has(1):
                return False
            calls.take(1)
            return True

    def was_read(self, where: tuple[object, ...], size: int) -> None:
        with self._lock:
            self._reads(where).borrow(size)

    def may_write(self, where: tuple[object, ...], size: int) -> bool:
        with self._lock:
            records = self._bucket(("records", *where), self._limits.write_records)
            volume = self._bucket(("written", *where), self._limits.write_bytes)
            if not (records.has(1) and volume.has(size)):
                return False
            records.take(1)
            volume.take(size)
            return True

    def _reads(self, where: tuple[object, ...]) -> Bucket:
        return self._bucket(("read", *where), self._limits.read_bytes)

    def _bucket(self, key: tuple[object, ...], rate: float) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(rate, self._clock)
        return bucket
