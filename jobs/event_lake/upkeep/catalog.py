"""The lake's tables by name: in the catalog of the Spark session, which may be Hive's metastore or Glue's."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from event_lake.config import Config
from event_lake.errors import ConfigError
from event_lake.file_table import OPTIONS
from event_lake.schema import (
    DELETIONS,
    DELETIONS_PARTITIONS,
    DUPLICATES,
    DUPLICATES_PARTITIONS,
    EVENTS_LAYOUTS,
    GAPS,
    GAPS_PARTITIONS,
    QUARANTINE,
    QUARANTINE_PARTITIONS,
)
from event_lake.storage import Storage
from event_lake.stored_rows import is_there
from event_lake.telemetry.measures import METRICS, METRICS_PARTITIONS
from event_lake.upkeep.partitions import quoted

DATABASE = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True)
class Named:
    """A table to be registered, by its path in full."""

    name: str
    path: str
    schema: StructType
    partitions: Sequence[str]


def register(spark: SparkSession, config: Config, database: str, say: Callable[[str], None]) -> None:
    """Registers every table of the lake that is there; may be repeated, and for plain formats finds new partitions
    each time. Raises ConfigError where the catalog ends with the session, and where a name is taken."""
    if not DATABASE.fullmatch(database):
        raise ConfigError(f"--database is {database!r}; expected letters, digits and _")
    if spark.conf.get("spark.sql.catalogImplementation") != "hive":
        raise ConfigError(
            'spark.sql.catalogImplementation is not "hive": the session has a catalog that ends with it. Set '
            'sql.catalogImplementation = "hive" in [spark], and what names the metastore (docs/tables.md).'
        )
    storage, lake = Storage.of_session(spark), config.lake
    wanted = [
        Named("events", lake.path, *EVENTS_LAYOUTS[lake.partition_by]),
        Named("quarantine", lake.quarantine_path, QUARANTINE, QUARANTINE_PARTITIONS),
        Named("duplicates", lake.duplicates_path, DUPLICATES, DUPLICATES_PARTITIONS),
        Named("gaps", lake.gaps_path, GAPS, GAPS_PARTITIONS),
        Named("deletions", lake.deletions_path, DELETIONS, DELETIONS_PARTITIONS),
    ]
    if config.metrics.table_path and lake.format == "delta":
        wanted.append(Named("metrics", config.metrics.table_path, METRICS, METRICS_PARTITIONS))
    tables = [Named(one.name, storage.qualified(one.path), one.schema, one.partitions) for one in wanted]
    there = [one for one in tables if is_there(storage, lake.format, one.path)]
    if not there:
        raise ConfigError(f"lake.path: there is no {lake.format} table at {tables[0].path}")
    spark.sql(f"CREATE DATABASE IF NOT EXISTS `{database}`")
    for table in there:
        name = f"`{database}`.`{table.name}`"
        _register(spark, name, table, lake.format)
        say(f"registered table={database}.{table.name} path={table.path}")


def _register(spark: SparkSession, name: str, table: Named, file_format: str) -> None:
    location = f"LOCATION {quoted(table.path)}"
    if spark.catalog.tableExists(name.replace("`", "")):
        _check_same(spark, name, table)
    elif file_format == "delta":
        # Columns and partitions are in the table's own log.
        spark.sql(f"CREATE TABLE {name} USING delta {location}")
    else:
        columns = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in table.schema)
        options = ", ".join(f"{quoted(key)} {quoted(value)}" for key, value in OPTIONS[file_format].items())
        layout = f"OPTIONS ({options}) PARTITIONED BY ({', '.join(f'`{column}`' for column in table.partitions)})"
        spark.sql(f"CREATE TABLE {name} ({columns}) USING {file_format} {layout} {location}")
    if file_format != "delta":
        spark.sql(f"MSCK REPAIR TABLE {name}")


def _check_same(spark: SparkSession, name: str, table: Named) -> None:
    rows = spark.sql(f"DESCRIBE TABLE EXTENDED {name}").collect()
    location = next((row["data_type"] for row in rows if row["col_name"] == "Location"), "nowhere")
    if location.rstrip("/") != table.path.rstrip("/"):
        raise ConfigError(
            f"{name} is registered already, at {location} and not at {table.path}. Give --database another name, or "
            "drop that table: the files of an external table stay."
        )
