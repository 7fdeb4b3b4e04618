"""The metrics as a Delta table beside the lake: a micro-batch is in it once, whatever is replayed.

The commit carries the query and its last micro-batch as the other tables' do (txnAppId, txnVersion). What the driver
had not committed when it was killed is not in it: a number of `batch_id` is missing.

Nobody else writes to it while the job runs, so its small files are put together here, behind a commit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import groupby

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from event_lake.config import Maintenance
from event_lake.delta_log import DeltaLog
from event_lake.delta_table import DeltaTableWriter
from event_lake.errors import in_one_line
from event_lake.mark import BatchMark
from event_lake.storage import Storage
from event_lake.telemetry.measures import METRICS, METRICS_PARTITIONS
from event_lake.telemetry.row import Row
from event_lake.upkeep.compaction import compact, compaction_session, due
from event_lake.upkeep.partitions import partitions

log = logging.getLogger(__name__)

LOOK_EVERY = 20  # commits
SOUGHT_BY = ("batch_id", "planned_at", "stored_at", "complete_through")  # statistics of all others cost and help nobody


class MetricsTable:
    """Made with the first row. `may_write` raises where this driver may no longer."""

    def __init__(
        self, spark: SparkSession, storage: Storage, path: str, maintenance: Maintenance, may_write: Callable[[], None]
    ) -> None:
        self._spark = spark
        of_table = DeltaLog(spark, storage, storage.qualified(path))
        self._table = DeltaTableWriter(spark, of_table, "metrics", METRICS, METRICS_PARTITIONS, statistics=SOUGHT_BY)
        self._is_there = False
        self._maintenance = maintenance
        self._may_write = may_write

    def __call__(self, rows: Sequence[Row]) -> None:
        if not self._is_there:
            self._may_write()
            self._table.create()
            self._is_there = True
        for query_id, of_query in groupby(rows, key=lambda row: row["query_id"]):
            known = self._table.last_number(query_id)
            new = [row for row in of_query if row["batch_id"] > known]
            if new:
                self._append(new, BatchMark(query_id, new[-1]["batch_id"], end_offset="{}", complete_through=None))

    def _append(self, rows: Sequence[Row], mark: BatchMark) -> None:
        values = [tuple(row.get(name) for name in METRICS.fieldNames()) for row in rows]
        self._table.append(self._spark.createDataFrame(values, METRICS).coalesce(1), mark, self._may_write)
        commit = self._table.commit(mark)
        # The table's version says when, since a job that is started for one micro-batch never counts so far.
        if commit and commit.version % LOOK_EVERY == 0 and self._maintenance.longest_pause:
            self._compact()

    def _compact(self) -> None:
        session, target = compaction_session(self._spark), self._maintenance.target_file_size.count
        now = datetime.now(UTC)
        try:
            for part in due(partitions(session, self._table.path, target, now.date()), self._maintenance, now):
                self._may_write()
                log.info("compacted table=%s %s", self._table.path, compact(session, self._table.path, [part], target))
        except (Py4JError, PySparkException) as error:  # no row is lost by it, and the next look finds the same
            log.warning("compaction table=%s left as it is: %s", self._table.path, in_one_line(error))
