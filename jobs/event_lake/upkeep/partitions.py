"""What each partition of a Delta table holds, by the table's own log; no folder is listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.upkeep.settings import newest_snapshot

DAY = "date"  # the partition column that every table has, and that says when a partition will get no more files

# In an open partition only files under this part of the target are put together: what has been put together once is
# left alone until the day is closed, however often small files come. Of a closed one, all under half of the target.
OPEN_PART = 16
CLOSED_PART = 2


@dataclass(frozen=True)
class Partition:
    """One partition of a table; sizes in bytes as stored."""

    values: tuple[tuple[str, str | None], ...]  # by partition column, as the log has them
    closed: bool  # its day is over
    files: int
    data_bytes: int
    rows: int
    small_files: int  # those that compaction takes
    small_bytes: int
    newest: datetime  # when its newest file was written

    @property
    def name(self) -> str:
        return "/".join(f"{column}={value}" for column, value in self.values)

    @property
    def predicate(self) -> str:
        """As Spark SQL over the partition columns."""
        return " AND ".join(f"{column} <=> {_literal(column, value)}" for column, value in self.values)

    def value(self, column: str) -> str | None:
        return dict(self.values).get(column)


def _literal(column: str, value: str | None) -> str:
    if value is None:
        return "NULL"
    quoted = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return f"DATE {quoted}" if column == DAY else quoted


def partitions(spark: SparkSession, path: str, target: int, today: date) -> list[Partition]:
    """Every partition of the table's newest version. `target`: the size in bytes that files should have."""
    snapshot = newest_snapshot(spark, path)
    columns = list(snapshot.metadata().partitionSchema().fieldNames())
    files = DataFrame(snapshot.allFiles().toDF(), spark)
    found = _by_partition(files, columns, target, today).collect()
    return [
        Partition(
            values=tuple((column, row["values"][number]) for number, column in enumerate(columns)),
            closed=row["closed"],
            files=row["files"],
            data_bytes=row["data_bytes"],
            rows=row["rows"] or 0,
            small_files=row["small_files"],
            small_bytes=row["small_bytes"] or 0,
            newest=datetime.fromtimestamp(row["newest"] / 1000, UTC),
        )
        for row in found
    ]


def _by_partition(files: DataFrame, columns: Sequence[str], target: int, today: date) -> DataFrame:
    day: Column = F.col("partitionValues")[DAY]
    closed = F.coalesce(day < today.isoformat(), F.lit(False))
    small = F.col("size") < F.when(F.col("closed"), target // CLOSED_PART).otherwise(target // OPEN_PART)
    rows = F.get_json_object("stats", "$.numRecords").cast("long")
    return (
        files.withColumn("closed", closed)
        .groupBy(F.array(*(F.col("partitionValues")[column] for column in columns)).alias("values"), "closed")
        .agg(
            F.count(F.lit(1)).alias("files"),
            F.sum("size").alias("data_bytes"),
            F.sum(rows).alias("rows"),
            F.count_if(small).alias("small_files"),
            F.sum(F.when(small, F.col("size"))).alias("small_bytes"),
            F.max("modificationTime").alias("newest"),
        )
    )
