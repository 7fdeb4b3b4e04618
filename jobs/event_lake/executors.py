"""Executors that are lost while a micro-batch runs: Spark reads their part of it again, and counts it again."""

from __future__ import annotations

from pyspark.sql import SparkSession

from event_lake.errors import ExecutorLost
from event_lake.metrics import Counts


class Executors:
    """Those of the running application, the driver among them."""

    def __init__(self, spark: SparkSession) -> None:
        self._tracker = spark.sparkContext._jsc.sc().statusTracker()
        self._there = self._now()

    def note(self) -> None:
        """Called as a micro-batch begins."""
        self._there = self._now()

    def check_lost(self, batch_id: int, counts: Counts) -> None:
        """Raises ExecutorLost where more records are counted than accounted for, and an executor has gone meanwhile."""
        if counts.received <= counts.accounted:
            return
        if gone := self._there - self._now():
            raise ExecutorLost(
                f"micro-batch {batch_id} lost {', '.join(sorted(gone))} while it ran. Spark has read a part of it "
                f"again and counted {counts.received} records in place of {counts.accounted}, so that it cannot be "
                "accounted for. Nothing of it was written. Start the job again: that replays it."
            )

    def _now(self) -> frozenset[str]:
        return frozenset(f"{executor.host()}:{executor.port()}" for executor in self._tracker.getExecutorInfos())
