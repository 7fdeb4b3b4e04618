"""Putting the small files of a Delta table's partitions together: which ones, and Delta's OPTIMIZE for them.

OPTIMIZE changes no rows (its actions say dataChange = false) and does not conflict with appends. Its commit carries the
table's last mark, so that the newest commits always say which micro-batch is in, however old the last append is
and whatever log cleaning has taken.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from event_lake.config import Maintenance
from event_lake.delta_log import DeltaLog
from event_lake.storage import Storage
from event_lake.upkeep.partitions import Partition

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
QUIET = timedelta(hours=1)  # a closed partition that late events still reach is not rewritten for each of them


@dataclass(frozen=True)
class Compacted:
    """What one OPTIMIZE did; sizes in bytes."""

    partitions: int
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"partitions={self.partitions} files={self.files_before}->{self.files_after} "
            f"bytes={self.bytes_before}->{self.bytes_after} seconds={self.seconds:.1f}"
        )


def due(
    found: Sequence[Partition], maintenance: Maintenance, now: datetime, quiet: timedelta = QUIET
) -> list[Partition]:
    """The partitions that are worth compacting, those with the most small files first."""

    def is_due(part: Partition) -> bool:
        if part.small_files >= maintenance.most_small_files or part.small_bytes >= maintenance.target_file_size.count:
            return part.small_files > 1
        return part.closed and part.small_files > 1 and part.newest <= now - quiet

    return sorted(filter(is_due, found), key=lambda part: part.small_files, reverse=True)


def compaction_session(spark: SparkSession) -> SparkSession:
    """A session whose settings are compaction's own: the stream's commits must not get its metadata and sizes."""
    return spark.newSession()


def last_mark(spark: SparkSession, path: str) -> str | None:
    """The newest mark in the table's commits, as its text."""
    newest = next(DeltaLog(spark, Storage.of_session(spark), path).marks(), None)
    return newest.to_json() if newest else None


def compact(session: SparkSession, path: str, chosen: Sequence[Partition], target: int) -> Compacted:
    """Puts the small files of partitions together, all in one commit. They agree on what is small.

    `session` is one of `compaction_session`.
    """
    began = time.monotonic()
    if mark := last_mark(session, path):
        session.conf.set(USER_METADATA, mark)
    else:
        session.conf.unset(USER_METADATA)
    session.conf.set("spark.databricks.delta.optimize.maxFileSize", str(target))
    session.conf.set("spark.databricks.delta.optimize.minFileSize", str(chosen[0].small_under))
    where = " OR ".join(f"({one.predicate})" for one in chosen)
    (row,) = DeltaTable.forPath(session, path).optimize().where(where).executeCompaction().collect()
    metrics = row["metrics"]
    return Compacted(
        partitions=metrics["partitionsOptimized"],
        files_before=metrics["numFilesRemoved"],
        files_after=metrics["numFilesAdded"],
        bytes_before=metrics["filesRemoved"]["totalSize"] or 0,
        bytes_after=metrics["filesAdded"]["totalSize"] or 0,
        seconds=time.monotonic() - began,
    )
