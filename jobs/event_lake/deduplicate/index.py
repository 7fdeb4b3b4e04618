"""The index of seen keys: an engine whose micro-batch costs the same whatever the window, and that says which.

Beside Spark's own logs the checkpoint holds `seen/N.json`, the manifest after micro-batch N, and the segments it names.
Micro-batch N looks its keys up in what manifest N-1 names, writes its new keys as segments of its own, and, after the
tables, manifest N. So a replay of N finds what its first run found, whatever became of that; a segment that no manifest
names was never there.

Segments are merged geometrically within a bucket of keys and a block of time. A segment is dropped whole, once the
watermark has passed the end of its block by window + margin. The watermark is an arrival time: with Kinesis the one
before which everything has been read (`through`), so an outage or a slow shard shortens nothing; with other sources the
latest arrival so far.

What other queries have stored since is learnt at a start, from the table, as `seen/N.M.json`: another version of the
manifest that the next micro-batch looks in. A query that fills in what the job lacks (`beside`) begins with all keys of
the table as manifest -1, and forgets none.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from pyspark.sql import DataFrame, SparkSession

from event_lake.checkpoint import CheckpointLog
from event_lake.config import Dedup
from event_lake.deduplicate.folder import Folder
from event_lake.deduplicate.judged import IndexJudged, micros, micros_of
from event_lake.deduplicate.manifest import SEEDED, IndexSize, Manifest, mergeable, numbered
from event_lake.deduplicate.merge import Merger, merge
from event_lake.deduplicate.recognise import Recogniser
from event_lake.deduplicate.seed import seeded
from event_lake.deduplicate.segment import Segment
from event_lake.errors import ConfigError, DataLossError
from event_lake.mark import BatchMark
from event_lake.storage import Storage

BLOCKS = 8  # a window's worth of keys is dropped in about so many pieces
MOST_BLOCKS = 16  # of an index that is made at once, where the margin is much longer than the window
MANIFESTS_KEPT = 10
FOR_EVER = timedelta(days=36_500)


class IndexEngine:
    """Keeps the index in the checkpoint's folder `seen`. One driver at a time."""

    def __init__(
        self,
        spark: SparkSession,
        storage: Storage,
        checkpoint: CheckpointLog,
        dedup: Dedup,
        *,
        beside: bool = False,
        measures: bool = False,
    ) -> None:
        self._spark = spark
        self._storage = storage
        self._checkpoint = checkpoint
        self._dedup = replace(dedup, window=FOR_EVER) if beside else dedup
        self._is_seeded = beside
        self._measures = measures
        self._path = f"{storage.qualified(checkpoint.path)}/seen"
        self._folder = Folder(f"{self._path}/segments", **storage.s3_settings())
        self._keep = micros(self._dedup.window + dedup.margin)
        self._last: Manifest | None = None
        self._retired: list[tuple[int, str]] = []  # since which micro-batch a segment is not used any more

    def open(self) -> None:
        self._folder.check()
        self._is_seeded = self._is_seeded or self._checkpoint.recovered() is not None
        planned = self._checkpoint.last_planned()
        if planned is None:
            return
        if self._checkpoint.has("state"):
            raise ConfigError(
                f'dedup.engine is "index", but the checkpoint {self._checkpoint.path} was written with "spark", whose '
                'state it cannot read. Set dedup.engine = "spark", or recover from the tables into a new '
                "checkpoint path (docs/operations.md)."
            )
        self._sweep(planned.batch_id, {segment.name for segment in self._at_start().segments})

    def seed(self, stored: DataFrame, deleted: DataFrame, mark: BatchMark) -> None:
        """Makes the index of a new checkpoint from stored events (columns: those of the events table), and what was
        deleted from among them (schema.DELETIONS); `mark` is that of the last micro-batch among them, behind which the
        checkpoint begins."""
        self._folder.check()
        watermark = micros_of(mark.complete_through) if mark.complete_through else 0
        recogniser = self._recogniser("seed", (), watermark=0, now=datetime.now(UTC))  # remembered by their arrival
        recogniser = replace(recogniser, block=max(recogniser.block, self._keep // MOST_BLOCKS))
        segments = seeded(stored, deleted, recogniser, watermark - self._keep - recogniser.block if watermark else 0)
        manifest = Manifest(SEEDED, "", mark.offset_hash, watermark, segments)
        self._storage.write_whole(f"{self._path}/{SEEDED}.json", manifest.to_json())

    def learn(self, stored: DataFrame, deleted: DataFrame) -> None:
        """Adds the keys of stored events (columns: those of the events table), and of deleted ones (schema.DELETIONS),
        to what the next micro-batch looks in; those that it knows already are left out. To be called after `open`, and
        as often as one likes."""
        self._folder.check()
        before = self._at_start()
        recogniser = self._recogniser("learnt", before.segments, watermark=0, now=datetime.now(UTC))
        oldest = before.watermark - self._keep - recogniser.block if before.watermark else 0
        new = seeded(stored, deleted, recogniser, oldest)
        if new or (before.batch_id == SEEDED and self._is_seeded):
            learnt = replace(before, segments=(*before.segments, *new))
            self._storage.write_whole(self._new_version(before.batch_id), learnt.to_json())

    def _at_start(self) -> Manifest:
        """What the next micro-batch looks in: a new one, or the replay of one that is not committed."""
        planned = self._checkpoint.last_planned()
        is_new = planned is None and self._checkpoint.recovered() is None
        number = planned.batch_id - (planned.batch_id != self._checkpoint.newest_committed()) if planned else SEEDED
        if is_new or (number == SEEDED and not self._is_seeded):
            return Manifest(SEEDED, "", "", 0, ())
        return self._read(number)

    def on_stream(self, parsed: DataFrame) -> DataFrame:
        return parsed

    def judge(self, batch: DataFrame, mark: BatchMark, clock: datetime) -> IndexJudged:
        before = self._before(mark)
        live = tuple(s for s in before.segments if s.until + self._keep > before.watermark)
        recogniser = self._recogniser(str(mark.batch_id), live, before.watermark, clock)
        recogniser = replace(recogniser, measures=self._measures)
        return IndexJudged(self._spark, batch, mark, recogniser, partial(self._remember, mark, recogniser))

    def size(self) -> IndexSize | None:
        return self._last.size() if self._last else None

    def _recogniser(self, name: str, live: tuple[Segment, ...], watermark: int, now: datetime) -> Recogniser:
        return Recogniser(
            folder=self._folder,
            segments=live,
            buckets=self._dedup.buckets,
            attempt=f"{name}-{uuid.uuid4().hex[:8]}",
            watermark=watermark,
            now=int(now.timestamp() * 1_000_000),
            block=max(micros(self._dedup.window) // BLOCKS, 1),
        )

    def _remember(self, mark: BatchMark, before: Recogniser, new: Sequence[Segment], watermark: int) -> None:
        """Writes the manifest of a micro-batch that the tables hold; from now on its keys are known."""
        segments = self._merged((*before.segments, *new), f"{before.attempt}-m", watermark)
        manifest = Manifest(mark.batch_id, mark.query_id, mark.offset_hash, watermark, segments)
        self._storage.write_whole(f"{self._path}/{mark.batch_id}.json", manifest.to_json())
        used = {segment.name for segment in segments}
        known = {segment.name for segment in (*(self._last.segments if self._last else ()), *new)}
        self._retired += [(mark.batch_id, name) for name in sorted(known - used)]
        self._last = manifest
        self._forget(mark.batch_id - MANIFESTS_KEPT)

    def _before(self, mark: BatchMark) -> Manifest:
        """The manifest after the micro-batch before this one."""
        if mark.batch_id == 0:
            return self._first(mark)
        last = self._last
        if last is None or last.batch_id != mark.batch_id - 1:
            last = self._read(mark.batch_id - 1)
        if last.query_id != mark.query_id:
            raise DataLossError(
                f"the index of seen keys in {self._path} belongs to another query than this checkpoint; copies of what "
                "it stored would be stored again. Nothing was written. Start with a new checkpoint path."
            )
        self._last = last
        return last

    def _first(self, mark: BatchMark) -> Manifest:
        """What the first micro-batch looks in: nothing, or what the index was made from."""
        if not self._is_seeded:
            return Manifest(SEEDED, mark.query_id, "", 0, ())
        self._last = self._read(SEEDED)
        recovered = self._checkpoint.recovered()
        if recovered is not None and self._last.offset_hash != recovered.offset_hash:
            raise DataLossError(
                f"{self._path}/{SEEDED}.json was made from another state of the events table than the checkpoint goes "
                "on from. Nothing was written. Recover into another new checkpoint path."
            )
        return self._last

    def _read(self, batch_id: int) -> Manifest:
        """The newest version of the manifest after a micro-batch."""
        versions = self._versions(batch_id)
        if not versions:
            raise DataLossError(
                f"{self._path}/{batch_id}.json is missing: what micro-batch {batch_id} and those before it have seen "
                "is not known, and copies would be stored again. Nothing was written. Restore the file, or recover "
                "from the tables into a new checkpoint path (docs/operations.md)."
            )
        path = versions[max(versions)]
        return Manifest.from_json(self._storage.read_text(path), path)

    def _versions(self, batch_id: int) -> dict[int, str]:
        """The paths of a manifest's files."""
        names = ((numbered(entry.name), entry.path) for entry in self._storage.entries(self._path))
        return {number[1]: path for number, path in names if number and number[0] == batch_id}

    def _new_version(self, batch_id: int) -> str:
        """Another file, since none can be changed such that it is there whole at any time."""
        versions = self._versions(batch_id)
        return f"{self._path}/{batch_id}.{max(versions) + 1}.json" if versions else f"{self._path}/{batch_id}.json"

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
        if batch_id >= SEEDED:
            self._storage.delete(f"{self._path}/{batch_id}.json")

    def _sweep(self, planned: int, needed: Set[str]) -> None:
        """After a start: deletes what a micro-batch that failed, or an earlier run, has left behind. Raises
        DataLossError where a segment that is needed is not there."""
        named: set[str] = set()
        for entry in self._storage.entries(self._path):
            number = numbered(entry.name)
            if number is None:
                continue
            if number[0] < planned - MANIFESTS_KEPT:
                self._storage.delete(entry.path)
            else:
                manifest = Manifest.from_json(self._storage.read_text(entry.path), entry.path)
                named |= {segment.name for segment in manifest.segments}
        files = self._storage.entries(f"{self._path}/segments")
        for name in sorted(needed - {file.name for file in files}):
            raise self._folder.lost(name)
        for file in files:
            if file.name not in named:
                self._storage.delete(file.path)
