"""Table properties of a Delta table that gets a commit a minute for years."""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import SparkSession

from event_lake.config import Lake, Maintenance
from event_lake.delta_log import newest_snapshot
from event_lake.storage import Storage

# Commits between two checkpoints of the log: an hour's. Each checkpoint has all live files and those deleted within
# keep_deleted_files; Delta's default, 10, would write all of these every ten minutes.
CHECKPOINT_INTERVAL = 60
DEFAULTS = "spark.databricks.delta.properties.defaults"


def table_paths(storage: Storage, lake: Lake, *others: str) -> list[str]:
    """Of the lake's tables that are there, in full, that of events first; that of gaps comes with the first one.
    `others`: paths of further tables, empty ones left out."""
    paths = (lake.path, lake.quarantine_path, lake.duplicates_path, lake.gaps_path, *filter(None, others))
    return [path for path in map(storage.qualified, paths) if storage.exists(f"{path}/_delta_log")]


def properties(maintenance: Maintenance) -> dict[str, str]:
    """delta.setTransactionRetentionDuration is never set: which micro-batches are in must not be forgotten."""
    return {
        "delta.checkpointInterval": str(CHECKPOINT_INTERVAL),
        "delta.deletedFileRetentionDuration": _interval(maintenance.keep_deleted_files),
        "delta.logRetentionDuration": _interval(maintenance.keep_log),
    }


def for_new_tables(spark: SparkSession, maintenance: Maintenance) -> None:
    """Lets every table that this session makes have the properties from its first commit on."""
    for key, value in properties(maintenance).items():
        spark.conf.set(f"{DEFAULTS}.{key.removeprefix('delta.')}", value)


def set_up(spark: SparkSession, path: str, maintenance: Maintenance) -> None:
    """Gives a table of an older version or configuration the properties that it lacks; else no commit is made."""
    present = newest_snapshot(spark, path).metadata().configuration()
    lacking = {key: value for key, value in properties(maintenance).items() if not present.get(key).contains(value)}
    if lacking:
        listed = ", ".join(f"'{key}' = '{value}'" for key, value in lacking.items())
        spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ({listed})")


def _interval(duration: timedelta) -> str:
    return f"interval {int(duration.total_seconds())} seconds"
