"""What names a micro-batch wherever it leaves a trace."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from event_lake.errors import DataLossError


def source_offset(text: str) -> dict[str, Any]:
    """What an end offset says; nothing where the source's offset is no JSON object."""
    offset = json.loads(text)
    return offset if isinstance(offset, dict) else {}


@dataclass(frozen=True)
class LastBatch:
    """How far a query has come in a table."""

    batch_id: int  # -1: none
    offset_hash: str | None  # None where the commit that said it is no longer kept
    retired: bool = False  # another checkpoint has been made from the tables; this query may write no more


@dataclass(frozen=True)
class BatchMark:
    """The query, the micro-batch's number, and where it ends in the source."""

    query_id: str
    batch_id: int
    end_offset: str
    complete_through: str | None  # ISO 8601: everything that arrived before it is in; null where the source cannot tell
    stored_at: str | None = None  # ISO 8601: the same of all its rows, and of no others

    @property
    def offset_hash(self) -> str:
        return hashlib.sha256(self.end_offset.encode()).hexdigest()

    @property
    def is_of_shards(self) -> bool:
        """Whether the source is one that says, with `complete_through`, how far it has been read."""
        return "shards" in source_offset(self.end_offset)

    @property
    def lag_seconds(self) -> float | None:
        """How long the next record of the slowest shard had been waiting when this was planned, 0 at the tip; None
        where the source does not tell."""
        return max(self.lag.values(), default=0.0) if self.is_of_shards else None

    @property
    def lag(self) -> dict[str, float]:
        """The same of each shard that is not at its tip."""
        return source_offset(self.end_offset).get("lag") or {}

    @property
    def shards(self) -> int | None:
        """How many shards the source has in its end offset; None of a source without shards."""
        shards = source_offset(self.end_offset).get("shards")
        return None if shards is None else len(shards)

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "offset_hash": self.offset_hash}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> BatchMark | None:
        """A mark of ours; None for what maintenance or other writers leave in a commit."""
        try:
            mark: Any = json.loads(text)
        except ValueError:
            return None
        if not isinstance(mark, dict) or "offset_hash" not in mark:
            return None
        return cls(**{field.name: mark[field.name] for field in fields(cls) if field.name in mark})


def older_than_table(path: str, mark: BatchMark) -> DataLossError:
    """What to raise where a table holds a later micro-batch than the checkpoint is about to write, or another one."""
    return DataLossError(
        f"the table {path} already holds micro-batch {mark.batch_id} of this query with other records, or later ones, "
        "or has been recovered into another checkpoint: the checkpoint is older than the table, as after restoring it "
        "from a copy. Its records would be taken for written, so nothing was written. Restore the newest checkpoint, "
        "or recover from the tables into a new one (docs/operations.md)."
    )
