"""What Spark's checkpoint says of the last micro-batches: their clock, their end offsets, the watermark.

The format (version line, metadata line, one line a source; "-" where a source has none) is Spark's OffsetSeqLog,
stable since 2.1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from event_lake.errors import ConfigError, DataLossError
from event_lake.mark import BatchMark
from event_lake.storage import Storage

FORMAT = "v1"
RECOVERED = "recovered.json"


@dataclass(frozen=True)
class PlannedBatch:
    """One entry of the offset log; times are Unix milliseconds."""

    batch_id: int
    clock_ms: int
    watermark_ms: int
    end_offset: str  # the source's own JSON text


class CheckpointLog:
    """Reads a query's checkpoint folder, which is Spark's to write."""

    def __init__(self, storage: Storage, path: str) -> None:
        self._storage = storage
        self.path = path.rstrip("/")

    def has(self, folder: str) -> bool:
        """Whether the checkpoint has something in this folder: `state` where a stateful query wrote it."""
        return bool(self._storage.entries(f"{self.path}/{folder}"))

    def query_id(self) -> str | None:
        """Spark's name for the query; None before its first start."""
        path = f"{self.path}/metadata"
        return str(json.loads(self._storage.read_text(path))["id"]) if self._storage.exists(path) else None

    def recovered(self) -> BatchMark | None:
        """The micro-batch that this checkpoint begins behind, where it was made from the tables of another one."""
        path = f"{self.path}/{RECOVERED}"
        return BatchMark.from_json(self._storage.read_text(path)) if self._storage.exists(path) else None

    def last_planned(self) -> PlannedBatch | None:
        batch_id = self._newest("offsets")
        return None if batch_id is None else self.planned(batch_id)

    def last_committed(self) -> PlannedBatch | None:
        batch_id = self.newest_committed()
        return None if batch_id is None else self.planned(batch_id)

    def newest_committed(self) -> int | None:
        """The last micro-batch in Spark's commit log, which may be of one that the offset log has lost."""
        return self._newest("commits")

    def clear_unborn(self) -> None:
        """Removes what is left of the very first entry of the offset log, where a driver was killed in writing it.

        Spark begins no query where a file is in that folder (STATE_STORE_CHECKPOINT_LOCATION_NOT_EMPTY).
        """
        if self._newest("offsets") is None:
            for entry in self._storage.entries(f"{self.path}/offsets"):
                if entry.name.startswith("."):
                    self._storage.delete(entry.path)

    def planned(self, batch_id: int) -> PlannedBatch:
        """The entry of one micro-batch, which Spark has written before it runs the micro-batch."""
        path = f"{self.path}/offsets/{batch_id}"
        if not self._storage.exists(path):
            raise DataLossError(
                f"{path} is missing: where micro-batch {batch_id} ended is not known any more. Nothing was read. "
                "Restore the file, or recover from the tables into a new checkpoint (docs/operations.md)."
            )
        version, *lines = self._storage.read_text(path).splitlines()
        if version != FORMAT or len(lines) < 2:
            raise ConfigError(
                f"{path} is not an offset log of format {FORMAT}, as Spark up to 4.1 writes it (it begins with "
                f"{version[:20]!r}): the checkpoint is another Spark version's, or damaged. Nothing was read. Run the "
                "version that wrote it, or recover from the tables into a new checkpoint path (docs/operations.md)."
            )
        metadata = json.loads(lines[0])
        return PlannedBatch(batch_id, metadata["batchTimestampMs"], metadata["batchWatermarkMs"], lines[1])

    def _newest(self, log: str) -> int | None:
        names = [entry.name for entry in self._storage.entries(f"{self.path}/{log}")]
        return max((int(name) for name in names if name.isdigit()), default=None)


def refuse_backward_clock(last: PlannedBatch | None, now: datetime, window: timedelta, margin: timedelta) -> None:
    """Raises DataLossError where the clock has stepped back so far that Spark would drop records as late.

    Event time is at least now - window, the watermark at most the last clock - window - margin (or what the log says).
    """
    if last is None:
        return
    delay_ms = (window + margin).total_seconds() * 1000
    watermark_ms = max(last.watermark_ms, last.clock_ms - delay_ms)
    if (now - window).timestamp() * 1000 > watermark_ms:
        return
    if watermark_ms > last.clock_ms - delay_ms and now.timestamp() * 1000 >= last.clock_ms:
        free = _utc(watermark_ms) + window
        raise DataLossError(
            f"dedup.window ({window}) is longer than in the last runs: their watermark stands at "
            f"{_utc(watermark_ms).isoformat(timespec='seconds')}, and records would be dropped as late until "
            f"{free.isoformat(timespec='seconds')}. Nothing was read. Keep the former window until then, or start with "
            "a new checkpoint path."
        )
    raise DataLossError(
        f"this machine's clock says {now.isoformat(timespec='seconds')}, but micro-batches ran when it said "
        f"{_utc(watermark_ms + delay_ms).isoformat(timespec='seconds')}: it has stepped back by more than dedup.margin "
        f"({margin}), and records would be dropped as late. Nothing was read. Set the clock right, or wait until it "
        "has caught up."
    )


def _utc(millis: float) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
