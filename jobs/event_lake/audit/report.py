"""What an audit has found, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from event_lake.errors import AccountingError, DataLossError

NUMBERS = (
    "received",
    "stored",
    "duplicates",
    "quarantined",
    "missing",
    "extra",
    "misplaced",
    "altered",
    "stored_twice",
)


@dataclass(frozen=True)
class Report:
    """Of the records of a range of the stream: each is in one of the first five numbers after `received`, or is wrong.
    Times are ISO 8601."""

    stream: str
    start: str
    end: str | None  # null: up to the table's own end, which does not say a time
    complete_through: str | None
    versions: Mapping[str, int | None]  # of each Delta table, as it was read
    received: int  # records in the stream
    stored: int  # in the events table
    duplicates: int  # copies of stored events; listed, or where the engine only counts found here
    quarantined: int
    missing: int  # records without their row
    extra: int  # rows without a record, and a record's second row
    misplaced: int  # records in the wrong table
    altered: int  # records whose row says something else
    stored_twice: int  # of `stored`: events that are stored although an earlier copy is
    copies: Mapping[str, Any] = field(default_factory=dict)  # see copies.summary
    findings: Sequence[Mapping[str, Any]] = ()  # the first of them, see findings.COLUMNS
    findings_path: str | None = None  # where all of them are, as JSON lines

    @property
    def exit_code(self) -> int:
        """0 where all is right; else as `errors` has it: records are lost, or the accounts do not add up."""
        if self.missing:
            return DataLossError.exit_code
        wrong = self.extra or self.misplaced or self.altered or self.stored_twice
        return AccountingError.exit_code if wrong else 0

    def __str__(self) -> str:
        return " ".join(f"{name}={getattr(self, name)}" for name in NUMBERS)

    def to_json(self, seconds: float) -> str:
        document = {**asdict(self), "exit_code": self.exit_code, "seconds": seconds}
        return json.dumps(document, indent=1, default=str) + "\n"
