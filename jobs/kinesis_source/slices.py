"""How much one micro-batch takes: a slice of arrival time, bounded by records and bytes.

Nobody tells how many records lie between two sequence numbers, and counting them means to read them. But a shard takes
in at most 1,000 records and 1 MB a second (AWS quotas), so time bounds volume; and the probe that ends a shard's range
can bring, in the same call, the first few records behind it, which tell how dense the next slice is. Where a shard's
share is small its records are counted: it is read forward in the driver, in one call.

How long a slice is, is never a matter of exactness: what is written down are sequence numbers.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinesis_source.shards import Page

# What a shard takes in, at most (AWS quotas).
SHARD_RECORDS_PER_SECOND = 1000.0
SHARD_BYTES_PER_SECOND = 1024.0 * 1024.0

# Up to this share of a shard, its records are counted by reading them.
COUNTED_RECORDS = 2_500
COUNTED_BYTES = 2 * 1024 * 1024

FIRST_SAMPLE_RECORDS = 25
MOST_SAMPLE_RECORDS = 100
SAMPLE_BYTES = 256 * 1024


@dataclass(frozen=True)
class Next:
    """A record that is there but not yet planned; `arrival` in Unix seconds."""

    sequence: str
    arrival: float


def next_of(record: dict[str, Any]) -> Next:
    return Next(record["SequenceNumber"], float(record["ApproximateArrivalTimestamp"]))


def size_of(record: dict[str, Any]) -> int:
    """Bytes as AWS counts them, but for the padding of base64."""
    return len(record["Data"]) * 3 // 4 + len(record["PartitionKey"])


@dataclass(frozen=True)
class Rate:
    """How dense a shard is in time, records and bytes a second, never above what a shard takes in."""

    records: float
    bytes: float

    @classmethod
    def of(cls, page: Page, now: float, before: Rate | None = None) -> Rate:
        """From records that follow each other; what was known before counts for half."""
        count, total = len(page.records), sum(size_of(record) for record in page.records)
        first, last = next_of(page.records[0]).arrival, next_of(page.records[-1]).arrival
        seconds = max((now if page.at_tip or page.at_end else last) - first, 0.001)
        seen = cls(min(count / seconds, SHARD_RECORDS_PER_SECOND), min(total / seconds, SHARD_BYTES_PER_SECOND))
        return seen if before is None else cls((seen.records + before.records) / 2, (seen.bytes + before.bytes) / 2)

    @staticmethod
    def sample_size(rate: Rate | None) -> int:
        """Records to ask for in a probe: enough to tell a rate, few bytes whatever their size."""
        if rate is None or not rate.records:
            return FIRST_SAMPLE_RECORDS
        return int(max(2, min(MOST_SAMPLE_RECORDS, SAMPLE_BYTES * rate.records / max(rate.bytes, 1.0))))


FULL = Rate(SHARD_RECORDS_PER_SECOND, SHARD_BYTES_PER_SECOND)


@dataclass(frozen=True)
class Share:
    """What one shard may add to a micro-batch; at least one record, or it would stand still."""

    records: float = float("inf")
    bytes: float = float("inf")

    @property
    def limited(self) -> bool:
        return min(self.records, self.bytes) < float("inf")

    @property
    def counted(self) -> bool:
        return self.records <= COUNTED_RECORDS or self.bytes <= COUNTED_BYTES

    def first_beyond(self, records: list[dict[str, Any]], span: Slice, begun: bool) -> Next | None:
        """The first of these records that is too much; where the share is counted, also the first behind the slice."""
        if not self.limited:
            return None
        until = span.end if self.counted and not span.at_now else float("inf")
        total = 0
        for number, record in enumerate(records):
            total += size_of(record)
            full = number >= self.records or total > self.bytes or float(record["ApproximateArrivalTimestamp"]) >= until
            if full and (begun or number):
                return next_of(record)
        return None

    def less(self, records: list[dict[str, Any]]) -> Share:
        if not self.limited:
            return self
        return Share(max(self.records - len(records), 0), max(self.bytes - sum(map(size_of, records)), 0))


@dataclass(frozen=True)
class Slice:
    """A span of arrival time, up to `end` (Unix seconds). `at_now`: its end is as late as can be. `share`: what a shard
    that is known to hold more may add, `idle_share`: one that was at its tip."""

    end: float
    at_now: bool
    share: Share
    idle_share: Share


@dataclass(frozen=True)
class Limits:
    """The most that one micro-batch is to hold."""

    seconds: float
    records: float = float("inf")
    bytes: float = float("inf")

    @property
    def by_volume(self) -> bool:
        return min(self.records, self.bytes) < float("inf")

    def slice(self, waiting: Collection[tuple[float, Rate | None]], shards: int, now: float) -> Slice:
        """The next slice. `waiting`: when the next record of a shard arrived, and how dense it is there, for each of
        the `shards` shards where one is known to wait."""
        idle = shards - len(waiting)
        reserved = 0.5 * idle / shards if waiting else 1.0
        idle_share = self._share(reserved, idle)
        if not waiting:
            return Slice(now, True, idle_share, idle_share)
        start = min(arrival for arrival, _ in waiting)
        rates = [rate or FULL for arrival, rate in waiting if arrival < start + self.seconds]
        seconds = self.seconds
        if self.by_volume:
            records, size = sum(rate.records for rate in rates), sum(rate.bytes for rate in rates)
            seconds = min(seconds, self.records / max(records, 1e-9), self.bytes / max(size, 1e-9))
        end = start + max(seconds, 0.001)
        return Slice(min(now, end), end >= now, self._share(1 - reserved, len(rates)), idle_share)

    def _share(self, part: float, shards: int) -> Share:
        """An equal share for each of so many shards in a part of the micro-batch."""
        bounds = (self.records, self.bytes)
        return Share(*(most if most == float("inf") else max(1.0, part * most // max(shards, 1)) for most in bounds))
