"""Where reading stands in a shard, and in a whole stream.

A position is one of

``trim_horizon``   before the oldest record that the shard holds
``time:T``         before the first record that arrived at T (ISO 8601, UTC) or later
``at:SEQ``         before the record with this sequence number
``after:SEQ``      behind the record with this sequence number
``end``            behind the last record of a closed shard: nothing will ever follow

The first two only ever start a shard. Every position that ends a micro-batch of a shard with records names a
sequence number (or ``end``), so a replay reads the same records whatever the time stamps say. Sequence numbers
compare as integers: AWS documents them as increasing within a shard, not as strings of one length.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from kinesis_source.errors import OptionError
from kinesis_source.gap import Gap


@dataclass(frozen=True)
class Position:
    """One place in one shard; ``str()`` gives the text that stands in Spark's offset log."""

    kind: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else self.kind

    @classmethod
    def parse(cls, text: str) -> Position:
        kind, _, value = text.partition(":")
        if kind in ("trim_horizon", "end") and not value:
            return cls(kind)
        if kind in ("at", "after") and value.isascii() and value.isdigit():
            return cls(kind, value)
        if kind == "time":
            parse_time(value)
            return cls(kind, value)
        raise OptionError(
            f"{text!r} is not a position; expected trim_horizon, end, time:ISO-8601, at:SEQUENCE or after:SEQUENCE"
        )

    @property
    def sequence(self) -> int | None:
        """The sequence number that an ``at`` or ``after`` position names."""
        return int(self.value) if self.kind in ("at", "after") else None

    def is_past(self, sequence: int) -> bool:
        """Whether a reader that stands here has the record `sequence` behind it; False where only reading can tell."""
        if self.kind == "end":
            return True
        own = self.sequence
        return own is not None and (sequence < own or (self.kind == "after" and sequence == own))

    def covers(self, goal: Position) -> bool:
        """Whether a reader that stands here has reached `goal`. A goal at the trim horizon is an empty shard's: it is
        reached, but where the next record was known (``at``) and so must be gone."""
        if self == goal or self.kind == "end" or goal == TRIM_HORIZON:
            return goal != TRIM_HORIZON or self.kind != "at"
        own, aim = self.sequence, goal.sequence
        if own is None or aim is None:
            return False
        return own > aim or (own == aim and self.kind == "after")


TRIM_HORIZON = Position("trim_horizon")
END = Position("end")

NEVER = float("-inf")  # where it is not known until when nothing was left behind


def at(sequence: str) -> Position:
    """Before the record `sequence`."""
    return Position("at", sequence)


def after(sequence: str) -> Position:
    """Behind the record `sequence`."""
    return Position("after", sequence)


def at_time(seconds: float) -> Position:
    """Before the first record that arrived at `seconds` (Unix time) or later."""
    return Position("time", format_time(seconds))


def format_time(seconds: float) -> str:
    """Unix seconds as ISO 8601 in UTC with milliseconds, the precision that Kinesis keeps."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def parse_time(text: str) -> float:
    """ISO 8601 as Unix seconds; a time without an offset is UTC. Raises OptionError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise OptionError(f"{text!r} is not an ISO 8601 time such as 2026-01-31T12:00:00Z") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True)
