"""Fewer segments with the same keys: the part of merging that runs in Python workers."""

from __future__ import annotations

from dataclasses import dataclass

from event_lake.deduplicate.folder import Folder
from event_lake.deduplicate.segment import Segment, encode, merged, open_keys


@dataclass(frozen=True)
class Merger:
    """Makes one segment out of several that hold the same bucket and block."""

    folder: Folder
    parts: tuple[Segment, ...]
    name: str

    def merge(self) -> Segment:
        keys = merged([open_keys(str(self.folder.local(part.name))) for part in self.parts])
        self.folder.write(self.name, encode(keys))
        one = self.parts[0]
        level = max(part.level for part in self.parts) + 1
        return Segment(self.name, len(keys.hi), one.low, one.high, one.until, level)


def merge(merger: Merger) -> Segment:
    """For Spark to map over."""
    return merger.merge()
