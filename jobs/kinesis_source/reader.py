"""Reading `[start, end)` ranges of many shards in one task: the executors' half.

A shard gives at most 2 MB/s, a core can take dozens of shards. So a task serves all its shards from one small pool
of connections: a shard that has to wait (throttled, or nothing there yet) waits in a heap by due time, and the
connection goes on with another. Each shard has one request under way at most, so its records stay in order.
"""

from __future__ import annotations

import base64
import heapq
import logging
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from kinesis_source.client import KinesisClient, PassingFault, wait_before_retry
from kinesis_source.errors import StreamError, UnavailableError
from kinesis_source.gap import SUB_SEQUENCE_NUMBER, Gap
from kinesis_source.options import Options
from kinesis_source.position import END, Position, format_time
from kinesis_source.shards import Page, ShardCursor

log = logging.getLogger(__name__)

# A shard allows 5 GetRecords calls a second (AWS quotas); after an empty answer there is no hurry.
EMPTY_PAGE_PAUSE_SECONDS = 0.2

WAITING_BATCHES = 2

# What AWS says of a shard that retention has passed, and of a position in a stream that was made anew.
GONE = ("ResourceNotFoundException", "InvalidArgumentException")

# Empty answers at the tip, one after the other, that prove that a planned end is not there.
ANSWERS_AT_TIP = 3

# Records an answer: with 5 calls/s still over ten times what a shard takes in a second, in a quarter of the memory that
# AWS's most of 10,000 would need in each connection.
PAGE_RECORDS = 2_500

