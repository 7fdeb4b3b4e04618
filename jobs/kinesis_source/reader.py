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
from kinesis_source.errors import DataLossError, UnavailableError
from kinesis_source.options import Options
from kinesis_source.pace import Pace, PageSize, Streak
from kinesis_source.position import END, Position
from kinesis_source.shards import Page, ShardCursor

log = logging.getLogger(__name__)

# A shard allows 5 GetRecords calls a second (AWS quotas); after an empty answer there is no hurry.
EMPTY_PAGE_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class ShardRange:
    """The records of one shard in one micro-batch: from `start` up to `end` (positions, see `position`)."""

    shard_id: str
    start: Position
    end: Position


class RangeReader:
    """One shard range being read; knows when it is finished and whether anything is missing."""

    def __init__(self, client: KinesisClient, shard_range: ShardRange, options: Options) -> None:
        self.range = shard_range
        self.finished = False
        self._client = client
        self._cursor = ShardCursor(client, shard_range.shard_id, shard_range.start)
        self._fail_on_data_loss = options.fail_on_data_loss
        self._retry_seconds = options.retry_seconds
        self._pace = Pace(options.calls_per_second, options.bytes_per_second)
        self._pages = PageSize(options.stream, options.calls_per_second, options.bytes_per_second)
        self._seen_any = False
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
        self._faults.end()
        if page.records:
            self._empty.end()
        records = self._within_range(page)
        if not self.finished and not page.records:
            self._check_progress(page, time.monotonic() - began + EMPTY_PAGE_PAUSE_SECONDS)
        return records, max(self._pace.wait(), 0.0 if page.records else EMPTY_PAGE_PAUSE_SECONDS)

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
        if records and not self._seen_any:
            self._check_start(records[0])
            self._seen_any = True
        if end == END:
            self.finished = page.at_end
            return records
        goal = end.sequence
        if records and goal is not None and int(records[-1]["SequenceNumber"]) >= goal:
            self.finished = True
            return [record for record in records if not _is_behind(end, int(record["SequenceNumber"]))]
        return records

    def _check_start(self, first: Record) -> None:
        start = self.range.start
        if start.kind == "at" and int(first["SequenceNumber"]) != start.sequence:
            self._lost(
                f"the record {start.value}, where reading was to go on, is gone; the oldest left is "
                f"{first['SequenceNumber']}, arrived {first['ApproximateArrivalTimestamp']} (Unix seconds)"
            )

    def _check_progress(self, page: Page, seconds: float) -> None:
        """After an empty answer: they are usual on the way to the next record, but not without end."""
        if page.at_end:
            self._lost(f"the shard ended before the planned end {self.range.end} was reached")
            self.finished = True
        elif page.at_tip and self.range.start.kind == "time" and not self._seen_any:
            self.finished = True  # nothing has arrived since then
        elif self._came_closer(page):
            self._empty.end()
        else:
            self._empty.extend(seconds)
            if self._empty.seconds > self._retry_seconds:
                self._give_up(page)

    def _came_closer(self, page: Page) -> bool:
        """Whether AWS has got further through a stretch without records."""
        before, self._behind = self._behind, page.behind_millis
        return before is not None and page.behind_millis is not None and 0 < page.behind_millis < before

    def _give_up(self, page: Page) -> None:
        if not page.at_tip:
            raise UnavailableError(
                f"shard {self.range.shard_id} gave {self._empty.length} empty answers in {self._empty.seconds:.0f} s, "
                f"though there is more in it ({page.behind_millis} ms behind its tip). Nothing is lost: start the "
                "query again and it goes on from its checkpoint; if it happens again, retrySeconds is too low."
            )
        self._lost(f"the planned end {self.range.end} is not there: the shard has nothing behind {self._reached()}")
        self.finished = True

    def _reached(self) -> str:
        return "the start" if not self._seen_any else "the last record read"

    def _lost(self, what: str) -> None:
        message = (
            f"DATA LOSS in shard {self.range.shard_id}, reading from {self.range.start} to {self.range.end}: {what}. "
            "Retention has passed these records, or the stream was made anew. To go on without them set "
            "failOnDataLoss to false; to keep it from happening again lengthen the stream's retention."
        )
        if self._fail_on_data_loss:
            raise DataLossError(message)
        log.error(message)


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
