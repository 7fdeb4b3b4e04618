"""A lake's rows as they are stored: of one table in any format, and of all that records end in."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from event_lake.file_table import OPTIONS
from event_lake.storage import Storage


def is_there(storage: Storage, file_format: str, path: str) -> bool:
    """Whether there is a table of this format."""
    return storage.exists(f"{path}/_delta_log" if file_format == "delta" else path)


def read_rows(spark: SparkSession, file_format: str, path: str, schema: StructType) -> DataFrame:
    """Of a table that is there. `schema`: of plain files; a Delta table has its own."""
    if file_format == "delta":
        return spark.read.format("delta").load(path)
    return spark.read.schema(schema).format(file_format).options(**OPTIONS[file_format]).load(path)


def rows_of(spark: SparkSession, storage: Storage, file_format: str, path: str, schema: StructType) -> DataFrame:
    """The same, without rows where there is no table."""
    if is_there(storage, file_format, path):
        return read_rows(spark, file_format, path, schema)
    return spark.createDataFrame([], schema)


def received(events: DataFrame, duplicates: DataFrame, quarantine: DataFrame) -> DataFrame:
    """verdict ("stored", "duplicates" or "quarantined"), arrived_at, stored_at of all rows."""
    parts = {"stored": events, "duplicates": duplicates, "quarantined": quarantine}
    frames = [rows.select(F.lit(name).alias("verdict"), "arrived_at", "stored_at") for name, rows in parts.items()]
    return frames[0].unionByName(frames[1]).unionByName(frames[2])


def waited() -> Column:
    """Seconds from a row's arrival until it was stored."""
    return (F.unix_micros("stored_at") - F.unix_micros("arrived_at")) / 1_000_000
