"""What goes over time, as SVG: numbers and times only, no text from outside ever gets into a chart.

matplotlib draws each colour as a number of its own, which is then replaced by a variable of the page's style, so that
one drawing serves light and dark. Text stays text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from event_lake.report import wording
from event_lake.report.period import MINUTE, STEPS

# By the style's variable. The numbers only have to differ.
NAMES = ("stored", "duplicates", "quarantined", "p50", "p95", "p99", "lag", "muted", "hair")
COLOURS = {name: f"#0{number:x}00{number:x}f" for number, name in enumerate(NAMES, 1)}
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 11,
    "axes.edgecolor": COLOURS["hair"],
    "axes.labelcolor": COLOURS["muted"],
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "text.color": COLOURS["muted"],
    "grid.color": COLOURS["hair"],
    "grid.linewidth": 1.0,
}
DOTS = 40  # up to so many points each has a dot
MOST_TICKS = 5
DAY = timedelta(days=1)
BREAK = 3  # a line is broken where the next point is further away than so many usual distances
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
Values = Sequence[float | None]


@dataclass(frozen=True)
class Size:
    """In CSS pixels, if the drawing is shown as large as it is."""

    width: int
    height: int


WIDE, NARROW = Size(1000, 270), Size(420, 225)


@dataclass(frozen=True)
class Series:
    """One colour of a chart."""

    colour: str  # of COLOURS
    values: Values


def bars(starts: Sequence[datetime], step: timedelta, series: Sequence[Series], size: Size) -> str:
    """Numbers of records in each step, one series on the other."""

    def draw(axes: Axes) -> None:
        below = [0.0] * len(starts)
        for one in series:
            heights = [value or 0.0 for value in one.values]
            axes.bar(
                days(starts), heights, 0.86 * (step / DAY), below, align="edge", color=COLOURS[one.colour], linewidth=0
            )
            below = [low + height for low, height in zip(below, heights, strict=True)]

    return _svg(draw, _span(starts, step), size, wording.short_count)


def lines(
    starts: Sequence[datetime], step: timedelta, series: Sequence[Series], write: Callable[[float], str], size: Size
) -> str:
    """Values at each step; a step without one breaks the line."""
    middles = [start + step / 2 for start in starts]

    def draw(axes: Axes) -> None:
        for one in series:
            known = [(at, value) for at, value in zip(middles, one.values, strict=True) if value is not None]
            times, values = _broken(known)
            dot = "o" if len(known) <= DOTS else ""
            axes.plot(days(times), values, color=COLOURS[one.colour], linewidth=1.8, marker=dot, markersize=3.5)

    most = max(value for one in series for value in one.values if value is not None)
    return _svg(draw, _span(starts, step), size, write, _tick(most) if write is wording.short_seconds else None)


def days(times: Sequence[datetime]) -> list[float]:
    """As matplotlib counts them: in days since 1970."""
    return [float(date2num(at)) for at in times]


def _tick(most: float) -> float | None:
    """Round in minutes, hours or days; None up to a minute, where seconds are counted in tens."""
    if most <= MINUTE:
        return None
    return next((step for step in STEPS if step >= MINUTE / 4 and most / step <= MOST_TICKS), most / MOST_TICKS)


def _broken(known: Sequence[tuple[datetime, float]]) -> tuple[list[datetime], list[float]]:
    distances = sorted(later - at for (at, _), (later, _) in pairwise(known))
    longest = BREAK * distances[len(distances) // 2] if distances else timedelta.max
    times: list[datetime] = []
    values: list[float] = []
    for at, value in known:
        if times and at - times[-1] > longest:
            times.append(at)
            values.append(float("nan"))
        times.append(at)
        values.append(value)
    return times, values


def _span(starts: Sequence[datetime], step: timedelta) -> tuple[datetime, datetime]:
    margin = max(step * 0.5, (starts[-1] - starts[0]) * 0.01)
    return starts[0] - margin, starts[-1] + step + margin


def _svg(
    draw: Callable[[Axes], None],
    span: tuple[datetime, datetime],
    size: Size,
    write: Callable[[float], str],
    tick: float | None = None,
) -> str:
    with rc_context({**SETTINGS, "svg.hashsalt": f"{size.width}"}):
        figure = Figure(figsize=(size.width / 72, size.height / 72), layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        draw(axes)
        _set_out(axes, span, size)
        axes.yaxis.set_major_locator(MultipleLocator(tick) if tick else MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
        output = io.StringIO()
        FigureCanvasSVG(figure).print_svg(output, metadata=NO_METADATA)
    return _for_page(output.getvalue())


def _set_out(axes: Axes, span: tuple[datetime, datetime], size: Size) -> None:
    axes.set_xlim(*days(span))
    axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 1e-9))
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=6)
    locator = AutoDateLocator(tz=UTC, minticks=5 if size == WIDE else 3, maxticks=12 if size == WIDE else 5)
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, tz=UTC)
    for formats in (formatter.formats, formatter.zero_formats):
        formats[2:] = ["%d %b", "%H:%M", "%H:%M", "%H:%M:%S"]
    formatter.zero_formats[3] = "%d %b"
    formatter.offset_formats[3:] = ["%Y-%m-%d"] * 3
    axes.xaxis.set_major_formatter(formatter)


def _for_page(document: str) -> str:
    """The drawing itself, with the page's colours and fonts, and scaled by the page."""
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", document[document.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r' (?:width|height)="[^"]*pt"', "", svg, count=2)
    svg = re.sub(r"font: [^;\"]*;?\s*", "font-size: 11px; ", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg.replace("<svg ", '<svg aria-hidden="true" ', 1).strip()
