"""What is remembered after each micro-batch: which segments, and how far arrival time has come."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, groupby
from typing import Any

from event_lake.deduplicate.segment import Segment
from event_lake.errors import DataLossError

SEEDED = -1  # the number of the manifest before the first micro-batch, where the index was made from a table
KEY_BYTES = 32  # see segment
MERGED_AT_ONCE = 8
MOST_MERGED_ROWS = 4_000_000  # 128 MB; what is larger is left as it is

# `N.json`, or `N.1.json` and so on: behind micro-batch N more has been learnt than it brought, and the highest counts.
FILE = re.compile(r"(-?[0-9]+)(?:\.([0-9]+))?\.json")


def numbered(name: str) -> tuple[int, int] | None:
    """The micro-batch of a manifest's file, and the number of its version; None for other files."""
    found = FILE.fullmatch(name)
    return (int(found[1]), int(found[2] or 0)) if found else None


@dataclass(frozen=True)
class IndexSize:
    """How much is remembered."""

    keys: int
    bytes: int  # on disk
    segments: int


@dataclass(frozen=True)
class Manifest:
    """What is remembered after a micro-batch."""

    batch_id: int
    query_id: str
    offset_hash: str
    watermark: int  # Unix microseconds; 0 before there is one
    segments: tuple[Segment, ...]

    def size(self) -> IndexSize:
        keys = sum(segment.rows for segment in self.segments)
        return IndexSize(keys, keys * KEY_BYTES, len(self.segments))

    def to_json(self) -> str:
        return json.dumps({"version": 1, **asdict(self)}, indent=0)

    @classmethod
    def from_json(cls, text: str, path: str = "the manifest") -> Manifest:
        """Raises DataLossError where another version wrote it; the message names `path`."""
        document = json.loads(text)
        version = document.pop("version", None)
        if version != 1:
            raise DataLossError(
                f"{path} was written by another version of event-lake (its form is version {version}, this one reads "
                "1): what has been seen is not known, and copies would be stored again. Nothing was written. Run a "
                "version that reads it, or recover from the tables into a new checkpoint path (docs/operations.md)."
            )
        segments = tuple(Segment(**segment) for segment in document.pop("segments"))
        return cls(segments=segments, **document)


def mergeable(segments: Sequence[Segment], watermark: int) -> list[Sequence[Segment]]:
    """Groups of segments to be made one: as many of a size as are merged at once, or what is left of a past block."""
    groups: list[Sequence[Segment]] = []
    for (*_, until), block in _grouped(segments, lambda s: (s.low, s.high, s.until)):
        small = [segment for segment in block if segment.rows < MOST_MERGED_ROWS]
        if until <= watermark:
            groups.append(small)
        else:
            groups += [level for _, level in _grouped(small, lambda s: s.level) if len(level) >= MERGED_AT_ONCE]
    return [fitting for group in groups if len(fitting := _fitting(group)) > 1]


def _fitting(group: Sequence[Segment]) -> Sequence[Segment]:
    """The smallest of them, as many as become no larger than a merged segment may be."""
    ordered = sorted(group, key=lambda segment: segment.rows)
    return [s for s, rows in zip(ordered, accumulate(s.rows for s in ordered), strict=True) if rows <= MOST_MERGED_ROWS]


def _grouped(segments: Sequence[Segment], by: Callable[[Segment], Any]) -> list[tuple[Any, list[Segment]]]:
    return [(key, list(group)) for key, group in groupby(sorted(segments, key=by), key=by)]
