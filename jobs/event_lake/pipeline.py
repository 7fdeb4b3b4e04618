"""The life of an event, in the order it lives it: raw record, verdict, once per event_uuid, table or quarantine."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

import kinesis_source
from event_lake.batch import BatchWriter
from event_lake.checkpoint import CheckpointLog, refuse_backward_clock
from event_lake.config import Config
from event_lake.deduplicate import engine_for
from event_lake.metrics import Counts
from event_lake.parse import parse
from event_lake.sink import EventSink
from event_lake.source import kinesis_options, named_failure, raw_records
from event_lake.stop import StopRequest
from event_lake.storage import Storage
from event_lake.supervise import supervise


def run(spark: SparkSession, config: Config, stop: StopRequest, until_caught_up: bool = False) -> Counts:
    """Runs the query until it has caught up or is asked to stop; says what it counted. Raises the tree of `errors`."""
    storage = Storage.of_session(spark)
    checkpoint = CheckpointLog(storage, config.checkpoint.path)
    now = datetime.now(UTC)
    refuse_backward_clock(checkpoint.last_planned(), now, config.dedup.window, config.dedup.margin)
    goal = _tip(spark, config) if until_caught_up and config.source.kind == "kinesis" else None

    sink = EventSink(spark, storage, config.lake)
    sink.create()
    engine = engine_for(spark, storage, checkpoint, config)
    engine.open()
    writer = BatchWriter(spark, checkpoint, engine, sink)

    raw = raw_records(spark, config, goal)
    parsed = parse(raw, config.source.most_unpacked.count)
    query = _start(engine.on_stream(parsed), writer, config, until_caught_up)

    supervise(query, writer, stop, lambda: goal is not None and _covers(checkpoint, goal))
    stop.honoured()
    return writer.totals


def _start(events: DataFrame, writer: BatchWriter, config: Config, until_caught_up: bool) -> StreamingQuery:
    stream = (
        events.writeStream.queryName("event-lake")
        .foreachBatch(writer)
        .option("checkpointLocation", config.checkpoint.path)
    )
    if not until_caught_up:
        stream = stream.trigger(processingTime=f"{int(config.trigger.interval.total_seconds() * 1000)} milliseconds")
    elif config.source.kind == "kinesis":
        # Its end is pinned by the ending position; slices follow each other without a pause.
        stream = stream.trigger(processingTime="0 seconds")
    else:
        stream = stream.trigger(availableNow=True)
    return stream.start()


def _tip(spark: SparkSession, config: Config) -> kinesis_source.StreamOffset:
    """Where the stream ends now."""
    try:
        return kinesis_source.tip(kinesis_options(config.source, spark.sparkContext.defaultParallelism))
    except kinesis_source.KinesisSourceError as error:
        raise named_failure(f"{type(error).__module__}.{type(error).__name__}: {error}") from error


def _covers(checkpoint: CheckpointLog, goal: kinesis_source.StreamOffset) -> bool:
    """Whether every record up to the goal is in a committed micro-batch."""
    committed = checkpoint.last_committed()
    return committed is not None and kinesis_source.StreamOffset.from_json(json.loads(committed.end_offset)).covers(
        goal
    )