ARROW_SCHEMA = pa.schema(
    [
        ("data", pa.binary()),
        ("streamName", pa.string()),
        ("shardId", pa.string()),
        ("partitionKey", pa.string()),
        ("sequenceNumber", pa.string()),
        ("subSequenceNumber", pa.int64()),
        ("approximateArrivalTimestamp", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class ShardRange:
    """The records of one shard in one micro-batch: from `start` up to `end` (positions, see `position`)."""

    shard_id: str
    start: Position
    end: Position


@dataclass(order=True)
class _Turn:
    """A shard waiting for its next request."""

    due: float
    shard: _RangeReader = field(compare=False)


class _RangeReader:
    """One shard range being read; knows when it is finished and whether anything is missing."""

    def __init__(self, client: KinesisClient, shard_range: ShardRange, options: Options) -> None:
        self.range = shard_range
        self.finished = False
        self.gap: Gap | None = None  # what is missing; comes before the records of the same answer
        self._client, self._options = client, options
        self._cursor = ShardCursor(client, shard_range.shard_id, shard_range.start)
        self._last_seen: str | None = None
        self._answers_at_tip = 0
        self._progress_at = time.monotonic()
        self._faults = 0

    def next_page(self, retry_seconds: float, client: KinesisClient) -> tuple[list[dict[str, Any]], float]:
        """One request: the records that belong to the range, and the seconds to wait before the next request."""
        try:
            page = self._cursor.read_once(PAGE_RECORDS)
        except PassingFault as fault:
            self._faults += 1
            wait = wait_before_retry(self._faults)
            if time.monotonic() + wait - self._progress_at > retry_seconds:
                raise client.gave_up(f"reading shard {self.range.shard_id}", self._faults, fault) from fault
            return [], wait
        except StreamError as error:
            if error.code not in GONE:
                raise
            self._lost(f"AWS no longer knows this shard or position ({error})")
            self.finished = True
            return [], 0.0
        self._faults = 0
        if page.records:
            self._progress_at = time.monotonic()
        records = self._within_range(page)
        if page.records:
            self._last_seen = page.records[-1]["SequenceNumber"]
        if not self.finished:
            self._check_progress(page, retry_seconds)
        return records, 0.0 if page.records else EMPTY_PAGE_PAUSE_SECONDS

    def _within_range(self, page: Page) -> list[dict[str, Any]]:
        records, end = page.records, self.range.end
        if records and self._last_seen is None:
            self._check_start(records[0])
        if end == END:
            self.finished = page.at_end
            if page.at_end and not records and self._last_seen is None and self.range.start.kind == "at":
                self._lost(
                    f"the record {self.range.start.value}, where reading was to go on, and all behind it are gone"
                )
            return records
        goal = end.sequence
        if records and goal is not None and int(records[-1]["SequenceNumber"]) >= goal:
            self.finished = True
            self._check_end(next(record for record in records if int(record["SequenceNumber"]) >= goal))
            return [record for record in records if not _is_behind(end, int(record["SequenceNumber"]))]
        return records

    def _check_start(self, first: dict[str, Any]) -> None:
        start = self.range.start
        if start.kind == "at" and int(first["SequenceNumber"]) != start.sequence:
            self._lost(f"the record {start.value}, where reading was to go on, is gone; {_oldest_left(first)}", first)

    def _check_end(self, found: dict[str, Any]) -> None:
        """The record that a planned end names was there when it was planned."""
        if int(found["SequenceNumber"]) != self.range.end.sequence and self.gap is None:
            self._lost(
                f"the record {self.range.end.value}, where reading was to end, is gone; {_oldest_left(found)}", found
            )

    def _check_progress(self, page: Page, retry_seconds: float) -> None:
        self._answers_at_tip = self._answers_at_tip + 1 if page.at_tip and not page.records else 0
        if page.at_end:
            self._lost(f"the shard ended before the planned end {self.range.end} was reached")
            self.finished = True
        elif page.at_tip and self.range.start.kind == "time" and self._last_seen is None:
            self.finished = True  # nothing has arrived since then
        elif self._answers_at_tip >= ANSWERS_AT_TIP:
            self._lost(f"the shard's tip was reached before the planned end {self.range.end}")
            self.finished = True
        elif time.monotonic() - self._progress_at > retry_seconds:
            raise UnavailableError(
                f"reading shard {self.range.shard_id} of stream {self._options.stream}: the planned end "
                f"{self.range.end} was not found within {retry_seconds:g} s of empty answers. Nothing is lost: start "
                "the query again."
            )

    def _lost(self, what: str, first: dict[str, Any] | None = None) -> None:
        """Something of the range is gone; `first` is the first record behind that."""
        start, shard = self.range.start, self.range.shard_id
        arrived = self._client.clock.now() if first is None else float(first["ApproximateArrivalTimestamp"])
        sequence = self._last_seen or (start.value if start.sequence is not None else None)
        if sequence is None and first is not None:
            sequence = first["SequenceNumber"]
        what = f"reading from {start} to {self.range.end}: {what}"
        self.gap = Gap.of(self._options.stream_name, shard, sequence, arrived, what)
        if self._options.fail_on_data_loss:
            raise self.gap.error()
        log.error("%s", self.gap.what)


def _oldest_left(record: dict[str, Any]) -> str:
    arrived = format_time(float(record["ApproximateArrivalTimestamp"]))
    return f"the oldest left is {record['SequenceNumber']}, arrived {arrived}"


def _is_behind(end: Position, sequence: int) -> bool:
    """Whether a record with this sequence number lies behind the end of reading."""
    goal = end.sequence
    return goal is not None and (sequence > goal or (end.kind == "at" and sequence == goal))


def read_ranges(ranges: list[ShardRange], options: Options) -> Iterator[pa.RecordBatch]:
    """Yields every record of `ranges` in the raw-record schema, one batch a Kinesis answer, shards interleaved."""
    crew = _Crew(KinesisClient(options), ranges, options)
    try:
        yield from crew.batches()
    finally:
        crew.dismiss()


class _Crew:
    """The threads that take turns at the shards. Each holds one answer of AWS at most; two batches wait to be taken."""

    def __init__(self, client: KinesisClient, ranges: list[ShardRange], options: Options) -> None:
        self._client, self._options = client, options
        readers = [_RangeReader(client, item, options) for item in ranges]
        self._turns = [_Turn(0.0, reader) for reader in readers]
        self._left = len(readers)
        self._changed = threading.Condition()
        self._batches: queue.Queue[pa.RecordBatch | BaseException] = queue.Queue(WAITING_BATCHES)
        self._dismissed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"kinesis-exact-{n}", daemon=True)
            for n in range(min(options.connections, len(readers)))
        ]

    def batches(self) -> Iterator[pa.RecordBatch]:
        for thread in self._threads:
            thread.start()
        working = len(self._threads)
        while working:
            batch = self._batches.get()
            if isinstance(batch, _Done):
                working -= 1
            elif isinstance(batch, BaseException):
                raise batch
            else:
                yield batch

    def dismiss(self) -> None:
        """Lets the threads end; called when everything is read and when reading was given up."""
        with self._changed:
            self._dismissed = True
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            while (turn := self._take_turn()) is not None:
                records, wait = turn.shard.next_page(self._options.retry_seconds, self._client)
                if turn.shard.gap is not None:
                    self._put(gaps_to_arrow([turn.shard.gap], self._options.stream_name))
                    turn.shard.gap = None
                if records:
                    self._put(to_arrow(records, self._options.stream_name, turn.shard.range.shard_id))
                self._give_back(turn.shard, wait)
            self._put(_Done())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that Spark runs
            self._put(error)

    def _take_turn(self) -> _Turn | None:
        with self._changed:
            while self._left and not self._dismissed:
                wait = self._turns[0].due - time.monotonic() if self._turns else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._turns)
                self._changed.wait(wait)
            return None

    def _give_back(self, reader: _RangeReader, wait: float) -> None:
        with self._changed:
            if reader.finished:
                self._left -= 1
            else:
                heapq.heappush(self._turns, _Turn(time.monotonic() + wait, reader))
            self._changed.notify_all()

    def _put(self, batch: pa.RecordBatch | BaseException) -> None:
        while not self._dismissed:
            try:
                self._batches.put(batch, timeout=0.5)
                return
            except queue.Full:
                continue


