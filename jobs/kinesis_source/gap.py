"""What is lost for good: a stretch of a shard that was to be read and is no longer there.

With failOnDataLoss=true a gap is an error. With false it is handed on as a row of its own among the records, so that it
is delivered exactly once like every record: `data` is null (a record's never is), `subSequenceNumber` -1,
`partitionKey` a JSON object that says what is lost (`Gap.said`), `sequenceNumber` where reading was to go on (or the
first record found behind the gap, or null), `approximateArrivalTimestamp` the arrival of the first record found behind
it, or else the server's time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kinesis_source.errors import DataLossError

SUB_SEQUENCE_NUMBER = -1

ADVICE = (
    "To go on without them set failOnDataLoss to false; to keep it from happening again lengthen the stream's "
    "retention or stop the query for shorter times."
)


@dataclass(frozen=True)
class Gap:
    """Records that are gone; times in Unix seconds. What is not known is None."""

    shard_id: str
    sequence: str | None
    arrived: float
    what: str
    begins: str | None = None  # the position (see `position`) that reading had reached
    ends: str | None = None  # sequence number of the first record found behind the gap
    since: float | None = None  # what arrived before then is not lost

    @classmethod
    def of(
        cls,
        stream: str,
        shard_id: str,
        sequence: str | None,
        arrived: float,
        what: str,
        *,
        begins: str | None = None,
        ends: str | None = None,
        since: float | None = None,
    ) -> Gap:
        """`what` is the end of a sentence: which records, and how that is known."""
        what = f"DATA LOSS in shard {shard_id} of stream {stream}: {what}"
        return cls(shard_id, sequence, arrived, what, begins, ends, since if since and since > 0 else None)

    def said(self) -> str:
        """JSON: `why` in words; `from` and `to`, positions between which records are lost; `since` (ISO 8601), before
        which none that arrived is. The last three may be null."""
        to = None if self.ends is None else f"at:{self.ends}"
        since = None if self.since is None else datetime.fromtimestamp(self.since, UTC).isoformat()
        return json.dumps({"why": self.what, "from": self.begins, "to": to, "since": since})

    def error(self) -> DataLossError:
        return DataLossError(f"{self.what}. {ADVICE}")

    def to_json(self) -> dict[str, Any]:
        known = {"begins": self.begins, "ends": self.ends, "since": self.since}
        always = {"shard": self.shard_id, "sequence": self.sequence, "arrived": self.arrived, "what": self.what}
        return {**always, **{name: value for name, value in known.items() if value is not None}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Gap:
        known = (document.get(name) for name in ("begins", "ends", "since"))
        return cls(document["shard"], document["sequence"], float(document["arrived"]), document["what"], *known)
