"""One deletion, in an order that a kill at any moment allows: the same one is then run again.

Found, written down, removed, purged. The record comes first, so that an audit never meets a row that is gone without a
word; then copies, then events: as long as an event is there its copies can be found by it. Files that no version
needs are purged last and always, so that a run that finds nothing left does what a killed one has not come to.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.config import Config
from event_lake.deletion.condition import MATCHES, SUSPECTED, UNREADABLE, Condition, Search
from event_lake.deletion.lake import LakeRows, Table
from event_lake.deletion.report import Report, TableReport
from event_lake.deletion.rows import DeltaRows, FileRows
from event_lake.errors import ConfigError
from event_lake.lease import stopped_lake
from event_lake.storage import Storage
from event_lake.swap import Swap

log = logging.getLogger(__name__)


def delete(
    spark: SparkSession, config: Config, conditions: Sequence[Condition], *, suspected: bool, dry_run: bool
) -> Report:
    """Deletes every row that meets one of the conditions from every table, with the lake's lease unless it is a dry
    run. `suspected`: also those that cannot be parsed and look like it. Raises ConfigError where there is no lake,
    LeaseError while a job has the lease."""
    if dry_run:
        return Deletion(spark, config, suspected, lambda: None).run(conditions, dry_run)
    with stopped_lake(Storage.of_session(spark), config) as lease:
        return Deletion(spark, config, suspected, lease.check).run(conditions, dry_run)


class Deletion:
    """Of one lake that no job is writing to. `may_write` raises where this driver may not write."""

    def __init__(self, spark: SparkSession, config: Config, suspected: bool, may_write: Callable[[], None]) -> None:
        self._storage = Storage.of_session(spark)
        self._lake = LakeRows(spark, self._storage, config.lake)
        self._may_write = may_write
        self._meant = (MATCHES, SUSPECTED) if suspected else (MATCHES,)
        file_format = config.lake.format
        self._rows = (
            DeltaRows(spark, may_write)
            if file_format == "delta"
            else FileRows(spark, self._storage, file_format, may_write)
        )

    def run(self, conditions: Sequence[Condition], dry_run: bool) -> Report:
        began = _now()
        tables = [table for table in self._lake.tables if self._lake.exists(table.path)]
        if not any(table.name == "events" for table in tables):
            raise ConfigError(f"lake.path: there is no {self._lake.format} table at {self._lake.tables[-1].path}")
        if not dry_run and self._lake.format != "delta":
            for table in tables:  # what was begun would be found half done
                self._may_write()
                Swap(self._storage, table.path).finish()
        found = self._lake.found(Search(conditions))
        told = [self._told(table, found[table.name]) for table in tables]
        deletion_id = uuid.uuid4().hex
        if not dry_run:
            chosen = {name: rows.where(F.col("verdict").isin(*self._meant)) for name, rows in found.items()}
            self._may_write()
            self._lake.write_down(chosen, deletion_id)
            told = [self._removed(table, chosen, one) for table, one in zip(tables, told, strict=True)]
            told = [self._purged(table, one) for table, one in zip(tables, told, strict=True)]
        return Report(deletion_id, dry_run, began, _now(), len(conditions), told)

    def _told(self, table: Table, found: DataFrame) -> TableReport:
        counted = {row["verdict"]: row["count"] for row in found.groupBy("verdict").count().collect()}
        version = self._rows.version(table)
        return TableReport(
            table.name,
            table.path,
            matching=counted.get(MATCHES, 0),
            suspected=counted.get(SUSPECTED, 0),
            unreadable=counted.get(UNREADABLE, 0),
            version_before=version,
            version_after=version,
        )

    def _removed(self, table: Table, chosen: Mapping[str, DataFrame], told: TableReport) -> TableReport:
        expected = told.matching + (told.suspected if SUSPECTED in self._meant else 0)
        removed = self._rows.remove(table, chosen[table.name], expected)
        log.info("removed table=%s rows=%d files=%d", table.name, removed.rows, removed.files)
        return replace(told, removed=removed.rows, files_rewritten=removed.files, version_after=removed.version)

    def _purged(self, table: Table, told: TableReport) -> TableReport:
        return replace(told, files_deleted=self._rows.purge(table))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
