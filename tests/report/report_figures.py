"""Builders: ordinary figures of a lake; a test names only what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from event_lake.audit.report import NUMBERS
from event_lake.report.figures import (
    METRICS,
    Audited,
    Copies,
    Course,
    Crowded,
    Example,
    Figures,
    Gap,
    Kind,
    Kinds,
    Layout,
    Point,
    Problem,
    Spread,
)

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUICK = Spread(0.5, 0.9, 1.2, 2.0)


def point(number: int, **overrides: Any) -> Point:
    """The `number`-th minute of the hour before NOW, 100 of whose 110 records were stored."""
    start = NOW + (number - 60) * MINUTE
    return replace(Point(start, 100, 8, 2, 110, QUICK, QUICK, lag=0.0), **overrides)


def course(*points: Point, **overrides: Any) -> Course:
    return replace(Course(METRICS, MINUTE, points, micro_batches=len(points)), **overrides)


def audited(**numbers: int) -> Audited:
    counted = {**dict.fromkeys(NUMBERS, 0), "received": 110, "stored": 100, "duplicates": 8, "quarantined": 2}
    return Audited("audit.json", "2026-11-26 12:00:00", "2026-11-27 12:00:00", 0, {**counted, **numbers}, [])


def figures(**overrides: Any) -> Figures:
    """Of an hour in which all went well."""
    well = Figures(
        lake="s3a://bucket/lake/events",
        file_format="delta",
        since=NOW - timedelta(days=7),
        until=NOW,
        course=course(*(point(number) for number in range(60))),
        copies=Copies(480, 0, QUICK, Spread(3, 60, 600, 7200)),
        problems=[Problem("not_json", 120, [example(b'{"event_uuid": ')])],
        problems_left_out=0,
        kinds=Kinds([Kind("lesson", 5000), Kind("payment", 1000)], 0, 0),
        layouts=[Layout("events", 2, 40, 0, 5_000_000, [], [])],
        gaps=[],
        gaps_in_all=0,
        complete_through=NOW - timedelta(seconds=5),
        audited=None,
        health_lag=timedelta(hours=1),
        silent_after=timedelta(minutes=10),
    )
    return replace(well, **overrides)


def example(data: bytes, **overrides: Any) -> Example:
    whole = Example("unexpected end of data", data, len(data), NOW, "shardId-000000000000/4959/0")
    return replace(whole, **overrides)


def everywhere(hostile: str) -> Figures:
    """Figures with a text wherever one comes from outside, or might."""
    partition = f"event_type={hostile}"
    finding = dict.fromkeys(("kind", "event_uuid", "event_name", "should_be_in", "is_in"), hostile)
    return figures(
        lake=f"s3a://bucket/{hostile}",
        course=replace(figures().course, source="tables", why_tables=hostile),
        problems=[Problem(hostile, 3, [example(hostile.encode(), detail=hostile, place=hostile)])],
        kinds=Kinds([Kind(hostile, 5)], 0, 0),
        layouts=[Layout("events", 1, 9, 9, 99, [Crowded(partition, 9, 9, 99, 9)], [hostile])],
        gaps=[Gap(hostile, NOW, NOW, hostile, NOW)],
        gaps_in_all=1,
        audited=Audited(hostile, hostile, hostile, 3, audited(missing=1).numbers, [finding]),
    )
