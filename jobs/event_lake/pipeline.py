"""The life of an event, in the order it lives it: raw record, verdict, once per event_uuid, table or quarantine."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

import kinesis_source
from event_lake.batch import BatchWriter
from event_lake.belonging import check_belonging
from event_lake.checkpoint import CheckpointLog, refuse_backward_clock
from event_lake.config import Config
from event_lake.connectors.limits import check_limits
from event_lake.contracts.in_force import contracts_in_force
from event_lake.deduplicate import engine_for
from event_lake.deletion.lake import deleted_events
from event_lake.event_types import EventTypes
from event_lake.lease import Lease, lease_of
from event_lake.metrics import Counts
from event_lake.other_queries import OtherQueries
from event_lake.recovery import Recovery
from event_lake.sink import EventSink
from event_lake.source import kinesis_options, named_failure, parsed_records, refuse_unreadable
from event_lake.stop import StopRequest
from event_lake.storage import Storage
from event_lake.supervise import supervise
from event_lake.telemetry.outlets import reporter_of
from event_lake.upkeep.keeper import keeper_of
from event_lake.upkeep.settings import for_new_tables


def run(
    spark: SparkSession, config: Config, stop: StopRequest, until_caught_up: bool = False, recover: bool = False
) -> Counts:
    """Runs the query until it has caught up or is asked to stop; says what it counted. Raises the tree of `errors`.

    With `recover` a checkpoint that is new is made from the tables first.
    """
    refuse_unreadable(spark, config.source.kind)
    check_limits(config.source, until_caught_up)
    lease = lease_of(Storage.of_session(spark), config)
    if not lease.acquire(stop.made):
        return Counts()  # a stop marker is for the driver that has the lease to remove
    with lease:
        if recover:
            _recover(spark, config, lease)
        totals = _run(spark, config, stop, lease, until_caught_up)
        stop.honoured()
    return totals


def run_beside(spark: SparkSession, config: Config, stop: StopRequest, lease: Lease) -> Counts:
    """The same for a query that fills in what the lake's job has left out, with a checkpoint of its own and a lease
    that is held already: until all is read that was there at the start, or asked to stop."""
    totals = _run(spark, config, stop, lease, until_caught_up=True, beside=True)
    stop.honoured()
    return totals


def _recover(spark: SparkSession, config: Config, lease: Lease) -> None:
    storage = Storage.of_session(spark)
    Recovery(spark, storage, config, EventSink(spark, storage, config.lake)).run(lease.check)


def _run(
    spark: SparkSession,
    config: Config,
    stop: StopRequest,
    lease: Lease,
    until_caught_up: bool,
    *,
    goal: kinesis_source.StreamOffset | None = None,
    beside: bool = False,
) -> Counts:
    storage = Storage.of_session(spark)
    checkpoint = CheckpointLog(storage, config.checkpoint.path)
    now = datetime.now(UTC)
    refuse_backward_clock(checkpoint.last_planned(), now, config.dedup.window, config.dedup.margin)
    for_new_tables(spark, config.maintenance)
    sink = EventSink(spark, storage, config.lake)
    check_belonging(checkpoint, sink, config.source, beside)
    checkpoint.clear_unborn()
    others = OtherQueries(checkpoint, sink, config.dedup.margin)
    others.check_finished()
    contracts, to_finish = contracts_in_force(storage, checkpoint, config, sink)
    engine = engine_for(spark, storage, checkpoint, config, beside)
    engine.open()
    if goal is None and until_caught_up and config.source.kind == "kinesis":
        goal = _tip(spark, config)

    sink.create()
    unknown = others.unknown_events(beside)
    if unknown is not None:
        engine.learn(unknown, deleted_events(spark, storage, config.lake))
    types = EventTypes(storage, checkpoint, config.lake.new_types_per_day)
    types.open(sink.event_types, others_wrote=unknown is not None)
    keeper = keeper_of(spark, storage, config, lease.check)
    reporter = reporter_of(spark, storage, config, sink, lease.check)
    writer = BatchWriter(
        spark, checkpoint, engine, types, sink, may_write=lease.check, keeper=keeper, reporter=reporter
    )
    writer.last = to_finish

    recovered = checkpoint.recovered()
    begin = recovered.end_offset if recovered else None
    try:
        parsed = parsed_records(spark, config, goal, begin, contracts)
        query = _start(engine.on_stream(parsed), writer, config, until_caught_up)
        if reporter:
            reporter.watch(query)
        supervise(query, writer, stop, lease, lambda: _is_done(checkpoint, goal, to_finish))
    finally:
        if keeper:
            keeper.stop()
        if reporter:
            reporter.stop()
    if to_finish is None or stop.made():
        return writer.totals
    return writer.totals + _run(  # by the newest contracts
        spark, config, stop, lease, until_caught_up, goal=goal, beside=beside
    )


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


def _is_done(checkpoint: CheckpointLog, goal: kinesis_source.StreamOffset | None, to_finish: int | None) -> bool:
    """Whether the micro-batch `to_finish`, or every record up to the goal, is in Spark's commit log."""
    if goal is None and to_finish is None:
        return False
    committed = checkpoint.last_committed()
    if committed is None:
        return False
    if to_finish is not None:
        return committed.batch_id >= to_finish
    return goal is not None and kinesis_source.StreamOffset.from_json(json.loads(committed.end_offset)).covers(goal)
