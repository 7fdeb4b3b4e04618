"""What names a micro-batch wherever it leaves a trace."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass


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
        offset = json.loads(self.end_offset)
        return isinstance(offset, dict) and "shards" in offset

    @property
    def lag_seconds(self) -> float:
        """How long the next record of the slowest shard had been waiting when this was planned; 0 at the tip, and where
        the source does not tell."""
        offset = json.loads(self.end_offset)
        lag = offset.get("lag") if isinstance(offset, dict) else None
        return max(lag.values()) if lag else 0.0

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "offset_hash": self.offset_hash}, sort_keys=True)