class StreamOffset:
    """Positions of all shards that a query knows of; what Spark's offset log holds after each micro-batch.

    `first` is carried by the offsets up to the first record read, and by the first offset of all: the positions where
    the query's first micro-batch began, which Spark itself does not log; `first_clear` is what was `clear` there, where
    that was another query's end. `created` is when the stream was made: another one of the same name has
    another. `gaps` are the losses found in planning, of this micro-batch only.

    The others change only together with a position, or a query would never be idle: `through`, the arrival time before
    which every record is read (as far as arrival times are in order); `clear`, the same for single shards, where the
    position itself cannot prove that nothing is missing behind it (all but `at`); `lag`, how long the next record of a
    shard had been waiting, in seconds, when the micro-batch was planned. Times are ISO 8601.

    `kept_since` is of a pinned end (`tip`) with empty shards: what arrived before then, retention had passed.
    """

    stream: str
    shards: Mapping[str, Position]
    through: str | None = None
    first: Mapping[str, Position] | None = field(default=None)
    created: str | None = None
    clear: Mapping[str, str] = field(default_factory=dict)
    lag: Mapping[str, float] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    kept_since: str | None = None
    first_clear: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"version": 1, "stream": self.stream, "shards": _texts(self.shards)}
        optional = {
            "through": self.through,
            "created": self.created,
            "clear": dict(sorted(self.clear.items())) or None,
            "lag": dict(sorted(self.lag.items())) or None,
            "gaps": [gap.to_json() for gap in self.gaps] or None,
            "first": None if self.first is None else _texts(self.first),
            "first_clear": dict(sorted(self.first_clear.items())) or None,
            "kept_since": self.kept_since,
        }
        return document | {name: value for name, value in optional.items() if value is not None}

    def covers(self, goal: StreamOffset) -> bool:
        """Whether everything up to `goal` has been read; a drained shard has left the offset, its children are in."""
        return all(
            goal.is_reached(shard, self.shards[shard], self.clear_of(shard)) if shard in self.shards else aim == END
            for shard, aim in goal.shards.items()
        )

    def is_reached(self, shard: str, position: Position, clear: float) -> bool:
        """Whether a reader that stands at `position`, and is `clear` of a time, has nothing to do up to here. An empty
        shard may be empty because retention has passed what came behind the reader: that is to be looked into."""
        if self.shards[shard] != TRIM_HORIZON or position == END or self.kept_since is None:
            return position.covers(self.shards[shard])
        return position.covers(TRIM_HORIZON) and clear >= parse_time(self.kept_since)

    def clear_of(self, shard: str) -> float:
        """Until when (Unix seconds) it is known of one shard, or else of all alike, that nothing was left behind."""
        moments = (self.clear.get(shard), self.through)
        return max((parse_time(moment) for moment in moments if moment), default=NEVER)

    def as_start(self) -> StreamOffset:
        """The same place as a first start: of a query that goes on where another one has ended."""
        clear = {shard: self.clear_of(shard) for shard in self.shards}
        known = {shard: format_time(moment) for shard, moment in clear.items() if moment > NEVER}
        return replace(self, first=self.shards, first_clear=known, lag={}, gaps=(), kept_since=None)

    def begun(self) -> StreamOffset:
        """Where the query's first micro-batch began, of which this is the end."""
        return StreamOffset(self.stream, self.first or {}, clear=self.first_clear)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> StreamOffset:
        if document.get("version") != 1 or not isinstance(document.get("shards"), Mapping):
            raise OptionError(
                f"this is not an offset that this version of kinesis-exact reads: {json.dumps(document)}. Run the "
                "version that wrote it, or start with a new checkpoint at a time"
            )
        first = document.get("first")
        return cls(
            stream=str(document.get("stream")),
            shards=_positions(document["shards"]),
            through=document.get("through"),
            first=None if first is None else _positions(first),
            created=document.get("created"),
            clear=dict(document.get("clear") or {}),
            lag=dict(document.get("lag") or {}),
            gaps=tuple(Gap.from_json(gap) for gap in document.get("gaps") or ()),
            kept_since=document.get("kept_since"),
            first_clear=dict(document.get("first_clear") or {}),
        )


# What initialOffset() answers: the real start stands in the `first` of the end offset that Spark logs for batch 0.
FIRST: dict[str, Any] = {"version": 1, "start": "first"}


def _texts(shards: Mapping[str, Position]) -> dict[str, str]:
    return {shard: str(shards[shard]) for shard in sorted(shards)}


def _positions(texts: Mapping[str, str]) -> dict[str, Position]:
    return {shard: Position.parse(text) for shard, text in texts.items()}
