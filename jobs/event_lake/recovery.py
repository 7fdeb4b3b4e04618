"""A new checkpoint made from the tables, where the one that wrote them is lost or cannot be used any more.

The newest commit of the events table says where in the stream everything before it is stored; reading goes on there.
The keys of the window before it are in the table, and become the index of seen keys. What is left is a micro-batch of
the old checkpoint that came into another table, but not into events: reading begins in front of it, so its rows are
deleted there. Nothing is read twice, nothing left out, and no copy of a stored event is taken for new.

Before any of it the old query is retired in every table: from then on Delta refuses whatever a driver of it may yet try
to commit. So the old checkpoint is of no use afterwards. Every step may be repeated; the checkpoint is there once
`recovered.json` is, which is written last.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import takewhile

from pyspark.sql import SparkSession

from event_lake.belonging import check_layout, check_source
from event_lake.checkpoint import RECOVERED, CheckpointLog
from event_lake.config import Config
from event_lake.deduplicate.index import IndexEngine
from event_lake.deletion.lake import deleted_events
from event_lake.delta_table import DeltaTableWriter
from event_lake.errors import ConfigError, DataLossError
from event_lake.mark import BatchMark
from event_lake.sink import EventSink
from event_lake.storage import Storage

log = logging.getLogger(__name__)


class Recovery:
    """Makes the configured checkpoint, which must be new, from the configured tables."""

    def __init__(self, spark: SparkSession, storage: Storage, config: Config, sink: EventSink) -> None:
        self._storage = storage
        self._config = config
        self._checkpoint = CheckpointLog(storage, config.checkpoint.path)
        self._engine = IndexEngine(spark, storage, self._checkpoint, config.dedup)
        self._sink = sink
        self._deleted = deleted_events(spark, storage, config.lake)
        self._tables = [table for table in sink.tables.values() if isinstance(table, DeltaTableWriter)]

    def run(self, may_write: Callable[[], None]) -> None:
        """Raises ConfigError where this cannot be done exactly, and has changed nothing then."""
        if self._checkpoint.last_planned() or self._checkpoint.recovered():
            log.info("recovery=not_needed checkpoint=%s", self._checkpoint.path)
            return
        self._check_config()
        check_layout(self._sink)
        self._engine.open()
        begun = self._newest()
        check_source(f"the table {self._events.path}", begun.end_offset, self._config.source)
        for table in self._tables:
            table.create()  # that of gaps, too: the old query is retired in each
        unfinished = [mark for table in self._others for mark in self._unfinished(table)]
        for query_id in {begun.query_id, *(mark.query_id for mark in unfinished)}:
            for table in self._tables:
                may_write()
                table.retire(query_id)
        last = self._newest()  # nothing can come behind it any more
        for table in self._others:
            may_write()
            self._take_back(table, last)
        self._engine.seed(self._events.rows(), self._deleted, last)
        may_write()
        self._storage.write_whole(f"{self._checkpoint.path}/{RECOVERED}", last.to_json())
        log.info("recovered query=%s batch=%d through=%s", last.query_id, last.batch_id, last.complete_through)

    def _check_config(self) -> None:
        config = self._config
        if config.lake.format != "delta":
            raise ConfigError(
                f'--recover needs Delta tables, and lake.format is "{config.lake.format}": plain files do not say '
                "which of several queries wrote last, nor can an unfinished micro-batch be taken out of them at once. "
                "Read the stream again into new tables (docs/operations.md)."
            )
        if config.dedup.engine != "index":
            raise ConfigError(
                '--recover needs dedup.engine = "index": Spark\'s own operator keeps its keys in a form that only its '
                'micro-batches can write, and without them copies would be stored again. Set dedup.engine = "index"; '
                'tables that "spark" wrote can be recovered with it.'
            )
        if config.source.kind != "kinesis":
            raise ConfigError(
                f'--recover needs source.kind = "kinesis", and it is "{config.source.kind}": how far it was '
                "read, the checkpoint alone says."
            )

    @property
    def _others(self) -> Sequence[DeltaTableWriter]:
        return self._tables[:-1]

    @property
    def _events(self) -> DeltaTableWriter:
        return self._tables[-1]

    def _newest(self) -> BatchMark:
        mark = self._events.newest_mark(of_shards=True)  # a backfill may have come behind it
        if mark is None:
            raise ConfigError(
                f"there is nothing to recover from: no commit of {self._events.path} that is still kept says which "
                "micro-batch it holds. A first start needs no --recover; otherwise read the stream again into new "
                "tables (docs/operations.md)."
            )
        return mark

    def _unfinished(self, table: DeltaTableWriter) -> Sequence[BatchMark]:
        """The micro-batches that have come into this table, but not into events: the newest ones only."""
        return list(takewhile(lambda mark: not self._is_whole(mark), table.marks()))

    def _is_whole(self, mark: BatchMark) -> bool:
        return mark.batch_id <= self._events.last_number(mark.query_id)

    def _take_back(self, table: DeltaTableWriter, last: BatchMark) -> None:
        """Deletes what of an unfinished micro-batch has come into this table."""
        unfinished = self._unfinished(table)
        told = [mark.batch_id for mark in unfinished if mark.query_id == last.query_id]
        is_untold = table.last_number(last.query_id) > max(last.batch_id, *told, -1)
        if is_untold or not all(mark.stored_at for mark in unfinished):
            raise DataLossError(
                f"{table.path} holds rows of a micro-batch that is not in the events table, and no commit says any "
                "more which rows these are; they would be there twice. Delete the rows with the latest stored_at from "
                "it, and start again."
            )
        for mark in unfinished:
            table.take_back(mark)
            log.info("taken_back table=%s batch=%d query=%s", table.path, mark.batch_id, mark.query_id)
