"""What an audit has found, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from event_lake.errors import AccountingError, DataLossError

# What is counted, in the order in which it is told. Each record of the range is in one of the second to the fourth, or
# is wrong.
NUMBERS = (
    "received",  # records in the stream
    "stored",  # in the events table
    "duplicates",  # copies of stored events; listed, or found here where the engine only counts them
    "quarantined",
    "missing",  # records without their row
    "extra",  # rows without a record, and a record's second row
    "misplaced",  # records in the wrong table
    "altered",  # records whose row says something else
    "stored_twice",  # of `stored`: events that are stored although an earlier copy is
    "missing_in_gaps",  # of `missing`: in a gap that the gaps table tells of
    "gaps",  # that the gaps table tells of, and that reach into the range
)


@dataclass(frozen=True)
class Report:
    """Of one range of the stream; times are ISO 8601."""

    stream: str
    start: str
    end: str | None  # null: up to the table's own end, which does not say a time
    complete_through: str | None
    versions: Mapping[str, int | None]  # of each Delta table, as it was read
    numbers: Mapping[str, int]  # by NUMBERS
    copies: Mapping[str, Any]  # see copies.summary
    findings: Sequence[Mapping[str, Any]]  # the first of them, see findings.COLUMNS
    findings_path: str | None  # where all of them are, as JSON lines
    repaired: Mapping[str, int] | None = None  # see repair.Repaired; then the numbers are those after it

    @property
    def exit_code(self) -> int:
        """0 where all is right; else as `errors` has it: records are lost, or the accounts do not add up."""
        if self.numbers["missing"]:
            return DataLossError.exit_code
        wrong = any(self.numbers[name] for name in ("extra", "misplaced", "altered", "stored_twice"))
        return AccountingError.exit_code if wrong else 0

    def __str__(self) -> str:
        return " ".join(f"{name}={self.numbers[name]}" for name in NUMBERS)

    def to_json(self, seconds: float) -> str:
        """One object; the numbers stand at its top."""
        document = {**self.numbers, **asdict(self), "exit_code": self.exit_code, "seconds": seconds}
        del document["numbers"]
        return json.dumps(document, indent=1, default=str) + "\n"
