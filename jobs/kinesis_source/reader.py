"""Reading `[start, end)` ranges of many shards in one task: the executors' half.

A `RangeReader` reads one shard's range request by request, and knows when it is finished and whether something is
missing; the `Crew` is who makes the requests of all the task's shards.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from kinesis_source.batches import Record, size_of
from kinesis_source.client import AnswerTooLarge, KinesisClient, PassingFault, wait_before_retry
from kinesis_source.crew import Crew
from kinesis_source.errors import StreamError, UnavailableError
from kinesis_source.expiry import Expiry, Keeping
from kinesis_source.gap import Gap
from kinesis_source.options import Options
from kinesis_source.pace import Pace, PageSize, Streak
from kinesis_source.position import END, Position, format_time
from kinesis_source.shards import Page, ShardCursor

log = logging.getLogger(__name__)

# What AWS says of a shard that retention has passed, and of a position in a stream that was made anew.
GONE = ("ResourceNotFoundException", "InvalidArgumentException")

# Empty answers at the tip, one after the other, that prove that a planned end is not there.
ANSWERS_AT_TIP = 3


@dataclass(frozen=True)
class ShardRange:
    """The records of one shard in one micro-batch: from `start` up to `end` (positions, see `position`)."""

    shard_id: str
    start: Position
    end: Position
    keeping: Keeping | None = None  # what tells whether retention has passed a part of it


class RangeReader:
    """One shard range being read; knows when it is finished and whether anything is missing."""

    def __init__(self, client: KinesisClient, shard_range: ShardRange, options: Options) -> None:
        self.range = shard_range
        self.finished = False
        self.gap: Gap | None = None  # what is missing; comes before the records of the same answer
        self._client, self._options = client, options
        self._cursor = ShardCursor(client, shard_range.shard_id, shard_range.start)
        self._retry_seconds = options.retry_seconds
        self._pace = Pace(options.calls_per_second, options.bytes_per_second)
        self._pages = PageSize(options.stream, options.calls_per_second, options.bytes_per_second)
        self._last_seen: str | None = None
        keeping, start = shard_range.keeping, shard_range.start
        self._expiry = Expiry(client, shard_range.shard_id, start, keeping, options) if keeping else None
        self._answers_at_tip = 0
        self._behind: int | None = None
        self._faults = Streak()
        self._empty = Streak()

    @property
    def answer_bytes(self) -> int:
        """How large the next answer is likely to be."""
        return self._pages.answer_bytes

    def next_page(self, admits: Callable[[int], bool]) -> tuple[list[Record], float]:
        """One request: the records that belong to the range, and the seconds to wait before the next request.

        `admits` says whether there is room for an answer of so many bytes; where there is not, the next request asks
        for that much room beforehand.
        """
        began = time.monotonic()
        try:
            page = self._read_once(admits)
        except AnswerTooLarge as large:
            self._pages.expect(large.size)
            self._pace.read(3 * large.size // 4)  # AWS counts what it has sent
            return [], self._pace.wait()
        except PassingFault as fault:
            wait = max(self._pace.wait(), wait_before_retry(self._faults.length + 1))
            self._faults.extend(time.monotonic() - began + wait)
            if self._faults.seconds > self._retry_seconds:
                what = f"reading shard {self.range.shard_id}"
                raise self._client.gave_up(what, self._faults.length, fault) from fault
            return [], wait
        except StreamError as error:
            if error.code not in GONE:
                raise
            self._lost(f"AWS no longer knows this shard or position ({error})")
            self.finished = True
            return [], 0.0
        self._faults.end()
        if page.records:
            self._empty.end()
        records = self._within_range(page)
        if page.records:
            self._last_seen, self._answers_at_tip = page.records[-1]["SequenceNumber"], 0
            if self._expiry:
                self._expiry.saw(page.records)
        elif not self.finished:
            self._check_progress(page, time.monotonic() - began + self._options.empty_pause_seconds)
        return records, max(self._pace.wait(), 0.0 if page.records else self._options.empty_pause_seconds)

    def _read_once(self, admits: Callable[[int], bool]) -> Page:
        received = 0

        def admitted(size: int) -> bool:
            nonlocal received
            received = size
            return admits(size)

        self._pace.called()
        page = self._cursor.read_once(self._pages.limit, admitted)
        self._pace.read(size_of(page.records))
        self._pages.saw(received, len(page.records))
        return page

    def _within_range(self, page: Page) -> list[Record]:
        records, end = page.records, self.range.end
        if records:
            self._check_front(records[0])
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

    def _check_front(self, first: Record) -> None:
        """Nothing is missing between what was seen last and the first record of an answer."""
        start = self.range.start
        if self._last_seen is None and start.kind == "at":
            if int(first["SequenceNumber"]) != start.sequence:
                what = f"the record {start.value}, where reading was to go on, is gone"
                self._lost(f"{what}; {_oldest_left(first)}", first)
        elif self._expiry and (expired := self._expiry.before(first)):
            self._lost(f"{expired}; {_oldest_left(first)}", first)

    def _check_end(self, found: Record) -> None:
        """The record that a planned end names was there when it was planned."""
        if int(found["SequenceNumber"]) != self.range.end.sequence and self.gap is None:
            self._lost(
                f"the record {self.range.end.value}, where reading was to end, is gone; {_oldest_left(found)}", found
            )

    def _check_progress(self, page: Page, seconds: float) -> None:
        """After an empty answer: they are usual on the way to the next record, but not without end."""
        self._answers_at_tip = self._answers_at_tip + 1 if page.at_tip else 0
        if page.at_end:
            self._lost(f"the shard ended before the planned end {self.range.end} was reached")
            self.finished = True
        elif page.at_tip and self.range.start.kind == "time" and self._last_seen is None:
            self.finished = True  # nothing has arrived since then
        elif self._answers_at_tip >= ANSWERS_AT_TIP:
            self._lost(f"the shard's tip was reached before the planned end {self.range.end}")
            self.finished = True
        elif self._came_closer(page):
            self._empty.end()
        else:
            self._empty.extend(seconds)
            if self._empty.seconds > self._retry_seconds:
                raise self._no_progress(page)

    def _came_closer(self, page: Page) -> bool:
        """Whether AWS has got further through a stretch without records."""
        before, self._behind = self._behind, page.behind_millis
        return before is not None and page.behind_millis is not None and 0 < page.behind_millis < before

    def _no_progress(self, page: Page) -> UnavailableError:
        return UnavailableError(
            f"shard {self.range.shard_id} of stream {self._options.stream} gave {self._empty.length} empty answers in "
            f"{self._empty.seconds:.0f} s, though there is more in it ({page.behind_millis} ms behind its tip). "
            "Nothing is lost: start the query again and it goes on from its checkpoint; if it happens again, "
            "retrySeconds is too low."
        )

    def _lost(self, what: str, first: Record | None = None) -> None:
        """Something of the range is gone; `first` is the first record behind that."""
        start, shard = self.range.start, self.range.shard_id
        arrived = self._client.clock.now() if first is None else float(first["ApproximateArrivalTimestamp"])
        sequence = self._last_seen or (start.value if start.sequence is not None else None)
        if sequence is None and first is not None:
            sequence = first["SequenceNumber"]
        what = f"reading from {start} to {self.range.end}: {what}"
        self.gap = Gap.of(
            self._options.stream_name,
            shard,
            sequence,
            arrived,
            what,
            begins=f"after:{self._last_seen}" if self._last_seen else str(start),
            ends=None if first is None else first["SequenceNumber"],
            since=self._expiry.clear if self._expiry else None,
        )
        if self._options.fail_on_data_loss:
            raise self.gap.error()
        log.error("%s", self.gap.what)


def _oldest_left(record: Record) -> str:
    arrived = format_time(float(record["ApproximateArrivalTimestamp"]))
    return f"the oldest left is {record['SequenceNumber']}, arrived {arrived}"


def _is_behind(end: Position, sequence: int) -> bool:
    """Whether a record with this sequence number lies behind the end of reading."""
    goal = end.sequence
    return goal is not None and (sequence > goal or (end.kind == "at" and sequence == goal))


def read_ranges(ranges: list[ShardRange], options: Options) -> Iterator[pa.RecordBatch]:
    """Yields every record of `ranges` in the raw-record schema, shards interleaved."""
    client = KinesisClient(options)
    crew = Crew([RangeReader(client, item, options) for item in ranges], options)
    try:
        yield from crew.batches()
    finally:
        crew.dismiss()
