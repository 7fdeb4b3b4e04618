"""Which records of a micro-batch are duplicates: the part that runs in Python workers, a column at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql.types import BooleanType, LongType, StringType, StructField, StructType, TimestampType

from event_lake.deduplicate.arrived import Arrived
from event_lake.deduplicate.folder import Folder
from event_lake.deduplicate.segment import (
    I64,
    PREFIX_BITS,
    Keys,
    Segment,
    bucket_range,
    encode,
    find,
    joined,
    keep_open,
    let_go_of_pages,
    open_keys,
)
from event_lake.key import unsigned
from event_lake.quantiles import Summary, summary
from kinesis_source.worker import forget_zip_finders

# One row for each duplicate: where it is, what it is a copy of. And one at the end of a task, its report, as JSON, all
# else null.
RECOGNISED = StructType(
    [
        StructField("shard_id", StringType()),
        StructField("sequence_number", StringType()),
        StructField("sub_sequence_number", LongType()),
        StructField("first_arrived_at", TimestampType()),
        StructField("same_payload", BooleanType()),
        StructField("report", StringType()),
    ]
)
PLACE = RECOGNISED.fieldNames()[:3]
KEY = ("key_hi", "key_lo")  # as event_lake.key makes them
CREATED = "created"  # Unix microseconds
TYPES = [pa.string(), pa.string(), pa.int64(), pa.timestamp("us", tz="UTC"), pa.bool_(), pa.string()]
NOT_TOLD = 0  # Unix microseconds: the arrival of a record whose source says none
NO_KEYS = Keys(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True)
class Recogniser:
    """What a worker must know of the index to give verdicts to one micro-batch."""

    folder: Folder
    segments: tuple[Segment, ...]
    buckets: int
    attempt: str  # begins the names of the segments written: whatever could have other contents has another name
    watermark: int  # Unix microseconds, as `now` and `block`
    now: int
    block: int
    measures: bool = False  # whether the report is to say when records arrived; rows then have CREATED, too

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """In: rows (KEY, arrived_at, payload_hash, PLACE, perhaps CREATED) in the order of key and arrival; a bucket's
        rows are all in one call. Out: RECOGNISED."""
        forget_zip_finders()
        names = {segment.name for segment in self.segments}
        self.folder.keep_copies_of(names)
        keep_open({str(self.folder.place(name)) for name in names})
        run = _Run()
        duplicates = 0
        for batch in batches:
            if batch.num_rows:
                found = self._judge(batch, run)
                duplicates += found.num_rows
                yield found
                let_go_of_pages()
        segments = self._store(joined(run.new)) if run.new else []
        yield _reported(Report(duplicates, segments, run.arrived() if self.measures else None))

    def _judge(self, batch: pa.RecordBatch, run: _Run) -> pa.RecordBatch:
        arrived = batch.column("arrived_at").cast(pa.int64())
        hi, lo = (unsigned(batch.column(half).to_numpy()) for half in KEY)
        rows = Keys(hi, lo, arrived.to_numpy(), batch.column("payload_hash").to_numpy())
        is_head = run.heads_of(rows)
        seen, firsts = self._look_up(rows.where(is_head))
        run.new.append(firsts.where(~seen))
        firsts, group = run.followed_by(firsts, is_head)
        duplicate = ~is_head
        duplicate[is_head] = seen
        if self.measures:
            run.measure(rows.arrived, batch.column(CREATED).to_numpy(), duplicate)
        chosen = np.flatnonzero(duplicate)
        first = firsts.where(group[chosen])
        place = batch.select(PLACE).take(pa.array(chosen))
        same = first.payload_hash == rows.payload_hash[chosen]
        times = pa.array(first.arrived).cast(TYPES[3])
        nothing = pa.nulls(len(chosen), pa.string())
        return pa.RecordBatch.from_arrays([*place.columns, times, pa.array(same), nothing], RECOGNISED.fieldNames())

    def _look_up(self, heads: Keys) -> tuple[npt.NDArray[np.bool_], Keys]:
        """Which keys the index holds; and the keys, with the first copy's arrival and payload where it does."""
        seen = np.zeros(len(heads.hi), np.bool_)
        firsts = Keys(heads.hi, heads.lo, heads.arrived.copy(), heads.payload_hash.copy())
        prefixes = heads.hi >> np.uint64(64 - PREFIX_BITS)
        for segment in self.segments:
            start, stop = np.searchsorted(prefixes, np.array([segment.low, segment.high], np.uint64))
            if start == stop:
                continue
            known = open_keys(str(self.folder.local(segment.name)))
            at = find(known, heads.hi[start:stop], heads.lo[start:stop])
            hit = np.flatnonzero(at >= 0)
            seen[start + hit] = True
            firsts.arrived[start + hit] = known.arrived[at[hit]]
            firsts.payload_hash[start + hit] = known.payload_hash[at[hit]]
        return seen, firsts

    def _store(self, new: Keys) -> list[Segment]:
        """Writes new keys as segments, one for each bucket and block of time; says which."""
        # What arrives behind the watermark, or seems to come from the future, is remembered as if it arrived now.
        remembered = np.minimum(np.maximum(new.arrived, self.watermark), max(self.now, self.watermark))
        until = (remembered // self.block + 1) * self.block
        written: list[Segment] = []
        for bucket in range(self.buckets):
            prefixes = bucket_range(bucket, self.buckets)
            bounds = np.array([prefixes.start, prefixes.stop], np.uint64)
            start, stop = np.searchsorted(new.hi >> np.uint64(64 - PREFIX_BITS), bounds)
            keys, ends = new.slice(start, stop), until[start:stop]
            for end in np.unique(ends):
                part = keys.where(ends == end)
                name = f"{self.attempt}-{prefixes.start:04x}-{end // 1_000_000}.arrow"
                self.folder.write(name, encode(part))
                written.append(Segment(name, len(part.hi), prefixes.start, prefixes.stop, int(end), 0))
        return written


@dataclass(frozen=True)
class Report:
    """What a task says at its end."""

    duplicates: int
    segments: list[Segment]  # that it wrote
    arrived: Arrived | None = None  # where that was asked for


def _reported(report: Report) -> pa.RecordBatch:
    nothing = [pa.nulls(1, kind) for kind in TYPES[:-1]]
    text = pa.array([json.dumps(asdict(report))], pa.string())
    return pa.RecordBatch.from_arrays([*nothing, text], RECOGNISED.fieldNames())


def read_report(text: str) -> Report:
    report = json.loads(text)
    segments = [Segment(**segment) for segment in report["segments"]]
    arrived = report["arrived"] and {
        what: [Summary(tuple(part["values"]), part["count"]) for part in parts]
        for what, parts in report["arrived"].items()
    }
    return Report(report["duplicates"], segments, Arrived(**arrived) if arrived else None)


@dataclass
class _Run:
    """What one task has seen so far: the new keys, and the last key, of which more copies may follow."""

    new: list[Keys] = field(default_factory=list)
    last: Keys = NO_KEYS
    _first: list[I64] = field(default_factory=list)  # arrivals of what is stored
    _copies: list[I64] = field(default_factory=list)  # and of duplicates
    _ages: list[I64] = field(default_factory=list)

    def measure(self, arrived: I64, created: I64, duplicate: npt.NDArray[np.bool_]) -> None:
        told = arrived != NOT_TOLD
        first, copies = told & ~duplicate, told & duplicate
        self._first.append(arrived[first])
        self._copies.append(arrived[copies])
        self._ages.append(arrived[first] - created[first])

    def arrived(self) -> Arrived:
        found = (self._first, self._copies, self._ages)
        return Arrived(*([summary(np.concatenate(parts))] if parts else [] for parts in found))

    def heads_of(self, rows: Keys) -> npt.NDArray[np.bool_]:
        """Which rows are the first of their key."""
        before = joined([self.last, rows.slice(0, -1)]) if len(self.last.hi) else rows.slice(0, -1)
        differs = np.ones(len(rows.hi), np.bool_)
        offset = len(rows.hi) - len(before.hi)
        differs[offset:] = (rows.hi[offset:] != before.hi) | (rows.lo[offset:] != before.lo)
        return differs

    def followed_by(self, firsts: Keys, is_head: npt.NDArray[np.bool_]) -> tuple[Keys, npt.NDArray[np.intp]]:
        """The first copies that rows can have, the last one from before among them, and which of them each row has."""
        group = np.cumsum(is_head) - 1 + len(self.last.hi)
        firsts = joined([self.last, firsts])
        self.last = firsts.slice(len(firsts.hi) - 1, len(firsts.hi))
        return firsts, group
