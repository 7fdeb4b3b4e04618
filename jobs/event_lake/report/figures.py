"""What the page tells, as plain values. All times are UTC, all durations seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

METRICS, TABLES = "metrics", "tables"  # where figures over time come from


@dataclass(frozen=True)
class Spread:
    """Of what is spread: the seconds that half, 95 % and 99 % of the records do not exceed, and the most."""

    p50: float
    p95: float
    p99: float
    most: float


@dataclass(frozen=True)
class Point:
    """What was written within one step of time."""

    start: datetime
    stored: int
    duplicates: int
    quarantined: int
    received: int
    stored_latency: Spread | None = None  # None: nothing was stored, or not known
    duplicate_latency: Spread | None = None
    lag: float | None = None  # None: not known

    @property
    def duplicate_rate(self) -> float | None:
        """duplicates / (stored + duplicates); None where there is neither."""
        good = self.stored + self.duplicates
        return self.duplicates / good if good else None


@dataclass(frozen=True)
class Course:
    """How things went over time; only steps in which something was written have a point."""

    source: str  # METRICS or TABLES
    step: timedelta
    points: Sequence[Point]
    knows_duplicates: bool = True
    why_tables: str = ""  # where the metrics table was not used: why not
    micro_batches: int = 0  # of METRICS, like the following
    unmeasured: int = 0  # micro-batches whose numbers are missing between others
    waiting: int = 0  # micro-batches of the events table that are newer than the metrics table's last
    measured_since: datetime | None = None  # where the table begins within the period, and with a later micro-batch

    def total(self, name: str) -> int:
        return sum(int(getattr(point, name)) for point in self.points)

    @property
    def duplicate_rate(self) -> float | None:
        good = self.total("stored") + self.total("duplicates")
        return self.total("duplicates") / good if good and self.knows_duplicates else None

    @property
    def last(self) -> datetime | None:
        """The end of the last step in which something was written."""
        return self.points[-1].start + self.step if self.points else None


@dataclass(frozen=True)
class Copies:
    """The rows of the duplicates table."""

    rows: int
    other_bytes: int  # of them: the bytes are not those of the first copy
    recognised: Spread | None  # how long after their arrival
    gap: Spread | None  # from the first copy's arrival to theirs


@dataclass(frozen=True)
class Example:
    """One quarantined record."""

    detail: str | None
    head: bytes  # how its data begins
    size: int  # bytes of all of it
    arrived_at: datetime | None
    place: str  # shard, sequence number, number within the record


@dataclass(frozen=True)
class Problem:
    """What is in quarantine under one problem code."""

    code: str
    rows: int
    examples: Sequence[Example]


@dataclass(frozen=True)
class Kind:
    """Rows of one event type."""

    event_type: str
    rows: int


@dataclass(frozen=True)
class Kinds:
    """The event types of the whole events table, those with most rows first."""

    top: Sequence[Kind]
    others: int  # how many more types there are
    rows_of_others: int


@dataclass(frozen=True)
class Crowded:
    """A partition with small files."""

    name: str
    files: int
    small_files: int
    data_bytes: int
    rows: int


@dataclass(frozen=True)
class Layout:
    """How one table lies in its storage."""

    table: str
    partitions: int
    files: int
    small_files: int
    data_bytes: int
    crowded: Sequence[Crowded]  # the partitions with most small files
    advice: Sequence[str]


@dataclass(frozen=True)
class Gap:
    """A stretch of the stream that was lost."""

    shard_id: str | None
    from_time: datetime | None
    to_time: datetime | None
    why: str | None
    stored_at: datetime | None


@dataclass(frozen=True)
class Audited:
    """What an audit's report says."""

    path: str
    start: str
    end: str
    exit_code: int
    numbers: Mapping[str, int]  # by audit.report.NUMBERS
    findings: Sequence[Mapping[str, Any]]  # the first of them, see audit.findings.COLUMNS


@dataclass(frozen=True)
class Figures:
    """All of it. `since` to `until` is the period that a section is about where it does not say otherwise; the page is
    made at its end."""

    lake: str
    file_format: str
    since: datetime
    until: datetime
    course: Course
    copies: Copies | None  # None: the engine only counts them
    problems: Sequence[Problem]
    problems_left_out: int  # codes beyond those shown
    kinds: Kinds
    layouts: Sequence[Layout]  # none for plain files
    gaps: Sequence[Gap]
    gaps_in_all: int
    complete_through: datetime | None
    audited: Audited | None
    health_lag: timedelta
    silent_after: timedelta
