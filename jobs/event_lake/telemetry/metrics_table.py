"""The metrics as a Delta table beside the lake: a micro-batch is in it once, whatever is replayed.

The commit carries the query and its last micro-batch as the other tables' do (txnAppId, txnVersion). What the driver
had not committed when it was killed is not in it: a number of `batch_id` is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pyspark.sql import SparkSession

from event_lake.delta_log import DeltaLog
from event_lake.delta_table import DeltaTableWriter
from event_lake.mark import BatchMark
from event_lake.storage import Storage
from event_lake.telemetry.measures import METRICS, METRICS_PARTITIONS
from event_lake.telemetry.row import Row


class MetricsTable:
    """Made with the first row."""

    def __init__(self, spark: SparkSession, storage: Storage, path: str) -> None:
        self._spark = spark
        log = DeltaLog(spark, storage, storage.qualified(path))
        self._table = DeltaTableWriter(spark, log, "metrics", METRICS, METRICS_PARTITIONS)
        self._is_there = False

    def __call__(self, rows: Sequence[Row]) -> None:
        if not self._is_there:
            self._table.create()
            self._is_there = True
        for query_id, of_query in groupby(rows, key=lambda row: row["query_id"]):
            known = self._table.last_number(query_id)
            new = [row for row in of_query if row["batch_id"] > known]
            if new:
                mark = BatchMark(query_id, new[-1]["batch_id"], end_offset="{}", complete_through=None)
                values = [tuple(row.get(name) for name in METRICS.fieldNames()) for row in new]
                frame = self._spark.createDataFrame(values, METRICS).coalesce(1)
                self._table.append(frame, mark, lambda: None)
