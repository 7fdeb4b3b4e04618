"""One audit: the stream is read, the tables are read, and each record is held against its row."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.audit import accounts as books
from event_lake.audit import copies, findings
from event_lake.audit.repair import Repair, Repaired
from event_lake.audit.report import Report, count, is_wrong
from event_lake.audit.stream import Span, judged_records, kept_since, shard_ranges
from event_lake.audit.tables import (
    DUPLICATES_TABLE,
    EVENTS_TABLE,
    QUARANTINE_TABLE,
    LakeTables,
    moment,
    time_of,
)
from event_lake.config import Config
from event_lake.errors import ConfigError
from event_lake.schema import PLACE
from event_lake.source import named_failure, refuse_unreadable
from event_lake.storage import Storage


@dataclass(frozen=True)
class Asked:
    """What an audit is to do; see jobs/audit_events.py."""

    since: str | None = None
    until: str | None = None
    look_back: timedelta | None = None
    show: int = 20
    findings_path: str | None = None  # where to write all findings


@dataclass(frozen=True)
class Found:
    """What the numbers and the findings come from; frames as in the modules that make them, kept on disk."""

    span: Span
    first: datetime  # the earliest and the latest arrival that the range knows
    last: datetime
    records: DataFrame
    settled: DataFrame  # accounts of all but copies
    copies: DataFrame
    stored_twice: DataFrame


class Audit:
    """Holds one range of the stream against the lake; closes with the `with` block."""

    def __init__(self, spark: SparkSession, config: Config, asked: Asked) -> None:
        if config.source.kind != "kinesis":
            raise ConfigError(f'an audit reads a Kinesis stream; source.kind is "{config.source.kind}"')
        refuse_unreadable(spark, config.source.kind)
        self._spark = spark.newSession()  # with settings of its own
        self._spark.conf.set("spark.sql.adaptive.enabled", "true")
        self._config, self._asked = config, asked
        self._storage = Storage.of_session(self._spark)
        self._kept = ExitStack()
        self.tables = LakeTables(self._spark, self._storage, config.lake)
        self.reach = self.tables.reach()

    def __enter__(self) -> Audit:
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    def find(self) -> Found:
        """Reads everything once. Raises the tree of `errors`."""
        source, parallelism = self._config.source, self._spark.sparkContext.defaultParallelism
        span = Span.of(self._asked.since, self._asked.until, self.reach, kept_since(source))
        options = span.options(source, parallelism)
        ranges = shard_ranges(self._spark, options)
        by_hour = self.tables.is_by_hour()
        records = self._keep(judged_records(self._spark, options, source.most_unpacked.count, by_hour))
        first, last = self._reach_of(records, span)

        oldest = self._oldest_copy(first, last)
        events, deleted = self._keep(self.tables.events(oldest, last)), self._keep(self.tables.deleted(oldest, last))
        in_range = events.where(F.col("arrived_at") >= moment(first))
        claimed = books.claims(in_range, self.tables.duplicates(first, last), self.tables.quarantine(first, last))
        accounts = self._keep(books.accounts(records, claimed, deleted, ranges, span))
        stored = self._keep(copies.stored_events(events))
        only_counted = self._config.dedup.engine == "spark"
        judged = copies.judged_copies(accounts, stored, deleted.where("is_event"), only_counted)
        twice = copies.stored_twice(records, events, stored)
        settled = accounts.where(F.col("became") != books.COPY)
        return Found(span, first, last, records, settled, self._keep(judged), self._keep(twice))

    def report(self, found: Found) -> Report:
        counts = count(found.settled, found.copies, found.stored_twice)
        shown, path, in_gaps = self._explained(found) if is_wrong(counts) else ([], None, 0)
        return Report(
            stream=self._config.source.stream,
            start=found.span.start.isoformat(),
            end=found.span.end.isoformat() if found.span.end else None,
            complete_through=self.reach.complete_through,
            versions=self.tables.versions,
            numbers={**counts, "missing_in_gaps": in_gaps, "gaps": self._gaps(found).count()},
            copies=copies.summary(found.copies),
            findings=shown,
            findings_path=path,
        )

    def repair(self, may_write: Callable[[], None] = lambda: None) -> Repaired:
        """Lists duplicates that are not listed, and moves events that are stored twice there. For `may_write`, and what
        else it raises, see `repair`."""
        repair = Repair(self._spark, self.tables, self._config.lake.duplicate_payloads, may_write)
        found = self.find()
        return repair.run(found.copies, found.stored_twice, found.first, found.last)

    def _keep(self, frame: DataFrame) -> DataFrame:
        self._kept.callback(frame.unpersist)
        return frame.persist(StorageLevel.DISK_ONLY)

    def _reach_of(self, records: DataFrame, span: Span) -> tuple[datetime, datetime]:
        """From when to when the range's records arrived; reads the stream."""
        try:
            row = records.agg(
                F.unix_micros(F.min("arrived_at")).alias("first"), F.unix_micros(F.max("arrived_at")).alias("last")
            ).collect()[0]
        except PySparkException as error:
            raise named_failure(str(error)) from error
        arrived = [time_of(micros) for micros in row if micros is not None]
        known = [span.start, *([span.end] if span.end else []), *arrived]
        return min(known), max(known)

    def _oldest_copy(self, first: datetime, last: datetime) -> datetime:
        """How far back events are looked at: what duplicates name as their first copies is among them."""
        dedup = self._config.dedup
        look_back = self._asked.look_back or 2 * (dedup.window + dedup.margin)
        oldest = self.tables.duplicates(first, last).agg(F.unix_micros(F.min("first_arrived_at"))).collect()[0][0]
        return min(first - look_back, first if oldest is None else time_of(oldest))

    def _gaps(self, found: Found) -> DataFrame:
        """Recorded gaps that may reach into the range."""
        begins = F.coalesce("from_time", moment(found.first))
        return self.tables.gaps().where((begins <= moment(found.last)) & (F.col("to_time") >= moment(found.first)))

    def _explained(self, found: Found) -> tuple[list[dict[str, Any]], str | None, int]:
        """The first findings, where all of them were written to, and how many a gap explains."""
        settled = found.settled.withColumn("copies", F.lit(None).cast("long"))
        parts = [findings.wrong_accounts(settled), findings.wrong_accounts(found.copies)]
        everything = reduce(DataFrame.unionByName, [*parts, findings.later_copies(found.stored_twice)])
        places = everything.where(F.col("event_uuid").isNull()).select(*PLACE).distinct()
        names = [
            self.tables.names(table, found.first, found.last).join(places, list(PLACE), "left_semi")
            for table in (EVENTS_TABLE, DUPLICATES_TABLE, QUARANTINE_TABLE)
        ]
        named = findings.named(everything, reduce(DataFrame.unionByName, names))
        explained = self._keep(findings.with_gaps(named, self._gaps(found)))
        in_gaps = explained.where(F.col(findings.LOST_BECAUSE).isNotNull()).count()
        ordered = explained.orderBy("kind", *PLACE).limit(self._asked.show)
        path = self._asked.findings_path
        if path is not None:
            explained.write.mode("overwrite").json(path)
        return [row.asDict() for row in ordered.collect()], path, in_gaps