class _Done(BaseException):
    """A thread has no more turns to take."""


def to_arrow(records: list[dict[str, Any]], stream: str, shard_id: str) -> pa.RecordBatch:
    """GetRecords' JSON records as one batch, built by column. Arrival times keep AWS's milliseconds."""
    count = len(records)
    decode = base64.b64decode
    return pa.RecordBatch.from_arrays(
        [
            pa.array([decode(record["Data"]) for record in records], pa.binary()),
            pa.repeat(pa.scalar(stream, pa.string()), count),
            pa.repeat(pa.scalar(shard_id, pa.string()), count),
            pa.array([record["PartitionKey"] for record in records], pa.string()),
            pa.array([record["SequenceNumber"] for record in records], pa.string()),
            pa.repeat(pa.scalar(0, pa.int64()), count),
            pa.array(
                [round(record["ApproximateArrivalTimestamp"] * 1000) * 1000 for record in records],
                pa.timestamp("us", tz="UTC"),
            ),
        ],
        schema=ARROW_SCHEMA,
    )


def gaps_to_arrow(gaps: list[Gap], stream: str) -> pa.RecordBatch:
    """Gaps as rows among the records, see `gap`."""
    count = len(gaps)
    return pa.RecordBatch.from_arrays(
        [
            pa.nulls(count, pa.binary()),
            pa.repeat(pa.scalar(stream, pa.string()), count),
            pa.array([gap.shard_id for gap in gaps], pa.string()),
            pa.array([gap.what for gap in gaps], pa.string()),
            pa.array([gap.sequence for gap in gaps], pa.string()),
            pa.repeat(pa.scalar(SUB_SEQUENCE_NUMBER, pa.int64()), count),
            pa.array([round(gap.arrived * 1000) * 1000 for gap in gaps], pa.timestamp("us", tz="UTC")),
        ],
        schema=ARROW_SCHEMA,
    )
