"""The events of a measurement: made once, put into Kinesis servers and JSON-lines files alike."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from kinesis_server import KinesisProcess, Limits
from traffic import generate

STREAM = "bench"
TYPES, DUPLICATES = 20, 0.05
SLICE_SECONDS = 600.0  # the job's source.slice: so much arrival time goes into one micro-batch
FILES_PER_BATCH = 4


@dataclass(frozen=True)
class Events:
    """Events as lines of one file; `batch` of them arrive within one slice, the last one at `until` (Unix time)."""

    path: Path
    count: int
    distinct: int
    fingerprint: int  # of the distinct uuids
    data_bytes: int
    batch: int
    until: float

    @property
    def rate(self) -> float:
        """Arrivals a second. A few more than a slice needs: else rounding leaves the last ones to one of their own."""
        return (self.batch + 50) / SLICE_SECONDS

    def check(self, lake: Path) -> str | None:
        """What is wrong with the events in a Delta table; None where each is there once."""
        files = DeltaTable(str(lake)).file_uris()
        rows, uuids, fingerprint = _fingerprint(duckdb.read_parquet(files), "event_uuid")
        if (rows, uuids, fingerprint) == (self.distinct, self.distinct, self.fingerprint):
            return None
        return f"{lake.name} holds {rows:,} rows with {uuids:,} uuids, not the {self.distinct:,} that were sent"


def make_events(folder: Path, count: int, batch: int, seed: int) -> Events:
    """Writes `events.jsonl`. Broken events are left out: the yardstick has no quarantine to put them in."""
    path, uuids, size = folder / "events.jsonl", set[str](), 0
    until = time.time()
    with path.open("wb") as file:
        for put in generate(count, types=TYPES, duplicates=DUPLICATES, broken=0.0, seed=seed, now=until):
            # A few unusual events are spread over lines; outside of strings a space means the same.
            data = put.data.replace(b"\n", b" ").replace(b"\r", b" ")
            file.write(data + b"\n")
            size += len(data)
            uuids.add(put.event_uuid or "")
    sent = pa.table({"event_uuid": list(uuids)})
    _, distinct, fingerprint = _fingerprint(duckdb.from_arrow(sent), "event_uuid")
    return Events(path, count, distinct, fingerprint, size, batch, until)


def _fingerprint(rows: duckdb.DuckDBPyRelation, column: str) -> tuple[int, int, int]:
    figures = f"count(*), count(distinct {column}), bit_xor(hash({column}))"
    found = rows.aggregate(figures).fetchall()[0]
    return found[0], found[1], found[2]


def write_files(events: Events, folder: Path) -> None:
    """The same events as JSON-lines files, FILES_PER_BATCH to a micro-batch, modified when their last one arrived."""
    folder.mkdir()
    in_file = -(-events.batch // FILES_PER_BATCH)
    started = events.until - events.count / events.rate
    done = 0
    with events.path.open("rb") as lines:
        while part := list(islice(lines, in_file)):
            file = folder / f"{done:09}.jsonl"
            file.write_bytes(b"".join(part))
            done += len(part)
            arrived = started + done / events.rate
            os.utime(file, (arrived, arrived))


def ceiling(events: Events, shards: int) -> float:
    """Records a second that so many shards can give to one reader at most, by their 2 MiB/s."""
    uuid_key = 36  # the fill's partition keys are the events' uuids; the limit counts them too
    return shards * Limits().read_bytes / (events.data_bytes / events.count + uuid_key)


class FilledKinesis:
    """A Kinesis server in its own process, filled once and read as often as wanted."""

    def __init__(self, events: Events, shards: int) -> None:
        self.shards = shards
        self._until = events.until
        self.server = KinesisProcess()
        try:
            self.server.create_stream(STREAM, shards)
            stored = self.server.fill(
                STREAM,
                path=str(events.path),
                arrival_start=events.until - events.count / events.rate,
                arrival_rate=events.rate,
            )
            assert stored == events.count, f"{stored} of {events.count} events were filled in"
        except BaseException:
            self.server.stop()
            raise

    def prepare(self, real: bool, round_trip: float) -> None:
        """Before each run: it is a moment after the last arrival, whatever time earlier runs took."""
        self.server.set_clock(self._until + 5.0 - time.time())
        self.server.set_limits(real)
        self.server.set_round_trip(round_trip if real else 0.0)
        self.server.clear_calls()

    def calls(self) -> dict[str, dict[str, int]]:
        """What was asked of it since it was prepared, by operation."""
        return {
            operation: {
                key: sum(counts[key] for counts in shards.values())  # type: ignore[literal-required]
                for key in ("calls", "throttled", "failed", "records")
            }
            for operation, shards in self.server.stats(STREAM).items()
        }

    def close(self) -> None:
        self.server.stop()
