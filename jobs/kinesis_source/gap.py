"""What is lost for good: a stretch of a shard that was to be read and is no longer there.

With failOnDataLoss=true a gap is an error. With false it is handed on as a row of its own among the records, so that it
is delivered exactly once like every record: `data` is null (a record's never is), `subSequenceNumber` -1,
`partitionKey` the text that says what is lost, `sequenceNumber` where reading was to go on (or the first record found
behind the gap, or null), `approximateArrivalTimestamp` the arrival of that record, or else the server's time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kinesis_source.errors import DataLossError

SUB_SEQUENCE_NUMBER = -1

ADVICE = (
    "To go on without them set failOnDataLoss to false; to keep it from happening again lengthen the stream's "
    "retention or stop the query for shorter times."
)


@dataclass(frozen=True)
class Gap:
    """Records that are gone; `arrived` in Unix seconds."""

    shard_id: str
    sequence: str | None
    arrived: float
    what: str

    @classmethod
    def of(cls, stream: str, shard_id: str, sequence: str | None, arrived: float, what: str) -> Gap:
        """`what` is the end of a sentence: which records, and how that is known."""
        return cls(shard_id, sequence, arrived, f"DATA LOSS in shard {shard_id} of stream {stream}: {what}")

    def error(self) -> DataLossError:
        return DataLossError(f"{self.what}. {ADVICE}")

    def to_json(self) -> dict[str, Any]:
        return {"shard": self.shard_id, "sequence": self.sequence, "arrived": self.arrived, "what": self.what}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Gap:
        return cls(document["shard"], document["sequence"], float(document["arrived"]), document["what"])
