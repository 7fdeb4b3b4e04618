"""The Spark face of the package: ``format("kinesis-exact")``, a Python Data Source for Spark 4.0 and later.

The order in which Spark calls the stream reader (seen on 4.1.1), and what each answer rests on:

first start    latestOffset, initialOffset, partitions(initial, latest). Spark logs `latest` and never `initial`;
               so `latest` carries the first positions, and `initial` is a constant that points there.
each trigger   latestOffset; where it equals the last one there is no micro-batch. commit(end) comes a batch later.
restart        a new reader; partitions(last, last) is how it learns where it stands. If the last micro-batch was not
               committed, partitions(start, last) follows: the same positions, so the same records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceStreamReader, InputPartition
from pyspark.sql.types import StructType

from kinesis_source.batch import plan
from kinesis_source.bounds import Bounds
from kinesis_source.client import KinesisClient
from kinesis_source.options import Options
from kinesis_source.planner import Planner
from kinesis_source.position import END, FIRST, StreamOffset
from kinesis_source.reader import ShardRange, read_ranges

SCHEMA = (
    "data binary, streamName string, shardId string, partitionKey string, sequenceNumber string,"
    " subSequenceNumber long, approximateArrivalTimestamp timestamp"
)


class KinesisDataSource(DataSource):
    """Exact Kinesis reading. Options: see `kinesis_source.options`. Columns: `SCHEMA`, named as AWS's connectors do.

    Register it once a session: ``spark.dataSource.register(KinesisDataSource)``.
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


class KinesisBatchReader(DataSourceReader):
    """``spark.read``: everything between two bounds (`batch`), which are pinned whenever Spark plans a query anew."""

    def __init__(self, bounds: Bounds, options: Options) -> None:
        self._bounds, self._options = bounds, options

    def partitions(self) -> list[InputPartition]:
        shares = spread(plan(self._bounds, self._options), self._options.tasks)
        return [ShardRanges(share) for share in shares or [[]]]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        return read_ranges(cast(ShardRanges, partition).ranges, self._options)


class KinesisStreamReader(DataSourceStreamReader):
    """Plans in the driver, reads in the executors. Pickled with its options only; clients are made where they work."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._planner: Planner | None = None
        self._reached: StreamOffset | None = None

    def initialOffset(self) -> dict[str, Any]:
        return FIRST

    def latestOffset(self) -> dict[str, Any]:
        """The end of the next micro-batch; the last end again where nothing has arrived."""
        if self._planner is None:
            self._planner = Planner(KinesisClient(self._options), self._options)
        if self._reached is None:
            self._reached = self._planner.start()
        self._reached = self._planner.next(self._reached)
        return self._reached.to_json()

    def partitions(self, start: Mapping[str, Any], end: Mapping[str, Any]) -> list[InputPartition]:
        reached = StreamOffset.from_json(end)
        if self._reached is None:
            self._reached = reached
        if start == end:
            return []
        begun = (reached.first or {}) if start == FIRST else StreamOffset.from_json(start).shards
        return [ShardRanges(share) for share in spread(_ranges(begun, reached.shards), self._options.tasks)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        return read_ranges(cast(ShardRanges, partition).ranges, self._options)

    def __getstate__(self) -> dict[str, Any]:
        return {"_options": self._options, "_planner": None, "_reached": None}


def _ranges(begun: Mapping[str, Any], reached: Mapping[str, Any]) -> list[ShardRange]:
    """What to read of each shard; a shard that is new in `reached` begins with the next micro-batch."""
    return [
        ShardRange(shard, begun[shard], end)
        for shard, end in reached.items()
        if shard in begun and begun[shard] != end and begun[shard] != END
    ]


def spread(ranges: list[ShardRange], tasks: int) -> list[list[ShardRange]]:
    """Deals the shards out to at most `tasks` shares of nearly equal number."""
    shares = [ranges[number::tasks] for number in range(min(tasks, len(ranges)))]
    return [share for share in shares if share]
