"""Asks Spark for all figures. Only sums, percentiles and bounded lists come to the driver."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

from pyspark.sql import SparkSession

from event_lake.config import Config
from event_lake.delta_log import DeltaLog
from event_lake.errors import ConfigError
from event_lake.mark import BatchMark
from event_lake.report.audited import read_audit
from event_lake.report.broken import problems
from event_lake.report.figures import Course, Figures, Kinds, Layout, Problem
from event_lake.report.measured import Measured
from event_lake.report.period import Period
from event_lake.report.rows import Rows
from event_lake.report.storage_state import kinds_by_log, layout_of
from event_lake.storage import Storage
from event_lake.upkeep.partitions import Partition, partitions

THREADS = 4  # small jobs, of which each waits for the storage more than for a core
MARKS = 100  # commits that are looked through for one of the stream

T = TypeVar("T")


def gather(
    spark: SparkSession, config: Config, period: Period, *, examples: int = 3, audit_path: str | None = None
) -> Figures:
    """Of the lake in a period that ends now. `examples`: of quarantined records, of each problem.

    Raises ConfigError where there is no lake, or no report of an audit.
    """
    storage = Storage.of_session(spark)
    lake = _Lake(spark, storage, config, period, examples)
    audited = read_audit(storage, audit_path) if audit_path else None
    with ThreadPoolExecutor(THREADS) as pool:

        def later(work: Callable[[], T]) -> Callable[[], T]:
            return pool.submit(work).result

        course, copies = later(lake.course), later(lake.rows.copies)
        quarantine, gaps = later(lake.problems), later(lake.rows.gaps)
        layouts, through = later(lake.layouts), later(lake.complete_through)
        (found, left_out), (listed, in_all), (tables, kinds) = quarantine(), gaps(), layouts()
        return Figures(
            lake=config.lake.path,
            file_format=config.lake.format,
            since=period.since,
            until=period.until,
            course=course(),
            copies=copies() if config.dedup.engine == "index" else None,
            problems=found,
            problems_left_out=left_out,
            kinds=kinds,
            layouts=tables,
            gaps=listed,
            gaps_in_all=in_all,
            complete_through=through(),
            audited=audited,
            health_lag=config.metrics.health_lag,
            silent_after=config.metrics.health_intervals * config.trigger.interval,
        )


class _Lake:
    """One lake's figures, each by a method that may run beside the others."""

    def __init__(self, spark: SparkSession, storage: Storage, config: Config, period: Period, examples: int) -> None:
        self._spark, self._storage, self._config, self._examples = spark, storage, config, examples
        self.rows = Rows(spark, storage, config.lake, period)
        if not self.rows.is_there():
            raise ConfigError(f"lake.path: there is no {config.lake.format} table at {config.lake.path}")
        path = config.metrics.table_path.rstrip("/")
        is_there = bool(path) and storage.exists(f"{path}/_delta_log")
        self._measured = Measured(spark, path, period) if is_there else None

    def course(self) -> Course:
        """From the metrics table, which knows more and is smaller; without it from the tables' rows."""
        measured = self._measured.course(self._newest()) if self._measured else None
        if measured and measured.points:
            return measured
        course = self.rows.course(knows_duplicates=self._config.dedup.engine == "index")
        return replace(course, why_tables=self._why_tables())

    def _why_tables(self) -> str:
        path = self._config.metrics.table_path
        if not path:
            return "metrics.table_path is not configured"
        return f"the metrics table {path} {'has nothing of this period' if self._measured else 'is not there'}"

    def problems(self) -> tuple[list[Problem], int]:
        return problems(self.rows.quarantine(), self._examples)

    def layouts(self) -> tuple[list[Layout], Kinds]:
        """And the event types, which plain files have to be counted for."""
        if self._config.lake.format != "delta":
            return [], self.rows.kinds()
        lake, target = self._config.lake, self._config.maintenance.target_file_size.count
        paths = {"events": lake.path, "duplicates": lake.duplicates_path, "quarantine": lake.quarantine_path}
        found = {name: self._partitions(path, target) for name, path in paths.items()}
        layouts = [layout_of(name, parts, target) for name, parts in found.items()]
        return layouts, kinds_by_log(found["events"])

    def _partitions(self, path: str, target: int) -> list[Partition]:
        if not self._storage.exists(f"{path}/_delta_log"):
            return []
        return partitions(self._spark, path, target, datetime.now(UTC).date())

    def complete_through(self) -> datetime | None:
        """By the events table's newest commit of a stream; of plain files only the metrics tell."""
        if self._config.lake.format != "delta":
            return self._measured.complete_through() if self._measured else None
        mark = self._newest()
        return datetime.fromisoformat(mark.complete_through).astimezone(UTC) if mark and mark.complete_through else None

    def _newest(self) -> BatchMark | None:
        """The last micro-batch of a stream, where one of the newest commits has its mark."""
        if self._config.lake.format != "delta":
            return None
        log = DeltaLog(self._spark, self._storage, self._storage.qualified(self._config.lake.path))
        return next((mark for mark in islice(log.marks(), MARKS) if mark.is_of_shards), None)
