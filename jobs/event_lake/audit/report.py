"""What an audit has found, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from event_lake.audit import accounts as books
from event_lake.errors import AccountingError, DataLossError

# What is counted, in the order in which it is told. Each record of the range is in one of the second to the fifth, or
# is wrong.
NUMBERS = (
    "received",  # records in the stream
    "stored",  # in the events table
    "duplicates",  # copies of stored events; listed, or found here where the engine only counts them
    "quarantined",
    "deleted",  # records whose rows were deleted on purpose, by the deletions table
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
        return AccountingError.exit_code if is_wrong(self.numbers) else 0

    def __str__(self) -> str:
        return " ".join(f"{name}={self.numbers[name]}" for name in NUMBERS)

    def to_json(self, seconds: float) -> str:
        """One object; the numbers stand at its top."""
        document = {**self.numbers, **asdict(self), "exit_code": self.exit_code, "seconds": seconds}
        del document["numbers"]
        return json.dumps(document, indent=1, default=str) + "\n"


def count(settled: DataFrame, judged_copies: DataFrame, stored_twice: DataFrame) -> dict[str, int]:
    """The first ten of NUMBERS: of settled accounts, and of what `copies` makes of the others."""
    rows = sum((F.col(name) for name in books.TABLES), F.lit(0))
    became, too_many = Counter[str](), Counter[str]()
    received = 0
    for frame in (settled, judged_copies):
        counted = frame.groupBy("became").agg(
            F.count(F.lit(1)).alias("all"),
            F.count("is_good").alias("records"),
            F.sum(rows - F.col("is_good").isNotNull().cast("int")).alias("too_many"),
        )
        for row in counted.collect():
            became[row["became"]] += row["all"]
            too_many[row["became"]] += row["too_many"]
            received += row["records"]
    return {
        "received": received,
        "stored": became[books.STORED],
        "duplicates": became[books.DUPLICATE] + became[books.COUNTED],
        "quarantined": became[books.QUARANTINED],
        "deleted": became[books.DELETED],
        "missing": became[books.MISSING],
        "extra": too_many[books.EXTRA],
        "misplaced": became[books.MISPLACED],
        "altered": became[books.ALTERED],
        "stored_twice": stored_twice.count(),
    }


def is_wrong(numbers: Mapping[str, int]) -> bool:
    return any(numbers[name] for name in ("missing", "extra", "misplaced", "altered", "stored_twice"))
