"""What the job needs of Spark 4.1 and Spark 3.5 (EMR 7.14, Glue 5.1) lacks, by its older means; and a thread's session.

Everything else that the job calls is in both; sources in Python are not (`source.refuse_unreadable`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.streaming.readwriter import DataStreamReader
from pyspark.sql.types import StructType


def frame_of(spark: SparkSession, table: pa.Table, schema: StructType | None = None) -> DataFrame:
    """A frame of Arrow's rows; since Spark 4.0 `createDataFrame` takes them as they are."""
    if hasattr(DataFrame, "toArrow"):
        return spark.createDataFrame(table, schema)
    return spark.createDataFrame(table.to_pylist(), schema or from_arrow_schema(table.schema))


def give_thread_a_session(spark: SparkSession) -> None:
    """Lets this be the session of the calling thread, as far as Java asks for one, where it has none; a thread that
    Python has begun has none."""
    sessions = _java_sessions(spark._jvm)
    if sessions.getActiveSession().isEmpty():
        sessions.setActiveSession(spark._jsparkSession)


def register_source(spark: SparkSession, source: type[Any]) -> None:
    """Makes a source in Python known to this session, and leaves the thread the session that it has.

    Spark looks for the name in that one as well, and refuses it with DATA_SOURCE_ALREADY_EXISTS where only that one has
    it (seen with 4.1.1): an audit and a notebook, say, each with a session of its own.
    """
    sessions = _java_sessions(spark._jvm)
    active = sessions.getActiveSession()
    sessions.setActiveSession(spark._jsparkSession)
    try:
        spark.dataSource.register(source)
    finally:
        if active.isEmpty():
            sessions.clearActiveSession()
        else:
            sessions.setActiveSession(active.get())


@lru_cache(maxsize=1)
def _java_sessions(jvm: Any) -> Any:
    """Java's class of sessions; looked up once, see storage.Storage."""
    named = getattr(SparkSession, "_get_j_spark_session_class", None)  # since Spark 4.0
    return named(jvm) if named else jvm.SparkSession


def table_of(frame: DataFrame) -> pa.Table:
    """A frame's rows, brought to the driver; since Spark 4.0 that is `toArrow`."""
    if hasattr(frame, "toArrow"):
        return frame.toArrow()
    older: Any = frame
    batches = older._collect_as_arrow()
    return pa.Table.from_batches(batches) if batches else to_arrow_schema(frame.schema).empty_table()


def in_tasks(frame: DataFrame, tasks: int, task: Column) -> DataFrame:
    """Brings each row into the task of this number, from 0; since Spark 4.1 that is `repartitionById`.

    Before, Spark chooses tasks by hash only: so by one of a number that its hash sends there.
    """
    if hasattr(frame, "repartitionById"):
        return frame.repartitionById(tasks, task)
    numbers = F.array(*(F.lit(number) for number in _sent_to(frame.sparkSession, tasks)))
    return frame.repartition(tasks, F.get(numbers, task))


def bounded_files(reader: DataStreamReader, spark: SparkSession, path: str, most_bytes: int) -> DataStreamReader:
    """A reader of files whose micro-batches take about so many bytes, and one file at least.

    Before Spark 4.0 it counts files only, and ignores a bound in bytes without a word: so as many of them as fit,
    were each as large as the largest that is there now.
    """
    if not before_spark_4(spark):
        return reader.option("maxBytesPerTrigger", most_bytes)
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
    largest = files.agg(F.max("length")).collect()[0][0] or 1
    return reader.option("maxFilesPerTrigger", max(1, most_bytes // largest))


def before_spark_4(spark: SparkSession) -> bool:
    """Whether this Spark is one that has no sources in Python."""
    return int(spark.version.partition(".")[0]) < 4


@lru_cache(maxsize=64)
def _sent_to(spark: SparkSession, tasks: int) -> tuple[int, ...]:
    """For each of so many tasks a number that `repartition` sends there, as Spark itself works it out."""
    candidates = spark.range(0, tasks * 32, numPartitions=1).select(F.col("id").cast("int"))
    found = {row[1]: row[0] for row in candidates.select("id", F.pmod(F.hash("id"), F.lit(tasks))).collect()}
    return tuple(found[task] for task in range(tasks))
