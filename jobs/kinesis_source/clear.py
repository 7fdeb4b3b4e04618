"""Until when it is known that nothing was left behind: for each shard, and for the stream as a whole.

A shard is clear of a time (Unix seconds) where everything that arrived in it before then lies before its position, as
far as arrival times are in order. Such a fact stays true while the position moves on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kinesis_source.lineage import Lineage
from kinesis_source.position import END, NEVER, Position, StreamOffset, format_time, parse_time
from kinesis_source.shard_plan import STALE_SECONDS, ShardPlan, ShardView


class ClearTimes:
    """What a planner knows: what the offset log says, and what it has seen since. Never older than a trigger."""

    def __init__(self) -> None:
        self.shards: dict[str, float] = {}

    def recall(self, reached: StreamOffset) -> None:
        for shard in reached.shards:
            self._know(shard, reached.clear_of(shard))

    def looked(self, views: Mapping[str, ShardView]) -> None:
        """The first record behind a position, or an empty answer at the tip of an open shard."""
        for shard, view in views.items():
            if view.next is not None:
                self._know(shard, view.next.arrival)
            elif view.tip_at is not None and view.cursor is not None:
                self._know(shard, view.tip_at)

    def planned(self, plans: Mapping[str, ShardPlan]) -> None:
        for shard, plan in plans.items():
            self._know(shard, NEVER if plan.clear is None else plan.clear)

    def begun(self, children: Iterable[str], ends: Mapping[str, Position], lineage: Lineage) -> None:
        """A child holds nothing that arrived before its parents ended; at least what they are clear of."""
        for child in children:
            parents = [parent for parent in lineage.shards[child].parents if parent in ends]
            self._know(child, min((self.shards.get(parent, NEVER) for parent in parents), default=NEVER))

    def through(
        self, ends: Mapping[str, Position], lineage: Lineage, slice_end: float, goal: StreamOffset | None
    ) -> str | None:
        """The time (ISO 8601) that every shard is clear of. Children that are not in `ends` yet hold nothing that
        arrived before their parents' end; of children that nobody has listed yet only that is known."""
        known = [slice_end]
        if goal is not None and goal.through is not None:
            known.append(parse_time(goal.through))
        for shard in [s for s, p in ends.items() if p != END] + lineage.childless(ends):
            clear = self.shards.get(shard, NEVER)
            if goal is None or shard not in goal.shards or not goal.is_reached(shard, ends[shard], clear):
                known.append(clear)
        return format_time(min(known)) if min(known) > NEVER else None

    def is_news(self, reached: StreamOffset) -> bool:
        """Whether the log knows too little of an idle shard: a stop would make it look like loss too soon."""
        idle = [s for s, p in reached.shards.items() if p.kind in ("after", "time", "trim_horizon")]
        return any(self.shards[s] - reached.clear_of(s) > STALE_SECONDS for s in idle if s in self.shards)

    def to_json(self, ends: Mapping[str, Position]) -> dict[str, str]:
        """Of the shards whose position does not say it by itself."""
        return {s: format_time(self.shards[s]) for s, p in ends.items() if p.kind != "at" and s in self.shards}

    def _know(self, shard: str, moment: float) -> None:
        if moment > self.shards.get(shard, NEVER):
            self.shards[shard] = moment
