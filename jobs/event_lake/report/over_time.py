"""The page's charts: what each shows, in a drawing, in words and as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from event_lake.report.charts import NARROW, WIDE, Series, Size, bars, lines
from event_lake.report.figures import METRICS, Course, Point, Spread
from event_lake.report.markup import Html, fold, joined, table, tag
from event_lake.report.wording import (
    count,
    duration,
    moment,
    seconds,
    share,
    short_count,
    short_seconds,
    short_share,
)

Number = Callable[[Point], float | None]


@dataclass(frozen=True)
class Line:
    """One colour of a chart, and a column of its table."""

    name: str
    colour: str
    value: Number


@dataclass(frozen=True)
class Chart:
    title: str
    about: str
    lines: Sequence[Line]
    write: Callable[[float | None], str]
    write_short: Callable[[float], str]
    none: str  # what is said where there is nothing to draw
    is_stacked: bool = False


def charts(course: Course) -> Html:
    """The first over the whole width, the others beside each other."""
    first, *others = _charts(course)
    return joined([_figure(first, course, (WIDE, NARROW)), _beside(others, course)])


def _beside(others: Sequence[Chart], course: Course) -> Html:
    return tag("div", joined(_figure(chart, course, (NARROW,)) for chart in others), class_="grid")


def _charts(course: Course) -> list[Chart]:
    is_measured, step = course.source == METRICS, duration(course.step)
    whose = "of the slowest micro-batch of each step" if is_measured else "of all records of each step"
    waits = f"From arrival to the row in the table, {whose}."
    no_copies = 'With dedup.engine = "spark" the tables do not know the duplicates.'
    duplicates = Line("duplicates", "duplicates", lambda point: point.duplicates)
    return [
        Chart(
            "Records",
            f"What became of them, in steps of {step}, by when they were written.",
            [
                Line("stored", "stored", lambda point: point.stored),
                *([duplicates] if course.knows_duplicates else []),
                Line("quarantined", "quarantined", lambda point: point.quarantined),
            ],
            lambda value: count(None if value is None else int(value)),
            short_count,
            "Nothing was written in this period.",
            is_stacked=True,
        ),
        Chart(
            "Duplicate rate",
            "Of all good records, those that were copies of a stored event.",
            [Line("duplicate rate", "duplicates", lambda p: p.duplicate_rate if course.knows_duplicates else None)],
            share,
            short_share,
            no_copies if not course.knows_duplicates else "No good record came.",
        ),
        Chart(
            "Until an event is stored",
            waits,
            _percentiles(lambda point: point.stored_latency),
            seconds,
            short_seconds,
            "No event was stored.",
        ),
        Chart(
            "Until a duplicate is recognised",
            waits,
            _percentiles(lambda point: point.duplicate_latency),
            seconds,
            short_seconds,
            no_copies if not course.knows_duplicates else "There were no duplicates, or nobody measured them.",
        ),
        Chart(
            "Lag",
            "How long the next record of the slowest shard had been waiting, at worst in each step; 0 at the tip.",
            [Line("lag", "lag", lambda point: point.lag)],
            seconds,
            short_seconds,
            "No source told of a lag." if is_measured else "Only the metrics table knows it: the tables' rows do not.",
        ),
    ]


def _percentiles(of: Callable[[Point], Spread | None]) -> list[Line]:
    def part(name: str) -> Number:
        return lambda point: getattr(spread, name) if (spread := of(point)) else None

    names = {"p50": "half of them", "p95": "95 %", "p99": "99 %"}
    return [Line(f"{names[name]} within", name, part(name)) for name in names]


def _figure(chart: Chart, course: Course, sizes: Sequence[Size]) -> Html:
    points = [point for point in course.points if any(line.value(point) is not None for line in chart.lines)]
    head = tag("figcaption", tag("h3", chart.title), tag("p", chart.about, class_="sub"))
    if not points:
        return tag("figure", head, tag("p", chart.none, class_="none"), class_="card")
    names = ("wide", "narrow") if len(sizes) > 1 else ("",)
    drawings = [
        tag("div", Html(_drawing(chart, course, points, size)), class_=f"drawing {name}", role="img", aria_label=label)
        for label in [in_words(chart, points)]
        for name, size in zip(names, sizes, strict=True)
    ]
    return tag("figure", head, _legend(chart), *drawings, _numbers(chart, points), class_="card")


def _drawing(chart: Chart, course: Course, points: Sequence[Point], size: Size) -> str:
    starts = [point.start for point in points]
    series = [Series(line.colour, [line.value(point) for point in points]) for line in chart.lines]
    if chart.is_stacked:
        return bars(starts, course.step, series, size)
    return lines(starts, course.step, series, chart.write_short, size)


def _legend(chart: Chart) -> Html:
    if len(chart.lines) == 1:
        return Html()
    named = [tag("span", swatch(line.colour), line.name) for line in chart.lines]
    return tag("div", joined(named), class_="legend", aria_hidden="true")


def swatch(colour: str) -> Html:
    return tag("i", class_="swatch", style=f"background:var(--{colour})")


def in_words(chart: Chart, points: Sequence[Point]) -> str:
    """The alternative to the drawing: of each colour the range, the last value, and when it was highest."""
    said = [f"{chart.title}, {moment(points[0].start)} to {moment(points[-1].start)} UTC."]
    for line in chart.lines:
        known = [(value, point.start) for point in points if (value := line.value(point)) is not None]
        if known:
            (least, _), (most, at) = min(known), max(known, key=lambda one: one[0])
            last = chart.write(known[-1][0])
            said.append(
                f"{line.name}: {chart.write(least)} to {chart.write(most)}, highest at {moment(at)}, last {last}."
            )
    return " ".join(said)


def _numbers(chart: Chart, points: Sequence[Point]) -> Html:
    head = ["from (UTC)", *(line.name for line in chart.lines)]
    rows = [[moment(point.start), *(chart.write(line.value(point)) for line in chart.lines)] for point in points]
    return fold("The numbers", table(head, rows))
