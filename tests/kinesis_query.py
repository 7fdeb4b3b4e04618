"""Drives a Kinesis stream reader as Spark 4.1.1 does, without Spark: the same calls, in the same order, with the
offsets going through JSON text as they do in the offset log. Thousands of micro-batches a minute instead of tens."""

from __future__ import annotations

import json
import pickle
import time
from dataclasses import dataclass, field
from typing import Any

from kinesis_source.options import Options
from kinesis_source.position import StreamOffset
from kinesis_source.source import KinesisStreamReader


@dataclass(frozen=True)
class Delivered:
    """One record as the reader yielded it."""

    shard_id: str
    sequence_number: str
    data: bytes
    partition_key: str
    arrived_at: float  # Unix seconds
    lost: str | None = None  # of a gap row: what is lost


@dataclass
class OffsetLog:
    """What would stand under the checkpoint: end offsets as text, and how many micro-batches are committed."""

    ends: list[str] = field(default_factory=list)
    committed: int = 0


class KinesisQuery:
    """One streaming query; `restart` is what happens after a crash or a stop."""

    def __init__(self, options: dict[str, str], log: OffsetLog | None = None) -> None:
        self.options = options
        self.log = log or OffsetLog()
        self._reader = self._new_reader()
        self._resume()

    def batch(self, commit: bool = True) -> list[Delivered] | None:
        """One trigger: the micro-batch's records, or None where there was nothing new. Without `commit` it crashes
        after reading; the next start replays it."""
        end = json.dumps(self._reader.latestOffset())
        if self.log.ends and end == self.log.ends[-1]:
            return None
        start = self.log.ends[-1] if self.log.ends else json.dumps(self._reader.initialOffset())
        self.log.ends.append(end)
        records = self._read(start, end)
        if commit:
            self.log.committed = len(self.log.ends)
        return records

    def drain(self, expected: int, seconds: float = 20.0) -> list[Delivered]:
        """Micro-batches until that many records have come, and two triggers more for what should not come.

        A record is due a moment after its arrival: a micro-batch ends a little behind the server's clock.
        """
        records: list[Delivered] = []
        deadline = time.monotonic() + seconds
        while len(records) < expected and time.monotonic() < deadline:
            records += self.batch() or []
        return records + (self.batch() or []) + (self.batch() or [])

    def restart(self, **changed: str) -> list[Delivered]:
        """A new reader on the same log; what the replay of an uncommitted micro-batch delivered."""
        self.options = {**self.options, **changed}
        self._reader = self._new_reader()
        return self._resume()

    @property
    def offset(self) -> StreamOffset:
        return StreamOffset.from_json(json.loads(self.log.ends[-1]))

    def _resume(self) -> list[Delivered]:
        if not self.log.ends:
            return []
        last = self.log.ends[-1]
        assert self._read(last, last) == []
        if self.log.committed == len(self.log.ends):
            return []
        start = self.log.ends[-2] if len(self.log.ends) > 1 else json.dumps(self._reader.initialOffset())
        records = self._read(start, last)
        self.log.committed = len(self.log.ends)
        return records

    def _new_reader(self) -> KinesisStreamReader:
        return pickle.loads(pickle.dumps(KinesisStreamReader(Options.parse(self.options))))

    def _read(self, start: str, end: str) -> list[Delivered]:
        records: list[Delivered] = []
        for partition in self._reader.partitions(json.loads(start), json.loads(end)):
            executor = pickle.loads(pickle.dumps(self._reader))
            for page in executor.read(pickle.loads(pickle.dumps(partition))):
                records += [_delivered(row) for row in page.to_pylist()]
        return records


def _delivered(row: dict[str, Any]) -> Delivered:
    gap = row["data"] is None
    assert gap == (row["subSequenceNumber"] == -1)
    return Delivered(
        row["shardId"],
        row["sequenceNumber"],
        row["data"] or b"",
        row["partitionKey"],
        row["approximateArrivalTimestamp"].timestamp(),
        row["partitionKey"] if gap else None,
    )
