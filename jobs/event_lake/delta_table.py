"""Appending micro-batches to a Delta table, each once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, StructType

from event_lake.errors import DataLossError
from event_lake.mark import BatchMark

# Whole records: as file statistics their prefixes would stand in the table's log. And what differs in every row: the
# least and the greatest of a file tell nothing there.
WITHOUT_STATISTICS = (
    *("payload", "data", "detail", "event_uuid", "partition_key"),
    *("sequence_number", "sub_sequence_number"),
)
# Of a bad record the name may be anything that was sent.
UNCHECKED = {"quarantine": ("event_name",)}


class DeltaTableWriter:
    """One Delta table. Idempotence rests on Delta's own transaction identifiers (txnAppId, txnVersion)."""

    def __init__(
        self, spark: SparkSession, path: str, role: str, schema: StructType, partitions: Sequence[str]
    ) -> None:
        self._spark = spark
        self._path = path
        self._role = role
        self._schema = schema
        self._partitions = partitions

    def create(self) -> None:
        left_out = (*WITHOUT_STATISTICS, *UNCHECKED.get(self._role, ()), *self._partitions)
        measured = [f.name for f in self._schema if f.name not in left_out and f.dataType != BooleanType()]
        (
            DeltaTable.createIfNotExists(self._spark)
            .location(self._path)
            .addColumns(self._schema)
            .partitionedBy(*self._partitions)
            .property("delta.dataSkippingStatsColumns", ",".join(measured))
            .execute()
        )

    def is_written(self, mark: BatchMark) -> bool:
        written = self._last_version(self._app_id(mark))
        if written is None or written < mark.batch_id:
            return False
        self._check_replay(written, mark)
        return True

    def values(self, column: str) -> set[str]:
        files = DataFrame(self._snapshot().allFiles().toDF(), self._spark)
        named = files.select(F.col("partitionValues")[column].alias(column)).distinct().where(f"{column} is not null")
        return {row[column] for row in named.collect()}

    def append(self, rows: DataFrame, mark: BatchMark, may_write: Callable[[], None]) -> None:
        may_write()
        (
            rows.select(self._schema.fieldNames())
            .write.format("delta")
            .mode("append")
            .option("txnAppId", self._app_id(mark))
            .option("txnVersion", mark.batch_id)
            .option("userMetadata", mark.to_json())
            .save(self._path)
        )

    def _app_id(self, mark: BatchMark) -> str:
        # Never a fixed name: to Delta a fresh checkpoint's first batches would be old ones, and ignored in silence.
        return f"event-lake-{self._role}-{mark.query_id}"

    def _last_version(self, app_id: str) -> int | None:
        """The last micro-batch of this query that is committed, by the table's newest snapshot."""
        found = self._snapshot().transactions().get(app_id)
        return int(found.get()) if found.isDefined() else None

    def _snapshot(self) -> Any:
        """Delta's own, the newest, not the one at hand: what another process has committed meanwhile Delta would leave
        out in silence."""
        jvm: Any = self._spark._jvm
        none = jvm.scala.Option.empty()
        log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(self._spark._jsparkSession, self._path)
        return log.update(False, none, none)

    def _check_replay(self, written: int, mark: BatchMark) -> None:
        """Raises DataLossError unless the table holds this very micro-batch as its newest."""
        stored = self._mark_of(mark.query_id, written) if written == mark.batch_id else None
        if stored is None or stored["offset_hash"] != mark.offset_hash:
            raise DataLossError(
                f"the table {self._path} already holds micro-batch {written} of this query, but the checkpoint is "
                f"about to write micro-batch {mark.batch_id} with other records: the checkpoint is older than the "
                "table, as after restoring it from a copy. Delta would ignore the records without a word, so "
                "nothing was written. Restore the newest checkpoint, or start with a new checkpoint path."
            )

    def _mark_of(self, query_id: str, batch_id: int) -> dict[str, Any] | None:
        """The mark in the commit of this query's micro-batch; the newest commits are looked at first."""
        history = DeltaTable.forPath(self._spark, self._path).history().where("userMetadata is not null")
        for row in history.orderBy("version", ascending=False).select("userMetadata").toLocalIterator():
            mark = _read_mark(row["userMetadata"])
            if mark and mark.get("query_id") == query_id and mark.get("batch_id") == batch_id:
                return mark
        return None


def _read_mark(text: str) -> dict[str, Any] | None:
    """A mark of ours; None for what maintenance or other writers leave in a commit."""
    try:
        mark = json.loads(text)
    except ValueError:
        return None
    return mark if isinstance(mark, dict) and "offset_hash" in mark else None
