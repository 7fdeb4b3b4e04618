"""Raw records that lie in files: JSON lines, whole files, Delta tables. Read once each, as streams of Spark's own.

A record is named by where it lies, since nothing else is sure to name it once: an archive that was written by others
may hold a record of the stream twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.readwriter import DataStreamReader

from event_lake.config import Source
from event_lake.documents import JOINED, documents
from event_lake.errors import ConfigError
from event_lake.schema import RAW_RECORD
from event_lake.spark_api import bounded_files
from kinesis_source.worker import forget_zip_finders

# Spark otherwise forgets what it has read a week before the newest file, and passes over older files that come later.
FOR_EVER = "36500d"
MOST_ROWS = 10_000  # of an Arrow batch

# What a Delta archive must have, by any of these names: those of schema.RAW_RECORD, of the events table, of quarantine.
ARCHIVE_COLUMNS = {"data": ("data", "payload"), "arrived_at": ("approximateArrivalTimestamp", "arrived_at")}


def raw_files(spark: SparkSession, source: Source) -> DataFrame:
    """Raw records (schema.RAW_RECORD) of the files below a folder, or of all that a glob names: each line one
    (`source.layout` "lines") or each file ("whole"), but each document of its own where several stand without a line
    end between them. Files that end in .gz are unpacked.

    Files arrive when they were last modified; a record is identified by its path, line, and number in the line.
    """
    reader = spark.readStream.format("text").option("maxFileAge", FOR_EVER)
    if source.max_bytes.count:
        reader = bounded_files(reader, spark, source.path, source.max_bytes.count)
    layout = ("wholetext", "true") if source.layout == "whole" else ("lineSep", "\n")
    rows = reader.option(*layout).option("recursiveFileLookup", "true").load(source.path)
    return _named(
        rows,
        {
            "data": F.col("value").cast("binary"),
            "path": F.col("_metadata.file_path"),
            "block": F.col("_metadata.file_block_start"),
            "arrived_at": F.col("_metadata.file_modification_time"),
        },
        cut=True,
    )


def raw_table(spark: SparkSession, source: Source) -> DataFrame:
    """Raw records (schema.RAW_RECORD) of a Delta table, by its columns ARCHIVE_COLUMNS; a record is identified by its
    file and row. Commits that change or delete rows are passed over. Raises ConfigError where a column is missing."""
    if not DeltaTable.isDeltaTable(spark, source.path):
        raise ConfigError(f"source.path: there is no Delta table at {source.path}")
    table = _bounded(spark.readStream.format("delta"), source).option("skipChangeCommits", "true").load(source.path)
    named = ARCHIVE_COLUMNS.items()
    found = {ours: next((name for name in names if name in table.columns), None) for ours, names in named}
    lacking = [" or ".join(ARCHIVE_COLUMNS[ours]) for ours, name in found.items() if name is None]
    if lacking:
        raise ConfigError(
            f"the Delta table {source.path} has no column {', and none '.join(lacking)}; it has "
            f"{', '.join(table.columns)}. Without them no record can be read from it."
        )
    return _named(
        table,
        {
            "data": F.col(str(found["data"])).cast("binary"),
            "path": F.input_file_name(),
            "block": F.input_file_block_start(),
            "arrived_at": F.col(str(found["arrived_at"])).cast("timestamp"),
        },
        cut=False,
    )


def raw_replayed(spark: SparkSession, source: Source) -> DataFrame:
    """Raw records (schema.RAW_RECORD) of a table with quarantine's columns; each keeps the place that it came from."""
    trail = _bounded(spark.readStream.format("delta"), source).option("skipChangeCommits", "true").load(source.path)
    nothing = F.lit(None).cast("string")
    return trail.select(
        "data",
        nothing.alias("streamName"),
        F.col("shard_id").alias("shardId"),
        nothing.alias("partitionKey"),
        F.col("sequence_number").alias("sequenceNumber"),
        F.col("sub_sequence_number").alias("subSequenceNumber"),
        F.col("arrived_at").alias("approximateArrivalTimestamp"),
    )


def _bounded(reader: DataStreamReader, source: Source) -> DataStreamReader:
    return reader.option("maxBytesPerTrigger", source.max_bytes.count) if source.max_bytes.count else reader


def _named(rows: DataFrame, columns: Mapping[str, Column], cut: bool) -> DataFrame:
    chosen = rows.select(*(column.alias(name) for name, column in columns.items()))
    return chosen.mapInArrow(partial(_named_in_worker, cut), RAW_RECORD)


def _named_in_worker(cut: bool, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Names each row by its path, the start of its split and its number in the split; the same again in a replay that
    reads the same splits."""
    forget_zip_finders()
    place, row = ("", -1), 0
    for batch in batches:
        names: list[str] = []
        for path, block in zip(batch.column("path").to_pylist(), batch.column("block").to_pylist(), strict=True):
            place, row = ((path, block), 1) if place != (path, block) else (place, row + 1)
            names.append(f"{path}:{row}" if block == 0 else f"{path}@{block}:{row}")
        data, arrived = batch.column("data"), batch.column("arrived_at")
        joined = pc.match_substring_regex(data, JOINED.encode()).fill_null(False) if cut else None
        if joined is not None and pc.any(joined).as_py():
            data, names, arrived = _cut(data, names, arrived, joined.to_pylist())
        records = _raw(data, names, arrived)
        for start in range(0, records.num_rows, MOST_ROWS):
            yield records.slice(start, MOST_ROWS)


def _cut(
    data: pa.BinaryArray, names: list[str], arrived: pa.TimestampArray, joined: list[bool]
) -> tuple[pa.BinaryArray, list[str], pa.TimestampArray]:
    """Rows that hold several documents become several rows."""
    parts: list[bytes | None] = []
    of_parts: list[str] = []
    origins: list[int] = []
    for origin, (content, name, looks_joined) in enumerate(zip(data.to_pylist(), names, joined, strict=True)):
        found = documents(content) if looks_joined else [content]
        parts += found
        of_parts += [name] if len(found) == 1 else [f"{name}#{number}" for number in range(1, len(found) + 1)]
        origins += [origin] * len(found)
    return pa.array(parts, pa.binary()), of_parts, arrived.take(pa.array(origins, pa.int64()))


def _raw(data: pa.BinaryArray, names: list[str], arrived: pa.TimestampArray) -> pa.RecordBatch:
    count = len(names)
    nothing = pa.nulls(count, pa.string())
    return pa.RecordBatch.from_arrays(
        [
            data,
            nothing,
            nothing,
            nothing,
            pa.array(names, pa.string()),
            pa.repeat(pa.scalar(0, pa.int64()), count),
            arrived,
        ],
        names=RAW_RECORD.fieldNames(),
    )
