"""What each partition of a Delta table holds, by the table's own log; no folder is listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.delta_log import newest_snapshot
from event_lake.schema import HOUR

# The levels of an hour are numbers, DAY's are dates, all others texts.
DAY = "date"  # the partition column that every table has, and that says when a partition will get no more files

# Small, in a partition of a day that is over, is a file under half of the target. In one of a day that is not, a file
# under some times the median, a power of two: what has been put together is left alone until there are many of its
# size, so an event is not written again and again however often small files come.
CLOSED_PART = 2
OPEN_PART = 16  # of the target: more is never small
OPEN_MEDIANS = 8


@dataclass(frozen=True)
class Partition:
    """One partition of a table; sizes in bytes as stored."""

    values: tuple[tuple[str, str | None], ...]  # by partition column, as the log has them
    closed: bool  # its day is over
    files: int
    data_bytes: int
    rows: int
    small_under: int  # the size under which a file is small
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
    if column == HOUR:
        return str(int(value))
    return f"DATE {quoted(value)}" if column == DAY else quoted(value)


def quoted(text: str) -> str:
    """A text as Spark SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


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
            small_under=row["small_under"],
            small_files=row["small_files"],
            small_bytes=row["small_bytes"] or 0,
            newest=datetime.fromtimestamp(row["newest"] / 1000, UTC),
        )
        for row in found
    ]


def _by_partition(files: DataFrame, columns: Sequence[str], target: int, today: date) -> DataFrame:
    day: Column = F.col("partitionValues")[DAY]
    closed = F.coalesce(day < today.isoformat(), F.lit(False))
    doubled = F.pow(F.lit(2), F.ceil(F.log2(F.col("median") * OPEN_MEDIANS)))
    under = F.when(F.col("closed"), target // CLOSED_PART).otherwise(F.least(F.lit(target // OPEN_PART), doubled))
    small = F.filter("sizes", lambda size: size < F.col("small_under"))
    return (
        files.withColumn("closed", closed)
        .groupBy(F.array(*(F.col("partitionValues")[column] for column in columns)).alias("values"), "closed")
        .agg(
            F.count(F.lit(1)).alias("files"),
            F.sum("size").alias("data_bytes"),
            F.sum(F.get_json_object("stats", "$.numRecords").cast("long")).alias("rows"),
            F.max("modificationTime").alias("newest"),
            F.collect_list("size").alias("sizes"),
            F.percentile_approx("size", 0.5).alias("median"),
        )
        .withColumn("small_under", under.cast("long"))
        .withColumn("small", small)
        .withColumn("small_files", F.size("small"))
        .withColumn("small_bytes", F.aggregate("small", F.lit(0).cast("long"), lambda total, size: total + size))
        .drop("sizes", "small", "median")
    )
