"""What a deletion has removed from where. Nothing of what was in the rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class TableReport:
    """Of one table; versions are those of Delta, null for plain formats."""

    table: str
    path: str
    matching: int  # rows with the value at the path; of duplicates also the copies of such events
    suspected: int  # rows that cannot be parsed and hold the path's last name and the value as words
    unreadable: int  # other rows that cannot be parsed: whether they are the person's nobody can tell
    removed: int = 0  # of these
    files_rewritten: int = 0
    files_deleted: int = 0  # that no version needs any more, with what was deleted or replaced before
    version_before: int | None = None
    version_after: int | None = None

    def __str__(self) -> str:
        told = f"table={self.table} matching={self.matching} suspected={self.suspected} unreadable={self.unreadable}"
        told += f" removed={self.removed} files_rewritten={self.files_rewritten} files_deleted={self.files_deleted}"
        return told if self.version_after is None else f"{told} version={self.version_before}->{self.version_after}"


@dataclass(frozen=True)
class Report:
    """Of one run."""

    deletion_id: str
    dry_run: bool
    began: str  # ISO 8601, as `ended`
    ended: str
    conditions: int
    tables: Sequence[TableReport]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"
