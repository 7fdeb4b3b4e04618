"""Exact reading of Kinesis streams from Spark: ``format("kinesis-exact")``.

Spark's own offset log holds, for every shard, the exact position where each micro-batch ends; a replay reads the same
records, and there is no side metadata to lose. `source` is what Spark calls; `planner` decides in the driver where a
micro-batch ends, by `first_start`, `slices` (how much), `shard_plan` (one shard), `loss`, `lineage`, `clear` and `lag`
(all of them), `tip`; `bounds` and `batch` where a batch query begins and ends; `reader` reads it in the executors, by
a `crew` of threads that keep to a `pace` and to `memory`; `batches` makes Arrow of it, `aggregation` unpacks the KPL's
records; `position` is what stands in the offset log, `gap` what is missing, `expiry` how the reader knows; `shards`
and `client` are Kinesis' HTTP API, `credentials` and `signing` who calls it, `clock` its time; `options` and `errors`
are what a user meets; `data_source` and `admission` are Spark's API, where it has one. Imports nothing from event_lake.
"""

from collections.abc import Iterator

import pyarrow as pa

from kinesis_source.batch import plan
from kinesis_source.batches import gaps_to_arrow
from kinesis_source.bounds import Bounds
from kinesis_source.client import KinesisClient
from kinesis_source.errors import DataLossError, KinesisSourceError, OptionError, StreamError, UnavailableError
from kinesis_source.lineage import describe
from kinesis_source.options import Options
from kinesis_source.position import Position, StreamOffset
from kinesis_source.reader import read_ranges
from kinesis_source.source import SCHEMA, KinesisDataSource
from kinesis_source.tip import find_tip

__all__ = [
    "SCHEMA",
    "DataLossError",
    "KinesisDataSource",
    "KinesisSourceError",
    "OptionError",
    "Position",
    "StreamError",
    "StreamOffset",
    "UnavailableError",
    "kept_since",
    "read",
    "tip",
]


def tip(options: dict[str, str]) -> StreamOffset:
    """The end of everything that has arrived in the stream by now, for the option `endingPosition`.

    `options` are those of the reader. Raises the errors of `kinesis_source.errors`.
    """
    parsed = Options.parse(options)
    return find_tip(KinesisClient(parsed), parsed)


def kept_since(options: dict[str, str]) -> float:
    """Since when the stream keeps what arrives, in Unix seconds by its own clock: everything later is still there.

    `options` are those of a reader. Raises the errors of `kinesis_source.errors`.
    """
    client = KinesisClient(Options.parse(options))
    retention = describe(client).retention_seconds
    return client.clock.now() - retention


def read(options: dict[str, str]) -> Iterator[pa.RecordBatch]:
    """The records that ``spark.read`` would give for these options, in this process and without Spark.

    Columns: `SCHEMA`; a shard's records come in order, shards interleaved. Raises the errors of
    `kinesis_source.errors`.
    """
    bounds, parsed = Bounds.parse(options)
    planned = plan(bounds, parsed)
    if planned.gaps:
        yield gaps_to_arrow(list(planned.gaps), parsed.stream_name)
    yield from read_ranges(planned.ranges, parsed)
