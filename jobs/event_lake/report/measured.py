"""Figures over time from the metrics table (telemetry.measures), of which a row is a micro-batch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from event_lake.audit.tables import moment, time_of
from event_lake.mark import BatchMark
from event_lake.report.figures import METRICS, Course, Point, Spread
from event_lake.report.period import Period, span_of, step_for, step_of

COUNTS = ("received", "stored", "duplicates", "quarantined")
PARTS = ("p50", "p95", "p99", "max")  # as figures.Spread has them
LATENCIES = {name: [f"{name}_{part}_seconds" for part in PARTS] for name in ("stored_latency", "duplicate_latency")}


class Measured:
    """The micro-batches of a period, by when they were stored."""

    def __init__(self, spark: SparkSession, path: str, period: Period) -> None:
        columns = [*COUNTS, "lag_seconds", "complete_through", *(one for names in LATENCIES.values() for one in names)]
        written = F.coalesce("stored_at", "planned_at").alias("at")
        self._all = spark.read.format("delta").load(path).select(written, "date", "query_id", "batch_id", *columns)
        self._since = period.since
        days = F.col("date").between(F.lit(period.since.date()), F.lit(period.until.date()))
        self._rows = self._all.where(days & period.holds(F.col("at")))

    def course(self, newest: BatchMark | None = None) -> Course:
        """`newest`: the events table's last micro-batch. A step holds the sums of its micro-batches, and the highest of
        what does not add up: percentiles of several micro-batches cannot be had from their percentiles."""
        span = span_of(self._rows, "at")
        if span is None:
            return Course(METRICS, timedelta(seconds=1), [])
        step = step_for(span[1] - span[0])
        found = self._by_step(step).orderBy("start").collect()
        unmeasured, waiting, since = self._left_out(newest)
        return Course(
            METRICS,
            timedelta(seconds=step),
            [_point(row) for row in found],
            micro_batches=sum(row["micro_batches"] for row in found),
            unmeasured=unmeasured,
            waiting=waiting,
            measured_since=since,
        )

    def complete_through(self) -> datetime | None:
        row = self._rows.agg(F.max(F.unix_micros("complete_through"))).collect()[0]
        return None if row[0] is None else time_of(row[0])

    def _left_out(self, newest: BatchMark | None) -> tuple[int, int, datetime | None]:
        """How many micro-batches are missing between those of the period, and how many after them; and since when there
        are any, where that is later than the period's begin and not the job's own."""
        of_period = F.when(F.col("at") >= moment(self._since), F.col("batch_id"))
        queries = self._all.groupBy("query_id").agg(
            F.min("batch_id").alias("first"),
            F.max("batch_id").alias("last"),
            F.min(F.unix_micros("at")).alias("began"),
            (F.max(of_period) - F.min(of_period) + 1 - F.count(of_period)).alias("missing"),
        )
        found = queries.where(F.col("missing").isNotNull()).orderBy("began").collect()
        begun = [time_of(row["began"]) for row in found if row["first"] > 0]
        later = [when for when in begun if when > self._since]
        waiting = sum(
            max(newest.batch_id - row["last"], 0) for row in found if newest and row["query_id"] == newest.query_id
        )
        return sum(row["missing"] for row in found), waiting, later[0] if later else None

    def _by_step(self, step: int) -> DataFrame:
        highest = ["lag_seconds", *(one for names in LATENCIES.values() for one in names)]
        return self._rows.groupBy(step_of("at", step).alias("start")).agg(
            F.count(F.lit(1)).alias("micro_batches"),
            *(F.sum(name).alias(name) for name in COUNTS),
            *(F.max(name).alias(name) for name in highest),
        )


def _point(row: Row) -> Point:
    return Point(
        start=datetime.fromtimestamp(row["start"], UTC),
        stored=row["stored"],
        duplicates=row["duplicates"],
        quarantined=row["quarantined"],
        received=row["received"],
        stored_latency=_spread(row, LATENCIES["stored_latency"]),
        duplicate_latency=_spread(row, LATENCIES["duplicate_latency"]),
        lag=row["lag_seconds"],
    )


def _spread(row: Row, columns: list[str]) -> Spread | None:
    values = [row[name] for name in columns]
    return None if None in values else Spread(*values)
