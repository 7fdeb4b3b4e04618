"""What happens to each micro-batch: run once, counted, checked, and only then written."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession

from event_lake.checkpoint import CheckpointLog
from event_lake.contracts.broken import tell_broken
from event_lake.deduplicate import Engine, Judged
from event_lake.deduplicate.verdicts import DUPLICATE, GAP, QUARANTINED, STORED
from event_lake.errors import EventLakeError
from event_lake.event_types import EventTypes
from event_lake.executors import Executors
from event_lake.mark import BatchMark, source_offset
from event_lake.metrics import Counts, PlanMetrics, check_accounting
from event_lake.placement import Volume, volumes
from event_lake.sink import EventSink
from event_lake.telemetry.arrivals import Arrivals
from event_lake.telemetry.measured import Measured
from event_lake.telemetry.reporter import Reporter
from event_lake.upkeep.keeper import Keeper

log = logging.getLogger(__name__)


class Stopped(Exception):
    """A micro-batch that was planned after the stop was asked for; nothing of it is read, a restart begins with it."""


class BatchWriter:
    """The function that Spark calls with every micro-batch; keeps the run's totals.

    `may_write` is called before every commit, and raises where another driver has taken the lake over. Without
    a `reporter` nothing is measured that costs anything.
    """

    def __init__(
        self,
        spark: SparkSession,
        checkpoint: CheckpointLog,
        engine: Engine,
        types: EventTypes,
        sink: EventSink,
        *,
        may_write: Callable[[], None] = lambda: None,
        keeper: Keeper | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self._spark = spark
        self._checkpoint = checkpoint
        self._engine = engine
        self._types = types
        self._sink = sink
        self._may_write = may_write
        self._keeper = keeper
        self._reporter = reporter
        self._executors = Executors(spark)
        self.totals = Counts()
        self.busy = False
        self.finished: int | None = None  # the last micro-batch that is in the tables
        self.stopping = False  # set from outside: begin no further micro-batch
        self.last: int | None = None  # set from outside: begin none behind this one
        self.failure: Exception | None = None

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        self.busy = True
        try:
            if self.stopping or (self.last is not None and batch_id > self.last):
                raise Stopped(f"asked to stop; micro-batch {batch_id} waits for the next start")
            measured = self._process(batch, batch_id)
            self.finished = batch_id
            if self._keeper and not self.stopping:
                with measured.phase("maintenance"):
                    self._keeper.after_batch(batch_id)
            if self._reporter:
                self._reporter.report(measured)
        except (EventLakeError, Stopped) as error:
            self.failure = error
            if self._reporter and not isinstance(error, Stopped):
                self._reporter.failed(error)
            raise
        finally:
            self.busy = False

    def _process(self, batch: DataFrame, batch_id: int) -> Measured:
        began = time.monotonic()
        self._may_write()
        self._executors.note()
        mark, clock = self._planned(batch_id)
        measured = Measured(mark, clock, Arrivals() if self._reporter else None, began=began)
        judged = self._judged(batch, measured)
        try:
            # Running the batch comes first, on every path: after a writer that runs nothing, Spark logs the
            # batch as done although no state was written for it.
            parts = self._volumes(judged, measured)
            admitted = self._types.admitted(mark, clock, stored_types(parts), lambda: self._is_begun(mark))
            if admitted is None:
                self._write(judged, parts, measured)
            else:
                judged.withdraw()
                self._write_again(self._types.limited(batch, admitted), measured)
        finally:
            judged.release()
        self.totals += measured.counts
        seconds = time.monotonic() - began
        lag = "unknown" if mark.lag_seconds is None else f"{mark.lag_seconds:.1f}"
        log.info("%s batch=%d seconds=%.1f lag_seconds=%s", measured.counts, batch_id, seconds, lag)
        return measured

    def _judged(self, batch: DataFrame, measured: Measured) -> Judged:
        with measured.phase("judging"):
            return self._engine.judge(batch, measured.mark, measured.clock)

    def _volumes(self, judged: Judged, measured: Measured) -> list[Volume]:
        with measured.phase("judging"):
            return volumes(judged.rows)

    def _write_again(self, batch: DataFrame, measured: Measured) -> None:
        """With verdicts anew, since some records have a problem now: what they were copies of, or hid, may differ."""
        judged = self._judged(batch, measured)
        try:
            self._write(judged, self._volumes(judged, measured), measured)
        finally:
            judged.release()

    def _write(self, judged: Judged, parts: Sequence[Volume], measured: Measured) -> None:
        counts = count(judged.counted(), parts)
        self._executors.check_lost(measured.mark.batch_id, counts)
        check_accounting(measured.mark.batch_id, counts)
        judged.check(counts.stored)
        measured.counts, measured.parts = counts, parts
        measured.tables = self._sink.write(judged.rows, parts, measured.mark, datetime.now(UTC), self._may_write)
        self._may_write()
        with measured.phase("index"):
            judged.remember()
        measured.index = self._engine.size()
        if measured.arrivals:
            with measured.phase("measuring"):
                measured.arrivals.look(judged, parts)
        if counts.contract_broken:
            tell_broken(judged.rows, measured.mark.batch_id)

    def _is_begun(self, mark: BatchMark) -> bool:
        self._may_write()  # what is decided from the answer is written down
        return self._sink.is_begun(mark)

    def _planned(self, batch_id: int) -> tuple[BatchMark, datetime]:
        """What names the micro-batch, and its clock: both as Spark has logged them, so the same in a replay."""
        query_id = str(self._spark.sparkContext.getLocalProperty("sql.streaming.queryId"))
        planned = self._checkpoint.planned(batch_id)
        through = source_offset(planned.end_offset).get("through")
        clock = datetime.fromtimestamp(planned.clock_ms / 1000, UTC)
        return BatchMark(query_id, batch_id, planned.end_offset, complete_through=through), clock


def count(plan: PlanMetrics, parts: Sequence[Volume]) -> Counts:
    """Each number on its own: what the source yielded, what the engine dropped, and the rows of each verdict."""

    def rows(verdict: str) -> int:
        return sum(part.rows for part in parts if part.verdict == verdict)

    # To Spark a gap is a row like the others.
    return Counts(
        received=plan.scanned - rows(GAP),
        stored=rows(STORED),
        duplicates=plan.duplicates + rows(DUPLICATE),
        quarantined=rows(QUARANTINED),
        late_dropped=plan.late,
        gaps=rows(GAP),
        contract_broken=sum(part.broken for part in parts),
    )


def stored_types(parts: Sequence[Volume]) -> dict[str, int]:
    """How many rows each event type is about to get."""
    rows: dict[str, int] = {}
    for part in parts:
        if part.verdict == STORED and part.kind is not None:
            rows[part.kind] = rows.get(part.kind, 0) + part.rows
    return rows
