"""Deleting files that no version of a Delta table within `maintenance.keep_deleted_files` refers to.

Delta's VACUUM, FULL: it lists the table, so that it finds what crashed writers have left, too. Its cheaper kind, LITE,
reads the log only, but refuses once log cleaning has gone past the last one, and, on a table whose log has been
cleaned, after a FULL one (VacuumCommand.scala, Delta 4.2). It makes no commit here (vacuum.logging.enabled), so it can
run beside whoever writes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from threading import Thread

from delta.tables import DeltaTable
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from event_lake import log_listing
from event_lake.errors import in_one_line
from event_lake.storage import Storage

log = logging.getLogger(__name__)

LISTING_TASKS_A_CORE = 4
TAG = "event-lake-vacuum"


def vacuum(spark: SparkSession, path: str, gentle: bool, keep: timedelta | None = None) -> float:
    """Says how many seconds it took. `gentle`: with one core at most, since a stream is running. `keep`: how long a
    deleted file stays, where it is not as long as the table says."""
    began = time.monotonic()
    DeltaTable.forPath(_session(spark, gentle), path).vacuum(None if keep is None else _hours(keep))
    return time.monotonic() - began


def deletable(spark: SparkSession, path: str, keep: timedelta | None = None) -> int:
    """How many files `vacuum` would delete now."""
    retain = "" if keep is None else f"RETAIN {_hours(keep):g} HOURS "
    return int(_session(spark, gentle=False).sql(f"VACUUM delta.`{path}` {retain}DRY RUN").count())


def _hours(keep: timedelta) -> float:
    return keep.total_seconds() / 3600


def _session(spark: SparkSession, gentle: bool) -> SparkSession:
    session = spark.newSession()
    # Tasks are handed out in the order of their jobs: a listing of many would keep the micro-batch behind it waiting.
    # Spark's default is 10,000 tasks, however few folders there are.
    tasks = 1 if gentle else LISTING_TASKS_A_CORE * spark.sparkContext.defaultParallelism
    session.conf.set("spark.sql.sources.parallelPartitionDiscovery.parallelism", str(tasks))
    session.conf.set("spark.databricks.delta.vacuum.parallelDelete.enabled", str(not gentle).lower())
    session.conf.set("spark.databricks.delta.vacuum.logging.enabled", "false")
    # Whatever the cluster's defaults say, and other threads do: with it the tables' logs would be deleted.
    session.conf.set(log_listing.SETTING, "false")
    # Who asks for less than the table keeps holds the lake, and knows why.
    session.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    return session


def last_vacuum(storage: Storage, path: str) -> datetime | None:
    """When the last one ended; Delta notes each in the table's log folder."""
    return storage.modified(f"{path}/_delta_log/_last_vacuum_info")


class BackgroundVacuum:
    """A vacuum of each table in turn, in a thread beside the stream, `every` so often."""

    def __init__(self, spark: SparkSession, storage: Storage, paths: Sequence[str], every: timedelta) -> None:
        self._spark = spark
        self._storage = storage
        self._paths = paths
        self._every = every
        self._next_look = datetime.now(UTC)
        self._thread: Thread | None = None

    def start_if_due(self, now: datetime) -> None:
        if not self._every or now < self._next_look or (self._thread and self._thread.is_alive()):
            return
        self._next_look = now + min(self._every, timedelta(hours=1))
        due = [path for path in self._paths if self._is_due(path, now)]
        if due:
            self._thread = Thread(target=self._run, args=(due,), name="vacuum", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Leaves off; the next one goes on with what is left."""
        if self._thread and self._thread.is_alive():
            self._spark.sparkContext.cancelJobsWithTag(TAG)
            self._thread.join(10)

    def _is_due(self, path: str, now: datetime) -> bool:
        last = last_vacuum(self._storage, path) or self._storage.modified(f"{path}/_delta_log/{0:020d}.json")
        return last is not None and now - last >= self._every

    def _run(self, paths: Sequence[str]) -> None:
        self._spark.sparkContext.addJobTag(TAG)
        for path in paths:
            try:
                log.info("vacuum table=%s seconds=%.1f", path, vacuum(self._spark, path, gentle=True))
            except (Py4JError, PySparkException) as error:
                # Nothing is lost: the files stay for the next one.
                log.warning("vacuum table=%s failed: %s", path, in_one_line(error))
                return
