"""The index against a plain Python dictionary and a clock: bursts, outages, replays, window edges; the same verdicts.

Spark is left out, so that thousands of micro-batches run in a test: what Spark does around the index (deal by bucket,
sort) is done here, and `test_index` has the whole.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from event_lake.deduplicate.arrived import Arrived
from event_lake.deduplicate.folder import Folder
from event_lake.deduplicate.index import BLOCKS
from event_lake.deduplicate.manifest import mergeable
from event_lake.deduplicate.merge import Merger
from event_lake.deduplicate.recognise import CREATED, KEY, Recogniser, read_report
from event_lake.deduplicate.segment import PREFIXES, Segment
from event_lake.key import signed_halves
from event_lake.quantiles import Summary

SECOND = 1_000_000
WINDOW, MARGIN = 800 * SECOND, 100 * SECOND
BLOCK = WINDOW // BLOCKS


@dataclass(frozen=True)
class Record:
    """A good event as the index sees it."""

    uuid: str
    arrived: int
    payload: int
    number: int

    @property
    def created(self) -> int:
        return self.arrived - self.number * SECOND


class IndexModel(RuleBasedStateMachine):
    """One index and what it should say."""

    def __init__(self) -> None:
        super().__init__()
        self.home = TemporaryDirectory()
        self.folder = Folder(Path(self.home.name).as_uri())
        self.segments: tuple[Segment, ...] = ()
        self.watermark = 0
        self.now = 1_000_000 * SECOND
        self.buckets = 3
        self.first: dict[str, Record] = {}  # the stored copy of each uuid, with the time it is remembered by
        self.remembered: dict[str, int] = {}
        self.numbers = itertools.count()

    @initialize(buckets=st.sampled_from([1, 3, 8]))
    def start(self, buckets: int) -> None:
        self.buckets = buckets

    @rule(
        uuids=st.lists(st.integers(0, 60), min_size=1, max_size=12),
        ages=st.lists(st.sampled_from([0, 0, 1, 5, 50, 99, 101]), min_size=12, max_size=12),
        payloads=st.lists(st.integers(0, 2), min_size=12, max_size=12),
        replays=st.integers(0, 2),
        pages=st.integers(1, 4),
    )
    def micro_batch(self, uuids: list[int], ages: list[int], payloads: list[int], replays: int, pages: int) -> None:
        records = [
            Record(f"u{uuid}", self.now - age * SECOND, payload, next(self.numbers))
            for uuid, age, payload in zip(uuids, ages, payloads, strict=False)
        ]
        expected = self.expected(records)
        for attempt in range(replays + 1):  # a replay finds the same again: nothing was remembered yet
            found, written = self.recognise(records, f"{next(self.numbers)}-{attempt}", pages)
            assert found == expected
        for record in sorted(records, key=order):
            if record.number not in expected:
                self.first[record.uuid] = record
                self.remembered[record.uuid] = min(max(record.arrived, self.watermark), self.now)
        assert sum(segment.rows for segment in written) == len(records) - len(expected)
        self.segments = (*self.live(), *written)
        self.watermark = max(self.watermark, self.now)
        self.merge()

    @rule(seconds=st.sampled_from([1, 30, 99, 100, 101, 400, 799, 800, 801, 900, 1001, 5000]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(buckets=st.sampled_from([1, 2, 5, 16]))
    def other_buckets(self, buckets: int) -> None:
        self.buckets = buckets

    def live(self) -> tuple[Segment, ...]:
        return tuple(s for s in self.segments if s.until + WINDOW + MARGIN > self.watermark)

    def merge(self) -> None:
        for number, group in enumerate(mergeable(self.segments, self.watermark)):
            one = Merger(self.folder, tuple(group), f"m{next(self.numbers)}-{number}.arrow").merge()
            assert one.rows == sum(part.rows for part in group)
            self.segments = (*(s for s in self.segments if s not in group), one)

    def expected(self, records: list[Record]) -> dict[int, tuple[int, bool]]:
        """Of each duplicate, by its number: its first copy's arrival, and whether the payload is the same."""
        copies, first = {}, dict(self.first)
        for uuid in list(first):
            # Kept for window + margin from the end of its block on, and dropped with it.
            block_end = (self.remembered[uuid] // BLOCK + 1) * BLOCK
            if block_end + WINDOW + MARGIN <= self.watermark:
                del first[uuid]
            assert block_end + WINDOW + MARGIN <= self.remembered[uuid] + WINDOW + MARGIN + BLOCK
        for record in sorted(records, key=order):
            if record.uuid in first:
                original = first[record.uuid]
                copies[record.number] = (original.arrived, original.payload == record.payload)
            else:
                first[record.uuid] = record
        self.first = {uuid: one for uuid, one in self.first.items() if uuid in first}
        return copies

    def recognise(
        self, records: list[Record], attempt: str, pages: int
    ) -> tuple[dict[int, tuple[int, bool]], list[Segment]]:
        recogniser = Recogniser(self.folder, self.live(), self.buckets, attempt, self.watermark, self.now, BLOCK, True)
        found: dict[int, tuple[int, bool]] = {}
        written: list[Segment] = []
        arrived = Arrived()
        for task in range(min(self.buckets, 2)):
            before = len(found)
            for batch in recogniser(iter(list(self.dealt(records, task, pages)))):
                for row in batch.to_pylist():
                    if row["report"]:
                        report = read_report(row["report"])
                        assert report.duplicates == len(found) - before
                        written += report.segments
                        assert report.arrived is not None
                        arrived += report.arrived
                    else:
                        first = round(row["first_arrived_at"].timestamp() * SECOND)
                        found[int(row["sequence_number"])] = (first, row["same_payload"])
        copies = [record for record in records if record.number in found]
        stored = [record for record in records if record.number not in found]
        assert values(arrived.stored) == sorted(record.arrived for record in stored)
        assert values(arrived.duplicates) == sorted(record.arrived for record in copies)
        assert values(arrived.age) == sorted(record.arrived - record.created for record in stored)
        return found, written

    def dealt(self, records: list[Record], task: int, pages: int) -> Iterator[pa.RecordBatch]:
        """One task's rows, as Spark hands them over: in order, in several batches that cut runs of copies in two."""
        tasks = min(self.buckets, 2)

        def task_of(record: Record) -> int:
            bucket = int.from_bytes(key(record)[:2], "big") * self.buckets // PREFIXES
            return bucket * tasks // self.buckets

        own = sorted((r for r in records if task_of(r) == task), key=lambda r: (key(r), *order(r)))
        size = max(1, len(own) // pages)
        for start in range(0, len(own), size):
            part = own[start : start + size]
            yield pa.RecordBatch.from_pydict(
                {
                    **dict(zip(KEY, signed_halves([r.uuid for r in part]), strict=True)),
                    "arrived_at": pa.array([r.arrived for r in part], pa.timestamp("us", tz="UTC")),
                    CREATED: pa.array([r.created for r in part], pa.int64()),
                    "payload_hash": pa.array([r.payload for r in part], pa.int64()),
                    "shard_id": pa.array(["s"] * len(part), pa.string()),
                    "sequence_number": pa.array([str(r.number) for r in part], pa.string()),
                    "sub_sequence_number": pa.array([0] * len(part), pa.int64()),
                }
            )

    def teardown(self) -> None:
        self.home.cleanup()


def values(parts: Sequence[Summary]) -> list[int]:
    """All numbers; a part that is so small leaves none out."""
    return sorted(value for part in parts for value in part.values)


def key(record: Record) -> bytes:
    return hashlib.sha256(record.uuid.encode()).digest()[:16]


def order(record: Record) -> tuple[int, int]:
    return record.arrived, record.number


IndexModel.TestCase.settings = settings(settings.get_profile("repeatable"), max_examples=60, stateful_step_count=60)
TestIndexModel = pytest.mark.timeout(300)(IndexModel.TestCase)


def test_an_outage_shortens_nothing(tmp_path: Path) -> None:
    """The watermark is an arrival time: however late a copy is read, its gap to the first copy decides."""
    model = IndexModel()
    first = Record("u", model.now, 0, next(model.numbers))
    _, model.segments = model.recognise([first], "0", 1)
    model.watermark = first.arrived  # through: what arrived since has not been read, for a week
    model.now += 7 * 86400 * SECOND
    copy = Record("u", first.arrived + WINDOW, 1, next(model.numbers))
    assert model.recognise([copy], "1", 1)[0] == {copy.number: (first.arrived, False)}
    model.teardown()


def test_a_task_that_runs_again_gives_the_same_verdicts_and_writes_the_same_bytes() -> None:
    """As retried and speculative tasks do, also in a worker that has the files of its first run open."""
    model = IndexModel()
    _, model.segments = model.recognise([Record(f"u{n}", model.now, n, n) for n in range(20)], "0", 1)
    records = [Record(f"u{n % 40}", model.now + n, n, 100 + n) for n in range(60)]
    found, written = model.recognise(records, "1", 3)
    paths = [model.folder.local(segment.name) for segment in written]
    before = [path.read_bytes() for path in paths]
    # In a later micro-batch these are open; then a straggler of the former one runs to its end once more.
    model.segments = (*model.segments, *written)
    later = Record("u30", model.now + 99, 0, next(model.numbers) + 1000)
    assert set(model.recognise([later], "2", 1)[0]) == {later.number}
    model.segments = model.segments[: -len(written)]
    assert model.recognise(records, "1", 2) == (found, written)
    assert [path.read_bytes() for path in paths] == before
    model.teardown()
