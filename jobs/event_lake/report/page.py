"""One HTML page that needs nothing else: no script, no network, one style."""

from __future__ import annotations

from event_lake.report import headline, sections
from event_lake.report.figures import METRICS, Figures
from event_lake.report.markup import Html, tag
from event_lake.report.over_time import charts
from event_lake.report.style import STYLE
from event_lake.report.wording import moment

# Were anything to slip through the escaping, a browser would neither run nor fetch it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def page(figures: Figures) -> str:
    name = figures.lake.rstrip("/").rpartition("/")[2]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{name}: quality"),
        tag("style", Html(STYLE)),
    )
    main = tag(
        "main",
        _header(figures, name),
        headline.status(figures),
        headline.books(figures),
        headline.tiles(figures),
        sections.section("Over time", _source(figures), charts(figures.course)),
        sections.quarantine(figures),
        sections.event_types(figures),
        sections.files(figures),
        sections.gaps(figures),
        sections.audit(figures),
        _footer(),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', main), lang='en')}\n"


def _header(figures: Figures, name: str) -> Html:
    period = f"{moment(figures.since)} to {moment(figures.until)} UTC"
    return tag(
        "header",
        tag("p", "Data quality", class_="kicker"),
        tag("h1", name),
        tag("p", f"{period} · {figures.lake}", class_="sub"),
    )


def _source(figures: Figures) -> str:
    course = figures.course
    if course.source == METRICS:
        return (
            "From the metrics table. Where a step holds several micro-batches, counts are their sums; latencies and "
            "lag are those of the worst of them."
        )
    return (
        f"From the tables' own rows, since {course.why_tables}: what was deleted or moved out of a table since is not "
        "in them, and lag is not known."
    )


def _footer() -> Html:
    return tag(
        "footer",
        tag(
            "p",
            "Times are UTC. Examples show the beginning of records as producers sent them: keep this page where the "
            "quarantine table may be kept. What is deleted from the tables later stays in it.",
        ),
        tag("p", "Made by event-lake, jobs/report_quality.py; docs/metrics.md says what each number means."),
    )
