"""Where the next micro-batch ends, in every shard: the driver's half of reading.

A micro-batch is a slice of arrival time across all shards, so that catching up never runs one shard hours ahead of
another. The planner chooses the slice's end T (`slices`) and has each shard's end found (`shard_plan`): before its
first record at T or later, or behind its last one. Time only chooses; what is written down are sequence numbers, so
exactness never rests on time stamps. `loss` looks whether what was to be read is still there, `lineage` lets children
begin after their parents have ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from kinesis_source import first_start
from kinesis_source.client import KinesisClient
from kinesis_source.errors import StreamError
from kinesis_source.gap import Gap
from kinesis_source.lineage import Lineage
from kinesis_source.loss import SUSPICIOUS, LossWatch
from kinesis_source.options import Options
from kinesis_source.position import END, Position, StreamOffset, at_time, format_time, parse_time
from kinesis_source.shard_plan import STALE_SECONDS, ShardPlan, ShardPlanner, ShardView
from kinesis_source.shards import ShardCursor
from kinesis_source.slices import Limits

log = logging.getLogger(__name__)

PLANNING_THREADS = 16

T = TypeVar("T")


class Planner:
    """Plans slices one after the other for one query. Lives in the driver; calls AWS, moves no records."""

    def __init__(self, client: KinesisClient, options: Options) -> None:
        self._client = client
        self._options = options
        self._lineage = Lineage(client)
        self._watch = LossWatch(client, options, self._lineage)
        self._shards = ShardPlanner(client, options)
        self._views: dict[str, ShardView] = {}
        self._clear: dict[str, float] = {}  # see StreamOffset.clear; here never older than a trigger
        self._begun: StreamOffset | None = None  # a start that no offset log knows of
        self.lag: dict[str, float] = {}  # seconds that the next record of a shard has been waiting; 0 at the tip

    def start(self) -> StreamOffset:
        """The positions of a query's very first start."""
        facts = self._watch.look()
        if not self._lineage.shards:
            raise StreamError(
                "NoShards", f"stream {self._options.stream} has no shards yet; is it still being created?"
            )
        clear: dict[str, str] = {}
        if self._options.starting_position == "trim_horizon":
            first = first_start.at_trim_horizon(self._lineage)
        else:
            start = self._starting_time()
            first = first_start.at_time(self._lineage, start, lambda shard: self._is_over(shard, start))
            if parse_time(start.value) > self._client.clock.now() - facts.retention_seconds:
                clear = dict.fromkeys(first, start.value)
        self._begun = StreamOffset(self._options.stream_name, first, first=first, created=facts.created, clear=clear)
        return self._begun

    def next(self, reached: StreamOffset, limits: Limits | None = None) -> StreamOffset:
        """The end of the slice that begins at `reached`; `reached` itself where nothing new can be read.

        Raises DataLossError where something of it is gone, unless that is allowed: then the end has gaps.
        """
        self._recall(reached)
        try:
            lost = self._watch.inspect(reached, self._clear)
            return lost or self._next(reached, limits or self._options.limits)
        except StreamError as error:
            self._views.clear()
            lost = self._watch.diagnose(reached, self._clear, error) if error.code in SUSPICIOUS else None
            if lost is None:
                raise
            return lost

    def replay(self, begun: StreamOffset, reached: StreamOffset, shards: list[str]) -> tuple[tuple[Gap, ...], bool]:
        """What may be gone of a micro-batch that was planned before a stop, and whether the stream is still the same
        one, so that what is left can be read. Raises DataLossError unless loss is allowed."""
        made_again = self._watch.inspect_replay(begun, reached, shards)
        if made_again:
            return made_again, False
        self._recall(begun)
        suspects = self._watch.suspects({shard: begun.shards[shard] for shard in shards}, self._clear)
        gaps = [
            self._watch.expired(s, begun.shards[s], self._clear[s], ShardView(begun.shards[s]))[0] for s in suspects
        ]
        return self._watch.allow(gaps), True

    def _next(self, reached: StreamOffset, limits: Limits) -> StreamOffset:
        goal = self._options.ending_position
        active = {shard: position for shard, position in reached.shards.items() if position != END}
        if goal is not None:
            active = {s: p for s, p in active.items() if s in goal.shards and not p.covers(goal.shards[s])}
        if not active:
            return self._offset(reached, dict(reached.shards), None)
        suspects = self._watch.suspects(active, self._clear)
        self._look_ahead(active, suspects, limits)
        if lost := self._expired(reached, suspects):
            return lost
        views = {shard: self._views[shard] for shard in active}
        waiting = [(view.next.arrival, view.rate) for view in views.values() if view.next is not None]
        span = limits.slice(waiting, len(active), self._client.clock.now() - self._options.hold_back_seconds)
        if goal is not None and span.at_now and not limits.by_volume:
            # The goal was the tip a while ago; nothing has to be asked to end there.
            known = parse_time(goal.through) if goal.through else None
            plans = {shard: ShardPlan(goal.shards[shard], ShardView(goal.shards[shard]), known) for shard in active}
        else:
            plans = self._each(active, lambda s: self._shards.plan(s, active[s], views[s], span))
        gaps = [plan.gap for plan in plans.values() if plan.gap is not None]
        self._take(plans)
        return self._offset(reached, {**reached.shards, **{s: p.end for s, p in plans.items()}}, span.end, gaps)

    def _recall(self, reached: StreamOffset) -> None:
        for shard in reached.shards:
            known = max(_written(reached, shard), self._clear.get(shard, float("-inf")))
            if known > float("-inf"):
                self._clear[shard] = known

    def _look_ahead(self, active: Mapping[str, Position], suspects: Iterable[str], limits: Limits) -> None:
        again = set(suspects)
        for shard, position in active.items():
            view = self._views.get(shard)
            if view is None or view.about != position or shard in again:
                self._views[shard] = ShardView(position)
        unknown = [shard for shard in active if not self._views[shard].known and not self._views[shard].stuck]
        looks = self._each(unknown, lambda s: self._shards.look_ahead(s, active[s], limits.by_volume))
        self._views |= looks
        for shard, view in looks.items():
            if view.tip_at is not None and view.cursor is not None:  # open, and nothing there
                self._clear[shard] = max(view.tip_at, self._clear.get(shard, view.tip_at))

    def _take(self, plans: Mapping[str, ShardPlan]) -> None:
        for shard, plan in plans.items():
            self._views[shard] = plan.view
            if plan.clear is not None:
                self._clear[shard] = max(plan.clear, self._clear.get(shard, plan.clear))

    def _each(self, shards: Iterable[str], work: Callable[[str], T]) -> dict[str, T]:
        wanted = list(shards)
        if not wanted:
            return {}
        with ThreadPoolExecutor(min(PLANNING_THREADS, len(wanted))) as pool:
            return dict(zip(wanted, pool.map(work, wanted), strict=True))

    def _expired(self, reached: StreamOffset, suspects: Iterable[str]) -> StreamOffset | None:
        gaps, ends, clear = list[Gap](), dict(reached.shards), dict(reached.clear)
        for shard in suspects:
            view = self._views[shard]
            if view.known:
                before = parse_time(clear[shard]) if shard in clear else self._clear[shard]
                gap, ends[shard] = self._watch.expired(shard, reached.shards[shard], before, view)
                clear[shard] = format_time(view.tip_at or self._client.clock.now())
                gaps.append(gap)
        if not gaps:
            return None
        return replace(reached, shards=ends, clear=clear, first=None, lag={}, gaps=self._watch.allow(gaps))

    # The offset

    def _offset(
        self, reached: StreamOffset, planned: dict[str, Position], slice_end: float | None, gaps: Iterable[Gap] = ()
    ) -> StreamOffset:
        ends, begun = self._lineage.follow(reached.shards, planned)
        for child in begun:
            known = [self._clear.get(parent) for parent in self._lineage.shards[child].parents if parent in ends]
            if known and None not in known:
                self._clear[child] = min(moment for moment in known if moment is not None)
        self.lag = self._lag_of(ends)
        allowed = self._watch.allow(gaps)
        fresh = reached is self._begun
        if ends == dict(reached.shards) and not (allowed or fresh or self._is_stale(reached)):
            return reached
        self._begun = None
        facts = self._watch.facts
        through = None if begun or slice_end is None else self._through(ends, slice_end)
        clear = {s: format_time(self._clear[s]) for s, p in ends.items() if p.kind != "at" and s in self._clear}
        offset = StreamOffset(
            reached.stream,
            ends,
            max(filter(None, (reached.through, through)), key=parse_time, default=None),
            first=reached.first if all(p.sequence is None for p in reached.shards.values()) else None,
            created=reached.created or (facts.created if facts else None),
            clear=clear,
            lag={shard: seconds for shard, seconds in self.lag.items() if seconds},
            gaps=allowed,
        )
        log.info("planned stream=%s %s", reached.stream, self.describe_lag(offset))
        return offset

    def _through(self, ends: Mapping[str, Position], slice_end: float) -> str | None:
        """The arrival time before which everything lies before `ends`: what every shard is clear of. Children that
        are not in yet hold nothing that arrived before their parent's end; of unknown children only that is known."""
        goal = self._options.ending_position
        known = [slice_end]
        if goal is not None and goal.through is not None:
            known.append(parse_time(goal.through))
        for shard in [s for s, p in ends.items() if p != END] + self._lineage.childless(ends):
            reached_goal = goal is not None and shard in goal.shards and ends[shard].covers(goal.shards[shard])
            if not reached_goal:
                known.append(self._clear.get(shard, float("-inf")))
        return format_time(min(known)) if min(known) > float("-inf") else None

    def _is_stale(self, reached: StreamOffset) -> bool:
        """Whether the log knows too little of an idle shard: a stop would make it look like loss too soon."""
        idle = [s for s, p in reached.shards.items() if p.kind in ("after", "time", "trim_horizon")]
        return any(self._clear[s] - _written(reached, s) > STALE_SECONDS for s in idle if s in self._clear)

    def _lag_of(self, ends: Mapping[str, Position]) -> dict[str, float]:
        now, lag = self._client.clock.now(), dict[str, float]()
        for shard, position in ends.items():
            view = self._views.get(shard)
            if view is None or view.about != position or position == END:
                continue
            if view.next is not None:
                lag[shard] = round(max(0.0, now - view.next.arrival), 3)
            elif view.tip_at is not None:
                lag[shard] = 0.0
            elif shard in self._clear:
                lag[shard] = round(max(0.0, now - self._clear[shard]), 3)
        return lag

    def describe_lag(self, offset: StreamOffset) -> str:
        slowest = max(self.lag, key=lambda shard: self.lag[shard], default=None)
        behind = sum(1 for seconds in self.lag.values() if seconds)
        return (
            f"shards={len(offset.shards)} behind={behind} lag_seconds={self.lag[slowest] if slowest else 0:g} "
            f"slowest={slowest or '-'} through={offset.through or '-'}"
        )

    # The first start

    def _starting_time(self) -> Position:
        if self._options.starting_position != "latest":
            return Position("time", self._options.starting_position)
        return at_time(self._client.clock.now())

    def _is_over(self, shard: str, start: Position) -> bool:
        return self._shards.first_page(ShardCursor(self._client, shard, start)).at_end


def _written(offset: StreamOffset, shard: str) -> float:
    """What an offset says of one shard, or else of all alike: everything that arrived before lies before it."""
    moments = (offset.clear.get(shard), offset.through)
    return max((parse_time(moment) for moment in moments if moment), default=float("-inf"))
