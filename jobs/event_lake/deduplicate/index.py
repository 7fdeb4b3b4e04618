"""The index of seen keys: an engine whose micro-batch costs the same whatever the window, and that says which.

Beside Spark's own logs the checkpoint holds `seen/N.json`, the manifest after micro-batch N, and the segments it names.
Micro-batch N looks its keys up in what manifest N-1 names, writes its new keys as segments of its own, and, after the
tables, manifest N. So a replay of N finds what its first run found, whatever became of that; a segment that no manifest
names was never there.

Segments are merged geometrically within a bucket of keys and a block of time. A segment is dropped whole, once the
watermark has passed the end of its block by window + margin. The watermark is an arrival time: with Kinesis the one
before which everything has been read (`through`), so an outage or a slow shard shortens nothing; with other sources the
latest arrival so far.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import accumulate, groupby
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.checkpoint import CheckpointLog
from event_lake.config import Dedup
from event_lake.deduplicate.folder import Folder
from event_lake.deduplicate.recognise import PLACE, RECOGNISED, Merger, Recogniser, merge
from event_lake.deduplicate.segment import PREFIXES, Segment
from event_lake.deduplicate.verdicts import with_verdict
from event_lake.errors import AccountingError, ConfigError, DataLossError
from event_lake.mark import BatchMark
from event_lake.metrics import PlanMetrics, read_plan_metrics
from event_lake.storage import Storage

EPOCH = datetime.fromtimestamp(0, UTC)
BLOCKS = 8  # a window's worth of keys is dropped in about so many pieces
MERGED_AT_ONCE = 8
MOST_MERGED_ROWS = 4_000_000  # 128 MB; what is larger is left as it is
MANIFESTS_KEPT = 10
BROADCAST_ROWS = 200_000


@dataclass(frozen=True)
class Manifest:
    """What is remembered after a micro-batch."""

    batch_id: int
    query_id: str
    offset_hash: str
    watermark: int  # Unix microseconds; 0 before there is one
    segments: tuple[Segment, ...]

    @property
    def keys(self) -> int:
        return sum(segment.rows for segment in self.segments)

    def to_json(self) -> str:
        return json.dumps({"version": 1, **asdict(self)}, indent=0)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        document = json.loads(text)
        if document.pop("version") != 1:
            raise DataLossError("the index of seen keys was written by another version of this project")
        segments = tuple(Segment(**segment) for segment in document.pop("segments"))
        return cls(segments=segments, **document)


class IndexEngine:
    """Keeps the index in the checkpoint's folder `seen`. One driver at a time."""

    def __init__(
        self,
        spark: SparkSession,
        storage: Storage,
        checkpoint: CheckpointLog,
        dedup: Dedup,
        says_completeness: bool,  # whether the source says before which arrival everything has been read
    ) -> None:
        self.says_completeness = says_completeness
        self._spark = spark
        self._storage = storage
        self._checkpoint = checkpoint
        self._dedup = dedup
        self._path = f"{storage.qualified(checkpoint.path)}/seen"
        self._folder = Folder(f"{self._path}/segments", **storage.s3_settings())
        self._keep = _micros(dedup.window + dedup.margin)
        self._last: Manifest | None = None
        self._retired: list[tuple[int, str]] = []  # since which micro-batch a segment is not used any more

    def open(self) -> None:
        self._folder.check()
        planned = self._checkpoint.last_planned()
        if planned is None:
            return
        if self._checkpoint.has("state"):
            raise ConfigError(
                f'dedup.engine is "index", but the checkpoint {self._checkpoint.path} was written with "spark", whose '
                'state it cannot read. Set dedup.engine = "spark", or start with a new checkpoint path '
                "(docs/operations.md)."
            )
        if planned.batch_id:
            self._read(planned.batch_id - 1)  # a replay needs it
        self._sweep(planned.batch_id)

    def on_stream(self, parsed: DataFrame) -> DataFrame:
        return parsed

    def judge(self, batch: DataFrame, mark: BatchMark, clock: datetime) -> IndexJudged:
        before = self._before(mark)
        live = tuple(s for s in before.segments if s.until + self._keep > before.watermark)
        recogniser = Recogniser(
            folder=self._folder,
            segments=live,
            buckets=self._dedup.buckets,
            attempt=f"{mark.batch_id}-{uuid.uuid4().hex[:8]}",
            watermark=before.watermark,
            now=int(clock.timestamp() * 1_000_000),
            block=max(_micros(self._dedup.window) // BLOCKS, 1),
        )
        return IndexJudged(self, batch, mark, recogniser)

    def counted(self, mark: BatchMark) -> PlanMetrics:
        return read_plan_metrics(self._spark.streams.get(mark.query_id), operator=False)

    def remember(self, mark: BatchMark, before: Recogniser, new: Sequence[Segment], watermark: int) -> None:
        """Writes the manifest of a micro-batch that the tables hold; from now on its keys are known."""
        segments = self._merged((*before.segments, *new), f"{before.attempt}-m", watermark)
        manifest = Manifest(mark.batch_id, mark.query_id, mark.offset_hash, watermark, segments)
        self._storage.write_whole(f"{self._path}/{mark.batch_id}.json", manifest.to_json())
        used = {segment.name for segment in segments}
        known = {s.name for s in (*(self._last.segments if self._last else ()), *before.segments, *new)}
        self._retired += [(mark.batch_id, name) for name in sorted(known - used)]
        self._last = manifest
        self._forget(mark.batch_id - MANIFESTS_KEPT)

    def _before(self, mark: BatchMark) -> Manifest:
        """The manifest after the micro-batch before this one."""
        if mark.batch_id == 0:
            return Manifest(-1, mark.query_id, "", 0, ())
        last = self._last
        if last is None or last.batch_id != mark.batch_id - 1:
            last = self._read(mark.batch_id - 1)
        if last.query_id != mark.query_id:
            raise DataLossError(
                f"the index of seen keys in {self._path} belongs to another query than this checkpoint; copies of what "
                "it stored would be stored again. Nothing was written. Start with a new checkpoint path."
            )
        return last

    def _read(self, batch_id: int) -> Manifest:
        path = f"{self._path}/{batch_id}.json"
        if not self._storage.exists(path):
            raise DataLossError(
                f"{path} is missing: what micro-batch {batch_id} and those before it have seen is not known, and "
                "copies would be stored again. Nothing was written. Restore the file, or start with a new checkpoint "
                "path."
            )
        return Manifest.from_json(self._storage.read_text(path))

    # Merging

    def _merged(self, segments: Sequence[Segment], attempt: str, watermark: int) -> tuple[Segment, ...]:
        """Fewer segments with the same keys."""
        groups = [tuple(group) for group in mergeable(segments, watermark)]
        if not groups:
            return tuple(segments)
        mergers = [Merger(self._folder, group, f"{attempt}{n}.arrow") for n, group in enumerate(groups)]
        context = self._spark.sparkContext
        tasks = min(len(mergers), context.defaultParallelism)
        made = context.parallelize(mergers, tasks).map(merge).collect()
        gone = {segment.name for group in groups for segment in group}
        return (*(segment for segment in segments if segment.name not in gone), *made)

    # Cleaning up

    def _forget(self, batch_id: int) -> None:
        """Deletes what only manifests up to this one name."""
        for since, name in self._retired:
            if since <= batch_id:
                self._storage.delete(f"{self._path}/segments/{name}")
        self._retired = [(since, name) for since, name in self._retired if since > batch_id]
        if batch_id >= 0:
            self._storage.delete(f"{self._path}/{batch_id}.json")

    def _sweep(self, planned: int) -> None:
        """After a start: deletes what a micro-batch that failed, or an earlier run, has left behind."""
        named: set[str] = set()
        for entry in self._storage.entries(self._path):
            number = entry.name.removesuffix(".json")
            if not number.isdigit():
                continue
            if int(number) < planned - MANIFESTS_KEPT:
                self._storage.delete(entry.path)
            else:
                named |= {segment.name for segment in self._read(int(number)).segments}
        for entry in self._storage.entries(f"{self._path}/segments"):
            if entry.name not in named:
                self._storage.delete(entry.path)


class IndexJudged:
    """A micro-batch, looked up when it is made: that runs the micro-batch once."""

    def __init__(self, engine: IndexEngine, batch: DataFrame, mark: BatchMark, recogniser: Recogniser) -> None:
        self._engine = engine
        self._mark = mark
        self._recogniser = recogniser
        self._batch = batch.persist()
        self._found = recognised(batch, recogniser).persist()
        counts = self._found.groupBy("segment").count().collect()
        self._new = [Segment(**json.loads(row["segment"])) for row in counts if row["segment"]]
        duplicates = sum(row["count"] for row in counts if not row["segment"])
        self.rows = marked(batch, self._found if duplicates else None, duplicates <= BROADCAST_ROWS)

    def counted(self) -> PlanMetrics:
        return self._engine.counted(self._mark)

    def check(self, stored: int) -> None:
        remembered = sum(segment.rows for segment in self._new)
        if remembered != stored:
            raise AccountingError(
                f"micro-batch {self._mark.batch_id} is about to store {stored} events, but the index of seen keys has "
                f"{remembered} new ones. Nothing was written. Starting again replays it; a repeated failure is a bug, "
                "please report it with these numbers."
            )

    def remember(self) -> None:
        watermark = max(self._recogniser.watermark, self._reached())
        self._engine.remember(self._mark, self._recogniser, self._new, watermark)

    def release(self) -> None:
        self._found.unpersist()
        self._batch.unpersist()

    def _reached(self) -> int:
        """Unix microseconds: how far this micro-batch has come in arrival time."""
        if self._mark.complete_through is not None:
            return _micros(datetime.fromisoformat(self._mark.complete_through) - EPOCH)
        if self._engine.says_completeness:
            return 0  # the source will say so later
        latest = self._batch.agg(F.max(F.unix_micros("arrived_at"))).collect()[0][0]
        return min(latest or 0, self._recogniser.now)


def recognised(batch: DataFrame, recogniser: Recogniser) -> DataFrame:
    """Duplicates and new segments (recognise.RECOGNISED) of a micro-batch of schema.PARSED_RECORD."""
    digest = F.sha2(F.col("event_uuid").cast("binary"), 256)
    keys = batch.where(F.col("problem").isNull()).select(
        F.unhex(F.substring(digest, 1, 32)).alias("key"),
        F.coalesce("arrived_at", F.timestamp_seconds(F.lit(0))).alias("arrived_at"),
        F.xxhash64("data").alias("payload_hash"),
        *PLACE,
    )
    buckets = recogniser.buckets
    tasks = min(buckets, batch.sparkSession.sparkContext.defaultParallelism)
    bucket = F.floor(F.conv(F.hex(F.substring("key", 1, 2)), 16, 10).cast("int") * buckets / PREFIXES)
    dealt = keys.repartitionById(tasks, F.floor(bucket * tasks / buckets).cast("int"))
    ordered = dealt.sortWithinPartitions(
        "key", "arrived_at", "shard_id", F.length("sequence_number"), "sequence_number", "sub_sequence_number"
    )
    return ordered.mapInArrow(recogniser, RECOGNISED)


def marked(batch: DataFrame, found: DataFrame | None, few: bool) -> DataFrame:
    """The micro-batch with its verdicts (schema.JUDGED_RECORD)."""
    if found is None:
        return with_verdict(batch, F.lit(False), F.lit(None).cast("timestamp"), F.lit(None).cast("boolean"))
    copies = found.where(F.col("segment").isNull()).select(
        *(F.col(name).alias(f"_{name}") for name in PLACE), "first_arrived_at", "same_payload"
    )
    same_place = [F.col(name).eqNullSafe(F.col(f"_{name}")) for name in PLACE]
    rows = batch.join(F.broadcast(copies) if few else copies, reduce(Column.__and__, same_place), "left")
    is_copy = F.col("first_arrived_at").isNotNull()
    return with_verdict(rows, is_copy, F.col("first_arrived_at"), F.col("same_payload"))


def mergeable(segments: Sequence[Segment], watermark: int) -> list[Sequence[Segment]]:
    """Groups of segments to be made one: as many of a size as are merged at once, or what is left of a past block."""
    groups: list[Sequence[Segment]] = []
    for (*_, until), block in _grouped(segments, lambda s: (s.low, s.high, s.until)):
        small = [segment for segment in block if segment.rows < MOST_MERGED_ROWS]
        if until <= watermark:
            groups.append(small)
        else:
            groups += [level for _, level in _grouped(small, lambda s: s.level) if len(level) >= MERGED_AT_ONCE]
    return [fitting for group in groups if len(fitting := _fitting(group)) > 1]


def _fitting(group: Sequence[Segment]) -> Sequence[Segment]:
    """The smallest of them, as many as become no larger than a merged segment may be."""
    ordered = sorted(group, key=lambda segment: segment.rows)
    return [s for s, rows in zip(ordered, accumulate(s.rows for s in ordered), strict=True) if rows <= MOST_MERGED_ROWS]


def _grouped(segments: Sequence[Segment], by: Callable[[Segment], Any]) -> list[tuple[Any, list[Segment]]]:
    return [(key, list(group)) for key, group in groupby(sorted(segments, key=by), key=by)]


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
