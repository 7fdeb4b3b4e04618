"""The figures that come first: what was received, what became of it, and how far that goes."""

from __future__ import annotations

from event_lake.report.concerns import BAD, NOTICE, concerns
from event_lake.report.figures import METRICS, Figures
from event_lake.report.markup import Html, joined, tag
from event_lake.report.over_time import swatch
from event_lake.report.wording import UNKNOWN, count, moment, plural, seconds, share


def status(figures: Figures) -> Html:
    """What stands out, or that nothing does; and whether anybody has proven it."""
    found = concerns(figures)
    lines = [tag("li", tag("b", one.sentence) if one.level == BAD else one.sentence, class_=one.level) for one in found]
    if not found:
        lines.append(tag("li", "Nothing stands out in this period.", class_="good"))
    audited = figures.audited
    if audited is None:
        lines.append(tag("li", "Nobody has audited: give the report of one as --audit.", class_=NOTICE))
    elif audited.exit_code == 0:
        whole = f"{count(audited.numbers['received'])} records, {audited.start} to {audited.end}"
        said = f"The audit found every record of the stream where it belongs ({whole})."
        lines.append(tag("li", said, class_="good"))
    return tag("ul", joined(lines), class_="status")


def books(figures: Figures) -> Html:
    """received = stored + duplicates + quarantined."""
    course = figures.course
    received = course.total("received")
    whose = (
        f"in {plural(course.micro_batches, 'micro-batch', 'micro-batches')}"
        if course.source == METRICS
        else "the sum of the tables' rows"
    )
    good = course.total("stored")
    duplicates = count(course.total("duplicates")) if course.knows_duplicates else UNKNOWN
    bad = course.total("quarantined")
    parts = [
        _part("", "received", count(received), whose),
        _part("=", "stored", count(good), _of(good, received), "stored"),
        _part("+", "duplicates", duplicates, _of_duplicates(figures, received), "duplicates"),
        _part("+", "quarantined", count(bad), _of(bad, received), "quarantined"),
    ]
    return tag("div", joined(parts), class_="card books")


def tiles(figures: Figures) -> Html:
    """What else is asked for first."""
    through, copies, audited = figures.complete_through, figures.copies, figures.audited
    behind = f"{seconds((figures.until - through).total_seconds())} before this page" if through else ""
    missing = count(audited.numbers["missing"]) if audited else UNKNOWN
    recognised = copies.recognised if copies else None
    late = f"half of them; 95 % within {seconds(recognised.p95)}" if recognised else "no duplicates in the table"
    return tag(
        "div",
        _tile("duplicate rate", share(figures.course.duplicate_rate), "of all good records"),
        _tile("recognised within", seconds(recognised.p50 if recognised else None), late),
        _tile("missing", missing, "by the audit" if audited else "not audited"),
        _tile("complete through", moment(through), behind or "not known: no commit of a stream"),
        class_="tiles",
    )


def _of_duplicates(figures: Figures, received: int) -> str:
    if not figures.course.knows_duplicates:
        return 'only counted, with dedup.engine = "spark"'
    return _of(figures.course.total("duplicates"), received)


def _of(part: int, whole: int) -> str:
    return f"{share(part / whole)} of them" if whole else "nothing came"


def _part(sign: str, name: str, number: str, about: str, colour: str = "") -> Html:
    named = joined([*([swatch(colour)] if colour else []), name])
    return tag(
        "div",
        tag("div", named, class_="tile-name"),
        tag("div", number, class_="figure"),
        tag("div", about, class_="about"),
        data_sign=sign,
    )


def _tile(name: str, number: str, about: str) -> Html:
    return tag(
        "div",
        tag("div", name, class_="tile-name"),
        tag("div", number, class_="figure"),
        tag("div", about, class_="about"),
        class_="card",
    )
