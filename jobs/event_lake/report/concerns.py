"""What stands out, in words: the sentences at the top of the page, worst first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from event_lake.report.figures import Audited, Figures
from event_lake.report.wording import duration, moment, plural, seconds, share

BAD, NOTICE = "bad", "notice"
MUCH = 0.01  # of what was received: so much in quarantine stands out


@dataclass(frozen=True)
class Concern:
    level: str  # BAD: something is wrong; NOTICE: worth a look
    sentence: str


def concerns(figures: Figures) -> list[Concern]:
    found = [*_of_audit(figures.audited), *_of_gaps(figures), *_of_keeping_up(figures), *_of_contents(figures)]
    return sorted(found, key=lambda one: one.level != BAD)


def _of_audit(audited: Audited | None) -> Iterator[Concern]:
    if audited is None or audited.exit_code == 0:
        return
    wrong = ("missing", "extra", "misplaced", "altered", "stored_twice")
    named = ", ".join(f"{audited.numbers[name]:,} {name.replace('_', ' ')}" for name in wrong if audited.numbers[name])
    of = f"{audited.start} to {audited.end}"
    yield Concern(BAD, f"The audit of {of} ended with exit code {audited.exit_code}: {named}.")


def _of_gaps(figures: Figures) -> Iterator[Concern]:
    if figures.gaps_in_all:
        lost = plural(figures.gaps_in_all, "stretch", "stretches")
        yield Concern(BAD, f"{lost} of the stream lost for good (see Gaps).")


def _of_keeping_up(figures: Figures) -> Iterator[Concern]:
    course = figures.course
    if course.last is None:
        yield Concern(NOTICE, "Nothing was stored in this period.")
        return
    silent = (figures.until - course.last).total_seconds()
    if 0 < figures.silent_after.total_seconds() < silent:
        said = f"Nothing has been stored for {seconds(silent)}: the job was stopped, or the stream was silent."
        yield Concern(NOTICE, said)
    lag, bound = course.points[-1].lag, figures.health_lag
    if lag is not None and 0 < bound.total_seconds() < lag:
        said = f"The slowest shard was last read {seconds(lag)} behind its tip; {duration(bound)} is the bound."
        yield Concern(BAD, said)
    if course.unmeasured:
        lost = plural(course.unmeasured, "micro-batch", "micro-batches")
        yield Concern(NOTICE, f"{lost} left no row in the metrics table, so sums over time lack them.")
    if course.waiting:
        newest = "The last micro-batch is" if course.waiting == 1 else f"The last {course.waiting:,} micro-batches are"
        yield Concern(NOTICE, f"{newest} not in the metrics table, or not yet: sums over time lack what they stored.")
    if course.measured_since:
        began = moment(course.measured_since)
        yield Concern(NOTICE, f"The metrics table begins at {began} UTC: what was stored before is in no sum.")


def _of_contents(figures: Figures) -> Iterator[Concern]:
    received, bad = figures.course.total("received"), figures.course.total("quarantined")
    if received and bad > MUCH * received:
        yield Concern(NOTICE, f"{share(bad / received)} of what was received is in quarantine.")
    if figures.copies and figures.copies.other_bytes:
        are = "duplicate has" if figures.copies.other_bytes == 1 else "duplicates have"
        yield Concern(
            NOTICE,
            f"{figures.copies.other_bytes:,} {are} the event_uuid of a stored event and other bytes: "
            "a producer uses one uuid for different events, or sends them anew with changes.",
        )
