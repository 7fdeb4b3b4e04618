"""Figures from the rows of the tables themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from event_lake.audit.tables import time_of
from event_lake.config import Lake
from event_lake.report.figures import TABLES, Copies, Course, Gap, Kind, Kinds, Point, Spread
from event_lake.report.period import Period, span_of, step_for, step_of
from event_lake.schema import DUPLICATES, EVENTS, GAPS, QUARANTINE
from event_lake.storage import Storage
from event_lake.stored_rows import is_there, received, rows_of, waited

SHARES = (0.5, 0.95, 0.99, 1.0)  # as figures.Spread has them
ACCURACY = 1000  # of percentile_approx: a thousandth of the ranks
MOST_TYPES, MOST_GAPS = 15, 20
EVENT, DUPLICATE, BAD = "stored", "duplicates", "quarantined"


class Rows:
    """Reads a lake's tables; a table that is not there has no rows."""

    def __init__(self, spark: SparkSession, storage: Storage, lake: Lake, period: Period) -> None:
        self._spark, self._storage, self._lake = spark, storage, lake
        self._period = period

    def is_there(self) -> bool:
        return is_there(self._storage, self._lake.format, self._lake.path)

    def course(self, knows_duplicates: bool) -> Course:
        """Over time, by `stored_at`: three columns of every row of the period are read."""
        written = self._written()
        span = span_of(written, "stored_at")
        if span is None:
            return Course(TABLES, timedelta(seconds=1), [], knows_duplicates=knows_duplicates)
        step = step_for(span[1] - span[0])
        counted = written.groupBy(step_of("stored_at", step).alias("start"), "verdict").agg(
            F.count(F.lit(1)).alias("rows"), spread_of(waited()).alias("latency")
        )
        points = _points(counted.collect())
        return Course(TABLES, timedelta(seconds=step), points, knows_duplicates=knows_duplicates)

    def copies(self) -> Copies:
        found = self._duplicates().agg(
            F.count(F.lit(1)).alias("rows"),
            F.count(F.when(~F.col("same_payload"), 1)).alias("other_bytes"),
            spread_of(waited()).alias("recognised"),
            spread_of(F.col("gap_seconds")).alias("gap"),
        )
        row = found.collect()[0]
        return Copies(row["rows"], row["other_bytes"], spread(row["recognised"]), spread(row["gap"]))

    def kinds(self) -> Kinds:
        """Of the whole table, by its partition column alone."""
        counted = self._rows(self._lake.path, EVENTS).groupBy("event_type").count()
        return kinds_of([Kind(str(row["event_type"]), row["count"]) for row in counted.collect()])

    def gaps(self) -> tuple[Sequence[Gap], int]:
        """The newest of the gaps that were found in the period, and how many there are."""
        found = self._rows(self._lake.gaps_path, GAPS).where(self._period.holds(F.col("stored_at")))
        micros = [F.unix_micros(name).alias(name) for name in ("from_time", "to_time", "stored_at")]
        newest = found.orderBy(F.desc("stored_at"), "shard_id").select("shard_id", "why", *micros).limit(MOST_GAPS)
        listed = newest.collect()
        number = len(listed) if len(listed) < MOST_GAPS else found.count()
        return [
            Gap(row["shard_id"], _time(row["from_time"]), _time(row["to_time"]), row["why"], _time(row["stored_at"]))
            for row in listed
        ], number

    def quarantine(self) -> DataFrame:
        """Rows of the period (schema.QUARANTINE)."""
        return self._rows(self._lake.quarantine_path, QUARANTINE).where(self._period.holds(F.col("stored_at")))

    def _duplicates(self) -> DataFrame:
        return self._rows(self._lake.duplicates_path, DUPLICATES).where(self._period.holds(F.col("stored_at")))

    def _written(self) -> DataFrame:
        """verdict, arrived_at, stored_at of all rows of the period."""
        events = self._rows(self._lake.path, EVENTS).where(self._period.holds(F.col("stored_at")))
        return received(events, self._duplicates(), self.quarantine())

    def _rows(self, path: str, schema: StructType) -> DataFrame:
        return rows_of(self._spark, self._storage, self._lake.format, path, schema)


def spread_of(values: Column) -> Column:
    """An array for `spread`; null where there are no values."""
    return F.percentile_approx(values, list(SHARES), ACCURACY)


def spread(values: Sequence[float] | None) -> Spread | None:
    return Spread(*values) if values else None


def kinds_of(found: Sequence[Kind]) -> Kinds:
    ordered = sorted(found, key=lambda kind: (-kind.rows, kind.event_type))
    others = ordered[MOST_TYPES:]
    return Kinds(ordered[:MOST_TYPES], len(others), sum(kind.rows for kind in others))


def _points(counted: Sequence[Row]) -> list[Point]:
    starts = sorted({row["start"] for row in counted})
    found = {(row["start"], row["verdict"]): row for row in counted}

    def rows(start: int, verdict: str) -> int:
        row = found.get((start, verdict))
        return row["rows"] if row else 0

    def latency(start: int, verdict: str) -> Spread | None:
        row = found.get((start, verdict))
        return spread(row["latency"]) if row else None

    return [
        Point(
            start=datetime.fromtimestamp(start, UTC),
            stored=rows(start, EVENT),
            duplicates=rows(start, DUPLICATE),
            quarantined=rows(start, BAD),
            received=sum(rows(start, verdict) for verdict in (EVENT, DUPLICATE, BAD)),
            stored_latency=latency(start, EVENT),
            duplicate_latency=latency(start, DUPLICATE),
        )
        for start in starts
    ]


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else time_of(micros)
