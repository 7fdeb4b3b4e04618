"""Whether a checkpoint, the tables, the stream and the configuration belong together: looked at before every start.

Each is fine alone. A fresh checkpoint on a table that has rows reads the stream anew; a table that was made anew under
an old checkpoint lacks what the checkpoint says is stored; an older checkpoint reads again what is in the table. Spark
and Delta notice none of these. What can be compared: the events table says of each query how far it has come (its
commit is a micro-batch's last), and the checkpoint what it has planned and committed.

Costs a few small files and one look at each table's newest snapshot.
"""

from __future__ import annotations

from event_lake.checkpoint import CheckpointLog, PlannedBatch
from event_lake.config import Source
from event_lake.deduplicate.verdicts import STORED
from event_lake.errors import ConfigError, DataLossError
from event_lake.mark import BatchMark, LastBatch, source_offset
from event_lake.sink import EventSink, TableWriter

WAYS_ON = "docs/operations.md, "  # followed by a heading there


def check_belonging(checkpoint: CheckpointLog, sink: EventSink, source: Source, beside: bool = False) -> None:
    """Raises ConfigError where other things should be configured together, DataLossError where something is gone.

    `beside`: the query fills in what others have left out, so that tables which hold something are what it expects.
    """
    planned, query_id = checkpoint.last_planned(), checkpoint.query_id()
    if planned is None:
        check_layout(sink)
        _check_new(checkpoint, sink, beside)
        return
    if query_id is None:
        raise _lost(checkpoint, "the file `metadata`, which names the query")
    if planned.batch_id:
        checkpoint.planned(planned.batch_id - 1)  # Spark begins there
    committed = checkpoint.newest_committed()
    if committed is not None and committed > planned.batch_id:
        raise _lost(checkpoint, f"the offset log's entries behind micro-batch {planned.batch_id}")
    check_source(checkpoint.path, planned.end_offset, source)
    last = {verdict: table.last_batch(query_id) for verdict, table in sink.tables.items()}
    for verdict, table in sink.tables.items():
        _check_not_ahead(table, last[verdict], checkpoint, planned)
    # What has been committed is in the events table; and before a micro-batch is planned the one before it is.
    least = max(-1 if committed is None else committed, planned.batch_id - 1)
    _check_events(checkpoint, sink.tables[STORED], last[STORED], least, beside)
    check_layout(sink)  # of the table that it is, not of one that was put in its place


def check_layout(sink: EventSink) -> None:
    """Raises ConfigError where the events table is partitioned by other columns than lake.partition_by says."""
    found = sink.tables[STORED].partitioned_by()
    wanted = sink.partitions
    if found is not None and found != wanted:
        raise ConfigError(
            f"lake.partition_by asks for an events table by {', '.join(wanted)}, but {sink.tables[STORED].path} is "
            f"partitioned by {', '.join(found)}. Nothing was read. Set lake.partition_by back to {found[-1]}. Where "
            "the table is to change, maintain_tables.py --repartition writes a Delta table anew (docs/tables.md); for "
            "plain files the stream is read into a new table."
        )


def check_source(written_by: str, end_offset: str, source: Source) -> None:
    """Raises ConfigError unless the offset is one of this source; that a stream of the same name was made again the
    source itself finds out."""
    offset = source_offset(end_offset)
    by_connector = offset.get("metadata", {}).get("streamName")
    if not _may_be_of(source.kind, is_of_shards="shards" in offset, is_of_connector=by_connector is not None):
        raise ConfigError(
            f'source.kind is "{source.kind}", but {written_by} was written with another kind of source; its positions '
            f"mean nothing there. Nothing was read. {_NEW_SOURCE}"
        )
    configured = source.stream.rpartition("/")[2]
    written_for = offset.get("stream") if "shards" in offset else by_connector
    if written_for not in (None, configured):
        raise ConfigError(
            f'source.stream is "{configured}", but {written_by} was written for the stream "{written_for}"; '
            f"sequence numbers mean nothing in another one. Nothing was read. {_NEW_SOURCE}"
        )


def _may_be_of(kind: str, is_of_shards: bool, is_of_connector: bool) -> bool:
    """Whether a source of this kind may have written such an offset; what Glue's looks like is not documented."""
    if kind == "glue-kinesis":
        return not is_of_shards
    return (is_of_shards, is_of_connector) == (kind == "kinesis", kind == "aws-kinesis")


