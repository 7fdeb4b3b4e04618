"""What happens to each micro-batch: run once, counted, checked, and only then written."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession

from event_lake.checkpoint import CheckpointLog
from event_lake.errors import EventLakeError
from event_lake.metrics import Counts, check_accounting, read_plan_metrics
from event_lake.sink import BatchMark, EventSink, Volume, volumes

log = logging.getLogger(__name__)


class Stopped(Exception):
    """A micro-batch that was planned after the stop was asked for; nothing of it is read, a restart begins with it."""


class BatchWriter:
    """The function that Spark calls with every micro-batch; keeps the run's totals."""

    def __init__(self, spark: SparkSession, checkpoint: CheckpointLog, sink: EventSink) -> None:
        self._spark = spark
        self._checkpoint = checkpoint
        self._sink = sink
        self.totals = Counts()
        self.busy = False
        self.finished: int | None = None  # the last micro-batch that is in the tables
        self.stopping = False  # set from outside: begin no further micro-batch
        self.failure: Exception | None = None

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        self.busy = True
        try:
            if self.stopping:
                raise Stopped(f"asked to stop; micro-batch {batch_id} waits for the next start")
            self._process(batch, batch_id)
            self.finished = batch_id
        except (EventLakeError, Stopped) as error:
            self.failure = error
            raise
        finally:
            self.busy = False

    def _process(self, batch: DataFrame, batch_id: int) -> None:
        began = time.monotonic()
        query_id = self._spark.sparkContext.getLocalProperty("sql.streaming.queryId")
        batch.persist()
        try:
            # Running the batch comes first, on every path: after a writer that runs nothing, Spark logs the
            # batch as done although no state was written for it.
            parts = volumes(batch)
            counts = self._count(str(query_id), parts)
            check_accounting(batch_id, counts)
            mark = self._mark(str(query_id), batch_id)
            self._sink.write(batch, parts, mark, datetime.now(UTC))
        finally:
            batch.unpersist()
        self.totals += counts
        seconds = time.monotonic() - began
        log.info("%s batch=%d seconds=%.1f lag_seconds=%.1f", counts, batch_id, seconds, mark.lag_seconds)

    def _count(self, query_id: str, parts: list[Volume]) -> Counts:
        plan = read_plan_metrics(self._spark.streams.get(query_id))
        return Counts(
            received=plan.scanned,
            stored=sum(part.rows for part in parts if part.good),
            duplicates=plan.duplicates,
            quarantined=sum(part.rows for part in parts if not part.good),
            late_dropped=plan.late,
        )

    def _mark(self, query_id: str, batch_id: int) -> BatchMark:
        end_offset = self._checkpoint.planned(batch_id).end_offset
        offset = json.loads(end_offset)
        through = offset.get("through") if isinstance(offset, dict) else None
        return BatchMark(query_id, batch_id, end_offset, complete_through=through)
