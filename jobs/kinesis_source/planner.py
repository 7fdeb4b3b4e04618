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
from kinesis_source.clear import ClearTimes
from kinesis_source.client import KinesisClient
from kinesis_source.errors import StreamError
from kinesis_source.gap import Gap
from kinesis_source.lag import describe, lag_of
from kinesis_source.lineage import Lineage
from kinesis_source.loss import SUSPICIOUS, LossWatch
from kinesis_source.options import Options
from kinesis_source.position import END, NEVER, TRIM_HORIZON, Position, StreamOffset, at_time, format_time, parse_time
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
        self._clear = ClearTimes()
        self._begun: StreamOffset | None = None  # a start that no offset log knows of
        self.lag: dict[str, float] = {}  # seconds that the next record of a shard has been waiting; 0 at the tip

    @property
    def retention_seconds(self) -> float | None:
        return self._watch.facts.retention_seconds if self._watch.facts else None

    def start(self) -> StreamOffset:
        """The positions of a query's very first start."""
        given = self._options.starting_position
        if isinstance(given, StreamOffset):
            # The stream is looked at, and compared with what is given, before the first micro-batch is planned.
            self._begun = given.as_start()
            return self._begun
        facts = self._watch.look()
        if not self._lineage.shards:
            raise StreamError(
                "NoShards", f"stream {self._options.stream} has no shards yet; is it still being created?"
            )
        clear: dict[str, str] = {}
        if given == "trim_horizon":
            first = first_start.at_trim_horizon(self._lineage)
        else:
            start = self._time_of(given)
            first = first_start.at_time(self._lineage, start, lambda shard: self._is_over(shard, start))
            if parse_time(start.value) > self._client.clock.now() - facts.retention_seconds:
                clear = dict.fromkeys(first, start.value)
        self._begun = StreamOffset(self._options.stream_name, first, first=first, created=facts.created, clear=clear)
        return self._begun

    def next(self, reached: StreamOffset, limits: Limits | None = None) -> StreamOffset:
        """The end of the slice that begins at `reached`; `reached` itself where nothing new can be read.

        Raises DataLossError where something of it is gone, unless that is allowed: then the end has gaps.
        """
        self._clear.recall(reached)
        try:
            lost = self._watch.inspect(reached, self._clear.shards)
            return lost or self._next(reached, limits or self._options.limits)
        except StreamError as error:
            self._views.clear()
            lost = self._watch.diagnose(reached, self._clear.shards, error) if error.code in SUSPICIOUS else None
            if lost is None:
                raise
            return lost

    def replay(self, begun: StreamOffset, reached: StreamOffset, shards: list[str]) -> tuple[tuple[Gap, ...], bool]:
        """What may be gone of a micro-batch that was planned before a stop, and whether the stream is still the same
        one, so that what is left can be read. Raises DataLossError unless loss is allowed."""
        made_again = self._watch.inspect_replay(begun, reached, shards)
        if made_again:
            return made_again, False
        self._clear.recall(begun)
        suspects = self._watch.suspects({shard: begun.shards[shard] for shard in shards}, self._clear.shards)
        gaps = [
            self._watch.expired(shard, begun.shards[shard], before, ShardView(begun.shards[shard]))[0]
            for shard, before in suspects.items()
        ]
        return self._watch.allow(gaps), True

    def _next(self, reached: StreamOffset, limits: Limits) -> StreamOffset:
        active, known = self._active(reached), dict(self._clear.shards)
        suspects = self._watch.suspects(active, known)
        self._look_ahead(active, suspects, limits)
        if lost := self._expired(reached, suspects):
            return lost
        # A suspect that could not be looked at stays where it is: to move on would be to forget the suspicion.
        active = {s: p for s, p in active.items() if s not in suspects or self._views[s].known}
        if not active:
            return self._offset(reached, dict(reached.shards), None)
        plans, slice_end = self._plans(active, limits)
        if self._watch.suspects(active, known).keys() - suspects.keys():
            # The server's clock is further than it was thought to be before it was asked: after a machine's sleep, say.
            self._views, self._clear.shards = {}, known
            return self._next(reached, limits)
        gaps = [plan.gap for plan in plans.values() if plan.gap is not None]
        self._views |= {shard: plan.view for shard, plan in plans.items()}
        self._clear.planned(plans)
        return self._offset(reached, {**reached.shards, **{s: p.end for s, p in plans.items()}}, slice_end, gaps)

    def _active(self, reached: StreamOffset) -> dict[str, Position]:
        """The shards that have something to read, as far as is known, up to the goal if there is one."""
        goal = self._options.ending_position
        active = {shard: position for shard, position in reached.shards.items() if position != END}
        if goal is None:
            return active
        clear = self._clear.shards
        return {s: p for s, p in active.items() if s in goal.shards and not goal.is_reached(s, p, clear.get(s, NEVER))}

    def _plans(self, active: Mapping[str, Position], limits: Limits) -> tuple[dict[str, ShardPlan], float]:
        """The part of each shard in the next slice, and where that ends (Unix seconds)."""
        goal, views = self._options.ending_position, {shard: self._views[shard] for shard in active}
        waiting = [(view.next.arrival, view.rate) for view in views.values() if view.next is not None]
        span = limits.slice(waiting, len(active), self._client.clock.now() - self._options.hold_back_seconds)
        if goal is not None and span.at_now and not limits.by_volume:
            ends = {shard: goal.shards[shard] for shard in active}
            if TRIM_HORIZON not in ends.values():
                # The goal was the tip a while ago; nothing has to be asked to end there.
                return {shard: self._shards.pinned(end) for shard, end in ends.items()}, span.end
        return self._each(active, lambda s: self._shards.plan(s, active[s], views[s], span)), span.end

    def _look_ahead(self, active: Mapping[str, Position], suspects: Iterable[str], limits: Limits) -> None:
        again = set(suspects)
        for shard, position in active.items():
            view = self._views.get(shard)
            if view is None or view.about != position or shard in again or self._is_old(view):
                self._views[shard] = ShardView(position)
        unknown = [shard for shard in active if not self._views[shard].known and not self._views[shard].stuck]
        looks = self._each(unknown, lambda s: self._shards.look_ahead(s, active[s], limits.by_volume))
        self._views |= looks
        self._clear.looked(looks)

    def _is_old(self, view: ShardView) -> bool:
        """Whether an idle shard has not been asked for long: slices that are far behind the tip pass it by."""
        return view.tip_at is not None and self._client.clock.now() - view.tip_at > STALE_SECONDS

    def _each(self, shards: Iterable[str], work: Callable[[str], T]) -> dict[str, T]:
        wanted = list(shards)
        if not wanted:
            return {}
        with ThreadPoolExecutor(min(PLANNING_THREADS, len(wanted))) as pool:
            return dict(zip(wanted, pool.map(work, wanted), strict=True))

    def _expired(self, reached: StreamOffset, suspects: Mapping[str, float]) -> StreamOffset | None:
        """`reached` moved over what is gone behind suspects, by until when each was known to be clear."""
        gaps, ends, clear = list[Gap](), dict(reached.shards), dict(reached.clear)
        goal = self._options.ending_position
        for shard, before in suspects.items():
            view = self._views[shard]
            # A record that is there from before then shows that retention has not passed it yet.
            if view.known and not (view.next is not None and view.next.arrival <= before):
                gap, position, known = self._watch.expired(shard, reached.shards[shard], before, view)
                clear[shard] = format_time(known)
                aim = position if goal is None else goal.shards[shard]
                if aim != TRIM_HORIZON:  # a shard that was empty at a pinned end is not read beyond
                    ends[shard] = aim if position == END else position
                gaps.append(gap)
        if not gaps:
            return None
        return replace(reached, shards=ends, clear=clear, first=None, lag={}, gaps=self._watch.allow(gaps))

    # The offset

    def _offset(
        self, reached: StreamOffset, planned: dict[str, Position], slice_end: float | None, gaps: Iterable[Gap] = ()
    ) -> StreamOffset:
        ends, begun = self._lineage.follow(reached.shards, planned)
        self._clear.begun(begun, ends, self._lineage)
        self.lag = lag_of(ends, self._views, self._clear.shards, self._client.clock.now())
        allowed = self._watch.allow(gaps)
        fresh = reached is self._begun
        if ends == dict(reached.shards) and not (allowed or fresh or self._clear.is_news(reached)):
            return reached
        self._begun = None
        keeps_first = fresh or all(p.sequence is None for p in reached.shards.values())
        facts, goal = self._watch.facts, self._options.ending_position
        through = None
        if not begun and slice_end is not None:
            through = self._clear.through(ends, self._lineage, slice_end, goal)
        offset = StreamOffset(
            reached.stream,
            ends,
            max(filter(None, (reached.through, through)), key=parse_time, default=None),
            first=reached.first if keeps_first else None,
            first_clear=reached.first_clear if keeps_first else {},
            created=reached.created or (facts.created if facts else None),
            clear=self._clear.to_json(ends),
            lag={shard: seconds for shard, seconds in self.lag.items() if seconds},
            gaps=allowed,
        )
        log.info(
            "planned stream=%s shards=%d %s through=%s", offset.stream, len(ends), describe(self.lag), offset.through
        )
        return offset

    # The first start

    def _time_of(self, start: str) -> Position:
        if start != "latest":
            return Position("time", start)
        return at_time(self._client.clock.now())

    def _is_over(self, shard: str, start: Position) -> bool:
        return self._shards.first_page(ShardCursor(self._client, shard, start)).at_end
