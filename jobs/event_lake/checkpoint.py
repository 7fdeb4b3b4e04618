"""What Spark's checkpoint says of the last micro-batches: their clock, their end offsets, the watermark.

The format (version line, metadata line, one line a source; "-" where a source has none) is Spark's OffsetSeqLog,
stable since 2.1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from event_lake.errors import DataLossError
from event_lake.storage import Storage


@dataclass(frozen=True)
class PlannedBatch:
    """One entry of the offset log; times are Unix milliseconds."""

    batch_id: int
    clock_ms: int
    watermark_ms: int
    end_offset: str  # the source's own JSON text


class CheckpointLog:
    """Reads a query's checkpoint folder; never writes it."""

    def __init__(self, storage: Storage, path: str) -> None:
        self._storage = storage
        self._path = path.rstrip("/")

    def last_planned(self) -> PlannedBatch | None:
        batch_id = self._newest("offsets")
        return None if batch_id is None else self.planned(batch_id)

    def last_committed(self) -> PlannedBatch | None:
        batch_id = self._newest("commits")
        return None if batch_id is None else self.planned(batch_id)

    def planned(self, batch_id: int) -> PlannedBatch:
        """The entry of one micro-batch, which Spark has written before it runs the micro-batch."""
        _, metadata, *offsets = self._storage.read_text(f"{self._path}/offsets/{batch_id}").splitlines()
        document = json.loads(metadata)
        return PlannedBatch(batch_id, document["batchTimestampMs"], document["batchWatermarkMs"], offsets[0])

    def _newest(self, log: str) -> int | None:
        names = [entry.name for entry in self._storage.entries(f"{self._path}/{log}")]
        return max((int(name) for name in names if name.isdigit()), default=None)


def refuse_backward_clock(last: PlannedBatch | None, now: datetime, window: timedelta, margin: timedelta) -> None:
    """Raises DataLossError where the clock has stepped back so far that Spark would drop records as late.

    Event time is at least now - window, the watermark at most the last clock - window - margin (or what the log says).
    """
    if last is None:
        return
    delay = (window + margin).total_seconds() * 1000
    watermark_ms = max(last.watermark_ms, last.clock_ms - delay)
    oldest_ms = (now - window).timestamp() * 1000
    if oldest_ms <= watermark_ms:
        was = datetime.fromtimestamp((watermark_ms + delay) / 1000, UTC)
        raise DataLossError(
            f"this machine's clock says {now.isoformat(timespec='seconds')}, but micro-batches ran when it said "
            f"{was.isoformat(timespec='seconds')}: it has stepped back by more than dedup.margin ({margin}), and "
            "records would be dropped as late. Nothing was read. Set the clock right, or wait until it has caught up."
        )
