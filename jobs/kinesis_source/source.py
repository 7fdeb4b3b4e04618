"""The Spark face of the package: ``format("kinesis-exact")``, a Python Data Source for Spark 4.0 and later.

The order in which Spark calls the stream reader (seen on 4.1.1), and what each answer rests on:

first start    latestOffset, initialOffset, partitions(initial, latest). Spark logs `latest` and never `initial`;
               so `latest` carries the first positions, and `initial` is a constant that points there.
each trigger   latestOffset; where it equals the last one there is no micro-batch. commit(end) comes a batch later.
restart        a new reader; partitions(last, last) is how it learns where it stands. If the last micro-batch was not
               committed, partitions(start, last) follows: the same positions, so the same records.
Spark 4.2      initialOffset comes first, and latestOffset is given the start and a limit.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import pyarrow as pa
from pyspark.sql.types import StructType

from kinesis_source.admission import SupportsTriggerAvailableNow, default_read_limit, under
from kinesis_source.batch import plan
from kinesis_source.batches import gaps_to_arrow
from kinesis_source.bounds import Bounds
from kinesis_source.client import KinesisClient
from kinesis_source.data_source import DataSource, DataSourceReader, DataSourceStreamReader, InputPartition
from kinesis_source.errors import UnavailableError
from kinesis_source.expiry import Keeping
from kinesis_source.gap import Gap
from kinesis_source.options import Options
from kinesis_source.planner import Planner
from kinesis_source.position import END, FIRST, NEVER, Position, StreamOffset
from kinesis_source.reader import ShardRange, read_ranges
from kinesis_source.tip import find_tip
from kinesis_source.worker import forget_zip_finders

SCHEMA = (
    "data binary, streamName string, shardId string, partitionKey string, sequenceNumber string,"
    " subSequenceNumber long, approximateArrivalTimestamp timestamp"
)


class KinesisDataSource(DataSource):
    """Exact Kinesis reading. Options: see `kinesis_source.options`. Columns: `SCHEMA`, named as AWS's connectors do.

    Register it once a session: ``spark.dataSource.register(KinesisDataSource)``. Spark 4.1 refuses that where the
    thread's active session is another one that has it (DATA_SOURCE_ALREADY_EXISTS): make this the active one first.
    """

    @classmethod
    def name(cls) -> str:
        return "kinesis-exact"

    def schema(self) -> str:
        return SCHEMA

    def reader(self, schema: StructType) -> DataSourceReader:
        return KinesisBatchReader(*Bounds.parse(self.options))

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:
        return KinesisStreamReader(Options.parse(self.options))


@dataclass
class ShardRanges(InputPartition):
    """One Spark task's share of a micro-batch."""

    ranges: list[ShardRange]


@dataclass
class Gaps(InputPartition):
    """What the planner found to be lost."""

    gaps: list[Gap]


class KinesisBatchReader(DataSourceReader):
    """``spark.read``: everything between two bounds (see `batch`), pinned when Spark plans a frame's first action."""

    def __init__(self, bounds: Bounds, options: Options) -> None:
        self._bounds, self._options = bounds, options

    def partitions(self) -> list[InputPartition]:
        planned = plan(self._bounds, self._options)
        shares = [ShardRanges(share) for share in spread(planned.ranges, self._options.tasks)]
        gaps = [Gaps(list(planned.gaps))] if planned.gaps else []
        return [*gaps, *shares] or [ShardRanges([])]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        return _read(partition, self._options)


class KinesisStreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):  # type: ignore[misc]
    """Plans in the driver, reads in the executors. Pickled with its options only; clients are made where they work."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._planner: Planner | None = None
        self._reached: StreamOffset | None = None

    def initialOffset(self) -> dict[str, Any]:
        return FIRST

    def latestOffset(self, start: dict[str, Any] | None = None, limit: Any = None) -> dict[str, Any]:
        """The end of the next micro-batch; the last end again where nothing has arrived.

        Spark 4.2 gives where that micro-batch begins, and how much it may hold; 4.1 gives nothing.
        """
        # Without a trigger interval Spark asks an idle source every 10 ms.
        time.sleep(max(0.0, self._idle_until - time.monotonic()))
        planner, reached = self._plan(), self._reached
        if start is not None and start != FIRST:
            reached = StreamOffset.from_json(start)
        if reached is None:
            reached = planner.start()
        self._reached = planner.next(reached, under(limit, self._options.limits))
        deadline = time.monotonic() + self._options.retry_seconds
        while self._available_now and self._reached is reached and not reached.covers(self._goal()):
            # Spark takes the same offset for the end of all that is there.
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"stream {self._options.stream}: planning came no further for {self._options.retry_seconds:g} s. "
                    "Nothing is lost; start the query again and it goes on from its checkpoint."
                )
            time.sleep(self._options.idle_pause_seconds)
            self._reached = planner.next(reached, under(limit, self._options.limits))
        if self._reached is reached:
            self._idle_until = time.monotonic() + self._options.idle_pause_seconds
        return self._reached.to_json()

    def getDefaultReadLimit(self) -> Any:
        return default_read_limit(self._options.limits)

    def prepareForTriggerAvailableNow(self) -> None:
        """Spark 4.2: everything that has arrived by now, and no more, is read; a given endingPosition stays."""
        self._available_now = True
        if self._options.ending_position is None:
            goal = find_tip(KinesisClient(self._options), self._options)
            self._options, self._planner = replace(self._options, ending_position=goal), None

    def reportLatestOffset(self) -> dict[str, Any] | None:
        """Spark 4.2: how far behind the tip reading is, in seconds, for the query's progress. Costs no call."""
        if self._planner is None:
            return None
        lag = self._planner.lag
        return {"stream": self._options.stream_name, "lagSeconds": max(lag.values(), default=0.0), "lag": lag}

    def partitions(self, start: Mapping[str, Any], end: Mapping[str, Any]) -> list[InputPartition]:
        reached = StreamOffset.from_json(end)
        if self._reached is None:
            self._reached = reached
        if start == end:
            return []
        begun = reached.begun() if start == FIRST else StreamOffset.from_json(start)
        gaps = [gap for gap in reached.gaps if gap not in begun.gaps]
        ranges = _ranges(begun.shards, reached.shards, gaps)
        if self._planner is None:
            # A replay, and nobody knows how long after. What is found missing now stands in no offset.
            lost, readable = self._plan().replay(begun, reached, [each.shard_id for each in ranges])
            gaps, ranges = [*gaps, *lost], ranges if readable else []
        told = {gap.shard_id for gap in gaps}
        ranges = [each if each.shard_id in told else self._watched(each, begun) for each in ranges]
        shares = spread(ranges, self._options.tasks)
        return [*([Gaps(gaps)] if gaps else []), *(ShardRanges(share) for share in shares)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        return _read(partition, self._options)

    def _watched(self, each: ShardRange, begun: StreamOffset) -> ShardRange:
        """With what its reader needs to tell what retention passes before it is read."""
        clear, retention = begun.clear_of(each.shard_id), self._plan().retention_seconds
        if retention is None:
            return each
        return replace(each, keeping=Keeping(clear if clear > NEVER else None, retention))

    def _plan(self) -> Planner:
        if self._planner is None:
            self._planner = Planner(KinesisClient(self._options), self._options)
        return self._planner

    _available_now = False
    _idle_until = 0.0

    def _goal(self) -> StreamOffset:
        goal = self._options.ending_position
        assert goal is not None  # noqa: S101 - prepareForTriggerAvailableNow has set it
        return goal

    def __getstate__(self) -> dict[str, Any]:
        return {"_options": self._options, "_planner": None, "_reached": None}


def _ranges(begun: Mapping[str, Position], reached: Mapping[str, Position], gaps: Collection[Gap]) -> list[ShardRange]:
    """What to read of each shard. A shard that is new in `reached` begins with the next micro-batch; where something
    was found lost, the position only moves over it; a position that only ever starts a shard ends nothing: then
    the stream is another one."""
    passed = {gap.shard_id for gap in gaps}
    return [
        ShardRange(shard, begun[shard], end)
        for shard, end in reached.items()
        if shard in begun and begun[shard] not in (end, END)
        if shard not in passed and end.kind not in ("trim_horizon", "time")
    ]


def _read(partition: InputPartition, options: Options) -> Iterator[pa.RecordBatch]:
    if isinstance(partition, Gaps):
        return iter([gaps_to_arrow(partition.gaps, options.stream_name)])
    forget_zip_finders()
    return read_ranges(cast(ShardRanges, partition).ranges, options)


def spread(ranges: list[ShardRange], tasks: int) -> list[list[ShardRange]]:
    """Deals the shards out to at most `tasks` shares of nearly equal number."""
    shares = [ranges[number::tasks] for number in range(min(tasks, len(ranges)))]
    return [share for share in shares if share]
