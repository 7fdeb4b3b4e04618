"""Which shards a stream has and which follow which: children begin after their parents have ended.

A drained parent stays in the offset as `end` until all its children have been in an offset that was a start. So every
listed shard has itself, an ancestor or a descendant in the offset; one that has not is a sign of loss (see `loss`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from kinesis_source.client import KinesisClient
from kinesis_source.position import END, TRIM_HORIZON, Position, format_time
from kinesis_source.shards import Shard, children_of, has_ancestor_in, list_shards

# How soon a listing without the children of an ended shard is asked for again.
LIST_AGAIN_SECONDS = 5.0

Positions = Mapping[str, Position]


@dataclass(frozen=True)
class StreamFacts:
    """What DescribeStreamSummary says: when the stream was made (ISO 8601), and how long it keeps records."""

    created: str
    retention_seconds: float


def describe(client: KinesisClient) -> StreamFacts:
    summary = client.call("DescribeStreamSummary", dict(client.stream_field))["StreamDescriptionSummary"]
    return StreamFacts(
        format_time(float(summary["StreamCreationTimestamp"])), float(summary["RetentionPeriodHours"]) * 3600
    )


class Lineage:
    """The stream's shards as last listed. A listing costs a call for every 1,000 shards, so it is kept: it is asked
    for again when a shard has ended whose children are not in it."""

    def __init__(self, client: KinesisClient) -> None:
        self._client = client
        self._listed_at = float("-inf")
        self.shards: dict[str, Shard] = {}

    def relist(self) -> None:
        self.shards = list_shards(self._client)
        self._listed_at = time.monotonic()

    def follow(self, reached: Positions, ends: Positions) -> tuple[dict[str, Position], list[str]]:
        """`ends` with the children that may begin and without the parents that are done; and the children."""
        ended = [shard for shard, position in ends.items() if position == END]
        if not ended:
            return dict(ends), []
        self._know_children(ended, reached)
        followed, begun = dict(ends), list[str]()
        for shard in ended:
            children = children_of(shard, self.shards.values())
            for child in children:
                if child.shard_id not in followed and self.may_begin(child, followed):
                    followed[child.shard_id] = TRIM_HORIZON
                    begun.append(child.shard_id)
            if reached.get(shard) == END and self._is_done(shard, children, reached, followed):
                del followed[shard]
        return followed, begun

    def may_begin(self, shard: Shard, ends: Positions) -> bool:
        return all(self._has_ended(parent, ends) for parent in shard.parents)

    def childless(self, ends: Positions) -> list[str]:
        """Ended shards whose children are not known yet: what has arrived in those cannot be told."""
        known = {parent for shard in self.shards.values() for parent in shard.parents}
        return [shard for shard, position in ends.items() if position == END and shard not in known]

    def orphans(self, ends: Positions) -> list[Shard]:
        """Listed shards with nothing in `ends` that they are, come from or lead to; only the first of each line."""
        accounted, waiting = set[str](), list(ends)
        while waiting:
            shard = waiting.pop()
            if shard not in accounted:
                accounted.add(shard)
                waiting += self.shards[shard].parents if shard in self.shards else ()
        found = {
            shard.shard_id: shard
            for shard in self.shards.values()
            if shard.shard_id not in accounted and not has_ancestor_in(shard, ends, self.shards)
        }
        return [shard for shard in found.values() if not any(parent in found for parent in shard.parents)]

    def roots(self) -> list[Shard]:
        return [shard for shard in self.shards.values() if not any(parent in self.shards for parent in shard.parents)]

    def _know_children(self, ended: list[str], reached: Positions) -> None:
        known = {parent for shard in self.shards.values() for parent in shard.parents}
        missing = [shard for shard in ended if shard not in known]
        waited = time.monotonic() - self._listed_at > LIST_AGAIN_SECONDS
        if any(waited or reached.get(shard) != END for shard in missing):
            self.relist()

    def _is_done(self, shard: str, children: list[Shard], reached: Positions, ends: Positions) -> bool:
        if children:
            return all(child.shard_id in reached for child in children)
        return shard not in self.shards and len(ends) > 1  # it has expired, and its children too

    def _has_ended(self, shard_id: str, ends: Positions) -> bool:
        """Whether a shard is read to its end. One that is not in the offset has left it, or has yet to begin: then an
        ancestor of it is still there."""
        if shard_id in ends:
            return ends[shard_id] == END
        return shard_id not in self.shards or not has_ancestor_in(self.shards[shard_id], ends, self.shards)
