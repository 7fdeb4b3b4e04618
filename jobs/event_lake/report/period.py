"""The time that a report is about, and the steps that it is cut into."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from event_lake.audit.tables import moment, time_of

MOST_POINTS = 120  # as many as a chart can show, and a page should hold
MINUTE, HOUR, DAY = 60, 3600, 86_400
STEPS = (
    *(1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE),
    *(HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY),
)


@dataclass(frozen=True)
class Period:
    """From `since` to `until`, both included; aware times."""

    since: datetime
    until: datetime

    def holds(self, column: Column) -> Column:
        return column.between(moment(self.since), moment(self.until))


def step_for(span: timedelta) -> int:
    """The seconds of the smallest step of which a span, wherever it begins, touches at most MOST_POINTS."""
    fine = span.total_seconds() / (MOST_POINTS - 1)
    return next((step for step in STEPS if step >= fine), int(-(-fine // DAY)) * DAY)


def span_of(rows: DataFrame, column: str) -> tuple[datetime, datetime] | None:
    """The first and the last time of a column; None where there is none."""
    found = rows.agg(F.min(F.unix_micros(column)).alias("first"), F.max(F.unix_micros(column)).alias("last")).first()
    if found is None or found["first"] is None:
        return None
    return time_of(found["first"]), time_of(found["last"])


def step_of(column: str, step: int) -> Column:
    """The Unix second at which the step of a time begins."""
    return (F.floor(F.unix_seconds(column) / step) * step).cast("long")
