"""Quarantine read again, after whatever made its records bad has been fixed: chosen problems, each record once.

The rows that are chosen are first written to the trail (`<lake.quarantine_path>_replayed`), in one commit. The trail is
read as a stream, by a query beside the job with a checkpoint for ever: so each row of it is judged once, whatever is
killed, and becomes an event, a duplicate, or a new row of quarantine. Only then are the chosen rows taken out of
quarantine, so that what is in it is what is open. Every step may be repeated; one that is not done is done at the next
start, before anything else is chosen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.beside import beside_job
from event_lake.config import REPLAY, Checkpoint, Config
from event_lake.deduplicate.verdicts import GAP
from event_lake.delta_log import DeltaLog
from event_lake.delta_table import DeltaTableWriter
from event_lake.metrics import Counts
from event_lake.pipeline import run_beside
from event_lake.schema import PLACE, QUARANTINE_PARTITIONS, REPLAYED
from event_lake.stop import StopRequest
from event_lake.storage import Storage
from event_lake.upkeep.compaction import USER_METADATA, last_mark

log = logging.getLogger(__name__)

ROW = (*PLACE, "stored_at", "date", "problem")  # what tells a row of quarantine from every other


def replay_of(config: Config) -> Config:
    """The configuration of a replay, made from the job's. Its checkpoint goes with the trail: with another one, all of
    the trail would be read again."""
    trail = config.lake.replayed_path
    source = replace(config.source, kind=REPLAY, path=trail)
    return replace(config, source=source, checkpoint=Checkpoint(f"{trail}_checkpoint"))


def replay(spark: SparkSession, config: Config, problems: Sequence[str], stop: StopRequest) -> Counts:
    """Reads the quarantined records of these problems again. Raises the tree of `errors`."""
    storage = Storage.of_session(spark)
    own = replay_of(config)
    with beside_job(storage, config) as lease:
        trail = Trail(spark, storage, config.lake.quarantine_path, own.source.path, lease.check)
        totals = Counts()
        if trail.begun():  # perhaps by one that was killed
            totals += run_beside(spark, own, stop, lease)
            if stop.made():
                return totals
            trail.close()
        if trail.choose(problems, datetime.now(UTC)):
            totals += run_beside(spark, own, stop, lease)
            if not stop.made():
                trail.close()
    return totals


class Trail:
    """What has been replayed, and when (schema.REPLAYED). `may_write` raises where this driver may not."""

    def __init__(
        self, spark: SparkSession, storage: Storage, quarantine: str, path: str, may_write: Callable[[], None]
    ) -> None:
        self._spark = spark.newSession()  # whose commits have a note of their own
        self._quarantine = storage.qualified(quarantine)
        self._path = storage.qualified(path)
        self._log = DeltaLog(spark, storage, self._path)
        self._table = DeltaTableWriter(spark, self._log, "replayed", REPLAYED, QUARANTINE_PARTITIONS)
        self._may_write = may_write

    def begun(self) -> bool:
        """Whether anything has ever been chosen."""
        return not self._table.is_untouched()

    def choose(self, problems: Sequence[str], now: datetime) -> int:
        """Writes the open rows of these problems to the trail, and says how many. Of rows from one place (a file that
        was read twice) it takes one: a micro-batch must not have a place twice."""
        found = self._read(self._quarantine).where(F.col("problem").isin(*problems) & (F.col("problem") != GAP))
        chosen = found.dropDuplicates(list(PLACE)).withColumn("replayed_at", F.lit(now.isoformat()).cast("timestamp"))
        rows = chosen.select(REPLAYED.fieldNames()).persist()
        try:
            count = rows.count()
            if count:
                self._table.create()
                self._may_write()
                rows.write.format("delta").mode("append").save(self._path)
        finally:
            rows.unpersist()
        log.info("replay chosen=%d problems=%s trail=%s", count, ",".join(problems), self._path)
        return count

    def close(self) -> None:
        """Takes what was chosen last out of quarantine; what was chosen before that is not there any more."""
        trail = self._read(self._path)
        last = trail.where(F.col("replayed_at") == trail.agg(F.max("replayed_at")).collect()[0][0])
        if not self._read(self._quarantine).alias("q").join(last.alias("t"), _same_row(), "left_semi").take(1):
            return
        # As compaction does: the newest commits must always say which micro-batch is in.
        if mark := last_mark(self._spark, self._quarantine):
            self._spark.conf.set(USER_METADATA, mark)
        self._may_write()
        table = DeltaTable.forPath(self._spark, self._quarantine).alias("q")
        table.merge(last.alias("t"), _same_row()).whenMatchedDelete().execute()
        self._spark.conf.unset(USER_METADATA)

    def _read(self, path: str) -> DataFrame:
        return self._spark.read.format("delta").load(path)


def _same_row() -> Column:
    return reduce(Column.__and__, (F.col(f"q.{name}").eqNullSafe(F.col(f"t.{name}")) for name in ROW))
