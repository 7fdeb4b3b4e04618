"""What names a micro-batch wherever it leaves a trace."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any


def source_offset(text: str) -> dict[str, Any]:
    """What an end offset says; nothing where the source's offset is no JSON object."""
    offset = json.loads(text)
    return offset if isinstance(offset, dict) else {}


@dataclass(frozen=True)
class BatchMark:
    """The query, the micro-batch's number, and where it ends in the source."""

    query_id: str
    batch_id: int
    end_offset: str
    complete_through: str | None  # ISO 8601: everything that arrived before it is in; null where the source cannot tell

    @property
    def offset_hash(self) -> str:
        return hashlib.sha256(self.end_offset.encode()).hexdigest()

    @property
    def is_of_shards(self) -> bool:
        """Whether the source is one that says, with `complete_through`, how far it has been read."""
        return "shards" in source_offset(self.end_offset)

    @property
    def lag_seconds(self) -> float:
        """How long the next record of the slowest shard had been waiting when this was planned; 0 at the tip, and where
        the source does not tell."""
        lag = source_offset(self.end_offset).get("lag")
        return max(lag.values()) if lag else 0.0

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "offset_hash": self.offset_hash}, sort_keys=True)
