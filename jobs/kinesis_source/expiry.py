"""What retention may pass of a range after it was planned, and while it is being read.

AWS then goes on with the oldest record that is left and does not say so. But retention takes the oldest first: where
the record before is still there, nothing behind it is gone. So only where that one may have expired is it asked for,
and only where it is gone is a loss told: nobody can tell then whether there was anything behind it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from kinesis_source.batches import Record
from kinesis_source.client import KinesisClient
from kinesis_source.options import Options
from kinesis_source.position import Position, at, format_time
from kinesis_source.shards import ShardCursor

# How far the server's clock may be ahead of what its answers have shown.
CLOCK_SECONDS = 2.0


@dataclass(frozen=True)
class Keeping:
    """`clear`: everything that arrived before then (Unix seconds) lies before the range, None where nobody knows.
    `retention`: how long the stream keeps records, in seconds."""

    clear: float | None
    retention: float


class Expiry:
    """Follows one range, answer by answer."""

    def __init__(
        self, client: KinesisClient, shard_id: str, start: Position, keeping: Keeping, options: Options
    ) -> None:
        self._client, self._shard_id, self._options = client, shard_id, options
        self._before = start.value if start.kind == "after" else None
        # Unix seconds: everything that arrived before then has been read.
        self.clear, self._retention = keeping.clear, keeping.retention

    def saw(self, records: list[Record]) -> None:
        self._before = records[-1]["SequenceNumber"]
        self.clear = max(self.clear or 0.0, _arrival(records[-1]))

    def before(self, first: Record) -> str | None:
        """What may be gone between what was seen last and `first`, the next one; None where nothing is."""
        clear, before = self.clear, self._before
        if clear is None or _arrival(first) <= clear:
            return None
        margin = CLOCK_SECONDS if before else 0.0
        if self._client.clock.now() - clear <= self._retention - margin or (before and self._holds(before)):
            return None
        return (
            f"retention ({self._retention / 3600:g} hours) has passed {before or 'the start'} before what is behind it "
            f"was read: what arrived since {format_time(clear)} may be gone"
        )

    def _holds(self, sequence: str) -> bool:
        cursor = ShardCursor(self._client, self._shard_id, at(sequence))
        deadline = time.monotonic() + self._options.retry_seconds
        while True:
            page = cursor.read(1)
            if page.records or page.at_tip or page.at_end or time.monotonic() > deadline:
                return bool(page.records) and int(page.records[0]["SequenceNumber"]) == int(sequence)
            time.sleep(self._options.empty_pause_seconds)


def _arrival(record: Record) -> float:
    return float(record["ApproximateArrivalTimestamp"])
