"""What follows the charts: quarantine, event types, files, gaps, audit."""

from __future__ import annotations

from event_lake.audit.report import NUMBERS
from event_lake.report.bars import Bar, bar_list
from event_lake.report.figures import Audited, Example, Figures, Layout, Problem
from event_lake.report.markup import Html, code, fold, joined, table, tag, text
from event_lake.report.wording import count, moment, plural, shortened, size, text_of

LONGEST_NAME = 100  # characters of a name from outside


def section(title: str, about: str, *parts: Html) -> Html:
    return tag("section", tag("h2", title), tag("p", about, class_="sub"), *parts)


def quarantine(figures: Figures) -> Html:
    rows = sum(problem.rows for problem in figures.problems)
    about = "What lies in the quarantine table and came in this period: the reason, and the newest records, shortened."
    if not rows:
        return section("Quarantine", about, _none("Nothing."))
    bars = [Bar(code(shortened(one.code, LONGEST_NAME)), one.rows, _examples(one)) for one in figures.problems]
    more = figures.problems_left_out
    left_out = [_none(f"And {plural(more, 'further problem code')}.")] if more else []
    return section("Quarantine", about, tag("div", bar_list(bars, "quarantined", rows), *left_out, class_="card"))


def _examples(problem: Problem) -> Html | None:
    if not problem.examples:
        return None
    return fold(plural(len(problem.examples), "example"), *(_example(one) for one in problem.examples))


def _example(example: Example) -> Html:
    shown = code(text_of(example.head, example.size)) if example.size else tag("p", "zero bytes")
    details = [f"{example.size:,} bytes", f"arrived {moment(example.arrived_at)} UTC", example.place]
    why = [tag("p", code(shortened(example.detail, 200)))] if example.detail else []
    return tag("div", shown, *why, tag("p", " · ".join(details)), class_="example")


def event_types(figures: Figures) -> Html:
    kinds = figures.kinds
    rows = sum(kind.rows for kind in kinds.top) + kinds.rows_of_others
    about = f"The whole events table, {count(rows)} rows, by type."
    if not rows:
        return section("Event types", "The whole events table, by type.", _none("The table is empty."))
    bars = [Bar(code(shortened(kind.event_type, LONGEST_NAME)), kind.rows) for kind in kinds.top]
    if kinds.others:
        bars.append(Bar(text(f"{plural(kinds.others, 'other type')}"), kinds.rows_of_others))
    return section("Event types", about, tag("div", bar_list(bars, "stored", rows), class_="card"))


def files(figures: Figures) -> Html:
    about = (
        "Each table as it lies in storage. Small files are those that compaction would take; many make reading slow."
    )
    if not figures.layouts:
        words = f"Not known: {figures.file_format} files have no log that tells what a partition holds."
        return section("Files", about, _none(words))
    head = ["table", "partitions", "files", "small files", "bytes"]
    rows = [
        [one.table, count(one.partitions), count(one.files), count(one.small_files), size(one.data_bytes)]
        for one in figures.layouts
    ]
    parts = [tag("div", table(head, rows), *_advice(figures), class_="card")]
    parts += [_crowded(one) for one in figures.layouts if one.crowded]
    return section("Files", about, tag("div", *parts, class_="stack"))


def _crowded(layout: Layout) -> Html:
    head = ["partition", "files", "small", "rows", "bytes"]
    rows = [
        [
            code(shortened(one.name, LONGEST_NAME)),
            count(one.files),
            count(one.small_files),
            count(one.rows),
            size(one.data_bytes),
        ]
        for one in layout.crowded
    ]
    summary = f"{layout.table.capitalize()}: the partitions with most small files"
    return tag("div", fold(summary, table(head, rows)), class_="card")


def _advice(figures: Figures) -> list[Html]:
    lines = [tag("li", f"{one.table}: {line}") for one in figures.layouts for line in one.advice]
    return [tag("ul", joined(lines), class_="advice")] if lines else []


def gaps(figures: Figures) -> Html:
    about = "Stretches of the stream that were lost for good, by when they were found."
    if not figures.gaps_in_all:
        return section("Gaps", about, _none("None."))
    head = ["shard", "why", "from (UTC)", "to (UTC)", "found (UTC)"]
    rows = [
        [code(one.shard_id or ""), one.why or "", moment(one.from_time), moment(one.to_time), moment(one.stored_at)]
        for one in figures.gaps
    ]
    more = figures.gaps_in_all - len(figures.gaps)
    left_out = [_none(f"And {count(more)} earlier ones.")] if more else []
    return section("Gaps", about, tag("div", table(head, rows, texts=2), *left_out, class_="card"))


def audit(figures: Figures) -> Html:
    about = "The stream read anew and held against the tables, record by record (docs/audit.md)."
    audited = figures.audited
    if audited is None:
        words = "No report of an audit was given: scripts/audit --report FILE writes one, --audit FILE shows it here."
        return section("Audit", about, _none(words))
    said = f"From {audited.start} to {audited.end}, exit code {audited.exit_code}; {audited.path}"
    numbers = [[name.replace("_", " "), count(audited.numbers[name])] for name in NUMBERS]
    shown = tag("div", tag("p", said, class_="about"), table(["number", "records"], numbers), class_="card")
    return section("Audit", about, tag("div", shown, *_findings(audited), class_="stack"))


def _findings(audited: Audited) -> list[Html]:
    if not audited.findings:
        return []
    head = ["what", "event_uuid", "event_name", "should be in", "is in"]
    names = ("kind", "event_uuid", "event_name", "should_be_in", "is_in")
    rows = [
        [code(shortened(str(finding.get(name) or ""), LONGEST_NAME)) for name in names] for finding in audited.findings
    ]
    return [tag("div", tag("h3", "The first findings"), table(head, rows, texts=5), class_="card")]


def _none(words: str) -> Html:
    return tag("p", words, class_="none")