_NEW_SOURCE = (
    "Configure the former source, or give the new one a checkpoint path and tables of its own "
    f"({WAYS_ON}“Another stream”)."
)


def _check_new(checkpoint: CheckpointLog, sink: EventSink, beside: bool) -> None:
    if checkpoint.newest_committed() is not None:
        raise _lost(checkpoint, "the offset log")
    recovered = checkpoint.recovered()
    if recovered is not None:
        _check_continues(checkpoint, sink.tables[STORED], recovered)
        return
    for table in sink.tables.values():
        if not (beside or table.is_untouched()):
            raise _fresh(checkpoint, table)


def _check_not_ahead(
    table: TableWriter, last: LastBatch | None, checkpoint: CheckpointLog, planned: PlannedBatch
) -> None:
    """Raises DataLossError where the table has a micro-batch that the checkpoint has not planned, or another one."""
    if last is not None and last.retired:
        raise DataLossError(
            f"another checkpoint than {checkpoint.path} has been made from the table {table.path} (--recover), and "
            "goes on where this one stood: with this one everything since would be stored again. Nothing was read. "
            "Configure the other checkpoint path."
        )
    if last is None or last.batch_id < planned.batch_id - 1:
        return
    if last.batch_id <= planned.batch_id:
        mark = BatchMark("", last.batch_id, checkpoint.planned(last.batch_id).end_offset, None)
        if last.offset_hash in (None, mark.offset_hash):
            return
    raise DataLossError(
        f"the table {table.path} holds micro-batch {last.batch_id} of this query, but the checkpoint {checkpoint.path} "
        f"has planned up to {planned.batch_id}, or has planned other records for it: the checkpoint is older than the "
        "table, as after restoring it from a copy. What it would read is stored already. Nothing was read. Restore the "
        f"newest checkpoint, or recover from the tables into a new one ({WAYS_ON}“Recovering without a checkpoint”)."
    )


def _check_events(
    checkpoint: CheckpointLog, events: TableWriter, last: LastBatch | None, least: int, beside: bool
) -> None:
    if last is None and least < 0:
        # The first micro-batch has not come to its end; what is in the table is what it was recovered from, if at all.
        recovered = checkpoint.recovered()
        if recovered is not None:
            _check_continues(checkpoint, events, recovered)
        elif not (beside or events.is_untouched()):
            raise _fresh(checkpoint, events)
    elif last is None or last.batch_id < least:
        has = "none of them" if last is None else f"only those up to {last.batch_id}"
        raise DataLossError(
            f"the checkpoint {checkpoint.path} says that micro-batches up to {least} are stored, but the table "
            f"{events.path} has {has}: it was deleted, made anew or taken back to an earlier version. Going on would "
            "leave them out for good. Nothing was read. Restore the table; or fill it again from the stream, as far as "
            f"that reaches back ({WAYS_ON}“Reading the stream again”)."
        )


def _check_continues(checkpoint: CheckpointLog, events: TableWriter, recovered: BatchMark) -> None:
    newest = events.newest_mark(of_shards=True)
    if newest is None or newest.offset_hash != recovered.offset_hash:
        raise DataLossError(
            f"the checkpoint {checkpoint.path} was made to go on behind micro-batch {recovered.batch_id} of query "
            f"{recovered.query_id}, but the table {events.path} has been written since, or is another one. Nothing was "
            "read. Recover into another new checkpoint path."
        )


def _fresh(checkpoint: CheckpointLog, table: TableWriter) -> ConfigError:
    return ConfigError(
        f"checkpoint.path ({checkpoint.path}) is new, but the table {table.path} holds what was stored before: the "
        "stream would be read anew and its events stored again. Nothing was read. Configure the checkpoint that wrote "
        "the table; where that is lost, or cannot be used, start once with --recover; or configure new tables "
        f"({WAYS_ON}“Recovering without a checkpoint”)."
    )


def _lost(checkpoint: CheckpointLog, what: str) -> DataLossError:
    return DataLossError(
        f"the checkpoint {checkpoint.path} has lost {what}. Nothing was read. Restore it whole, or recover from the "
        f"tables into a new checkpoint path ({WAYS_ON}“Recovering without a checkpoint”)."
    )
