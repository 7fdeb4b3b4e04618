"""Where the next micro-batch ends, in every shard: the driver's half of reading.

A micro-batch is a slice of arrival time across all shards, so that catching up never runs one shard hours ahead of
another. The planner chooses the slice's end T and asks each shard for its first record at T or later; that record's
sequence number ends the shard's range, exclusively. A shard that has none is read forward to its tip and ends behind
its last record. Time only chooses; what is written down are sequence numbers, so exactness never rests on time stamps.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from kinesis_source.client import KinesisClient
from kinesis_source.errors import DataLossError, StreamError
from kinesis_source.options import Options
from kinesis_source.position import END, TRIM_HORIZON, Position, StreamOffset, after, at, at_time, format_time
from kinesis_source.shards import Page, Shard, ShardCursor, children_of, has_ancestor_in, list_shards

log = logging.getLogger(__name__)

# Bounds of one shard's planning in one trigger. A shard that needs more stays where it is until the next.
MOST_EMPTY_PAGES = 20
MOST_PAGES_FORWARD = 10
PLANNING_THREADS = 16


@dataclass(frozen=True)
class ShardView:
    """What planning remembers of a shard between triggers; it saves calls, exactness never needs it."""

    next_arrival: float | None = None  # arrival time (Unix seconds) of the first record behind the planned end
    tip_at: float | None = None  # when (server's clock) nothing was behind the planned end
    stuck: bool = False  # the last probe met nothing but empty answers

    @property
    def known(self) -> bool:
        return self.next_arrival is not None or self.tip_at is not None


@dataclass(frozen=True)
class Slice:
    """A span of arrival time, up to `end` (Unix seconds). `at_now`: its end is as late as can be."""

    end: float
    at_now: bool


@dataclass(frozen=True)
class ShardPlan:
    """A shard's part of a slice. `complete`: nothing that arrived before the slice's end is left out."""

    end: Position
    view: ShardView
    complete: bool


class Planner:
    """Plans slices one after the other for one query. Lives in the driver; calls AWS, moves no records."""

    def __init__(self, client: KinesisClient, options: Options) -> None:
        self._client = client
        self._options = options
        self._views: dict[str, ShardView] = {}

    def start(self) -> StreamOffset:
        """The positions of a query's very first start. A start that is not a sequence number stays symbolic."""
        shards = list_shards(self._client)
        if not shards:
            raise StreamError(
                "NoShards", f"stream {self._options.stream} has no shards yet; is it still being created?"
            )
        if self._options.starting_position == "trim_horizon":
            first = {shard.shard_id: TRIM_HORIZON for shard in _roots(shards)}
        else:
            start = self._starting_time()
            first = {shard.shard_id: start for shard in self._open_since(shards, start)}
        return StreamOffset(self._options.stream_name, first, first=first)

    def next(self, reached: StreamOffset) -> StreamOffset:
        """The end of the slice that begins at `reached`; `reached` itself where nothing new can be read."""
        goal = self._options.ending_position
        active = {shard: position for shard, position in reached.shards.items() if position != END}
        if goal is not None:
            active = {s: p for s, p in active.items() if s in goal.shards and not p.covers(goal.shards[s])}
        if not active:
            return self._with_lineage(reached, dict(reached.shards), reached.through)
        span = self._slice(active)
        if goal is not None and span.at_now:
            # The goal was the tip a while ago; nothing has to be asked to end there.
            return self._with_lineage(reached, {**reached.shards, **{s: goal.shards[s] for s in active}}, goal.through)
        with ThreadPoolExecutor(min(PLANNING_THREADS, len(active))) as pool:
            plans = dict(zip(active, pool.map(lambda s: self._plan(s, active[s], span), active), strict=True))
        self._views.update({shard: plan.view for shard, plan in plans.items()})
        ends = {**reached.shards, **{shard: plan.end for shard, plan in plans.items()}}
        complete = all(plan.complete for plan in plans.values())
        return self._with_lineage(reached, ends, format_time(span.end) if complete else reached.through)

    def tip(self) -> StreamOffset:
        """The end of everything that has arrived by now, found by reading each shard to its tip, not by a clock."""
        shards = list_shards(self._client)
        through = format_time(self._client.clock.now())
        with ThreadPoolExecutor(PLANNING_THREADS) as pool:
            ends = dict(zip(shards, pool.map(self._tip_of, shards.values()), strict=True))
        return StreamOffset(self._options.stream_name, ends, through)

    # One slice

    def _slice(self, active: Mapping[str, Position]) -> Slice:
        unknown = [shard for shard in active if not self._views.setdefault(shard, ShardView()).known]
        if unknown:
            with ThreadPoolExecutor(min(PLANNING_THREADS, len(unknown))) as pool:
                list(pool.map(lambda shard: self._look_ahead(shard, active[shard]), unknown))
        now = self._client.clock.now() - self._options.hold_back_seconds
        arrivals = [seen for shard in active if (seen := self._views[shard].next_arrival) is not None]
        end = min(arrivals) + self._options.slice_seconds if arrivals else now
        return Slice(min(now, end), end >= now)

    def _look_ahead(self, shard: str, start: Position) -> None:
        page = self._first_page(ShardCursor(self._client, shard, start))
        if page.records:
            self._views[shard] = ShardView(next_arrival=_arrival(page))
        elif page.at_tip or page.at_end:
            # As if long ago: whatever the slice, this shard is to be read forward at once.
            self._views[shard] = ShardView(tip_at=0.0)

    def _plan(self, shard: str, start: Position, span: Slice) -> ShardPlan:
        view = self._views[shard]
        if view.tip_at is not None and span.end <= view.tip_at:
            return ShardPlan(start, view, complete=True)
        if view.tip_at is not None or view.stuck:
            return self._forward(shard, start, span)
        return self._up_to(shard, start, span)

    def _up_to(self, shard: str, start: Position, span: Slice) -> ShardPlan:
        view, page = self._views[shard], self._probe(shard, span.end)
        if page.records:
            sequence = page.records[0]["SequenceNumber"]
            if not (start.is_past(int(sequence)) or start == at(sequence)):
                return self._bounded(shard, ShardPlan(at(sequence), ShardView(_arrival(page)), complete=True))
            if view.next_arrival is None or view.next_arrival >= span.end:
                return ShardPlan(start, view, complete=True)
            # The shard does hold an earlier arrival behind its start: its time stamps go backwards here.
            return self._forward(shard, start, span)
        if page.at_tip or page.at_end:
            return self._forward(shard, start, span)
        return ShardPlan(start, replace(view, stuck=True), complete=False)

    def _probe(self, shard: str, moment: float) -> Page:
        cursor = ShardCursor(self._client, shard, at_time(moment))
        try:
            return self._first_page(cursor)
        except StreamError as error:
            if error.code != "InvalidArgumentException":
                raise
            # The server says that the moment is in its future: its clock was set back. Learn it anew.
            self._client.clock.forget()
            return Page([], at_tip=False, at_end=False)

    def _first_page(self, cursor: ShardCursor) -> Page:
        for _ in range(MOST_EMPTY_PAGES):
            page = cursor.read(limit=1)
            if page.records or page.at_tip or page.at_end:
                return page
        return page

    def _forward(self, shard: str, start: Position, span: Slice) -> ShardPlan:
        """Reads from `start` towards the tip and ends behind the last record seen."""
        cursor = ShardCursor(self._client, shard, start)
        end, full, empty = start, 0, 0
        while full < MOST_PAGES_FORWARD and empty < MOST_EMPTY_PAGES:
            looked_at = self._client.clock.now()
            page = cursor.read()
            if page.records:
                end, full = after(page.records[-1]["SequenceNumber"]), full + 1
            else:
                empty += 1
            if page.at_end:
                return self._bounded(shard, ShardPlan(END, ShardView(tip_at=looked_at), complete=True))
            # A closed shard may say that it has ended only in an answer after its last records. While catching up
            # that is waited for: its children would stay behind until all others have caught up.
            if page.at_tip and (span.at_now or not page.records):
                return self._bounded(shard, ShardPlan(end, ShardView(tip_at=looked_at), complete=True))
        return self._bounded(shard, ShardPlan(end, ShardView(stuck=not full), complete=False))

    def _bounded(self, shard: str, plan: ShardPlan) -> ShardPlan:
        """Not beyond the ending position. A shard at its tip has passed it, even if it never had a record to read."""
        aim = self._options.ending_position.shards[shard] if self._options.ending_position is not None else None
        reached = aim is not None and (plan.end.covers(aim) or plan.view.tip_at is not None)
        return replace(plan, end=aim) if aim is not None and reached else plan

    # Lineage: children begin after their parents have ended

    def _with_lineage(self, reached: StreamOffset, ends: dict[str, Position], through: str | None) -> StreamOffset:
        ended = [shard for shard, position in ends.items() if position == END]
        if ended:
            ends, through = self._follow(reached, ends, through, ended)
        if ends == dict(reached.shards):
            return reached
        first = reached.first if all(p.sequence is None for p in reached.shards.values()) else None
        return StreamOffset(reached.stream, ends, through, first)

    def _follow(
        self, reached: StreamOffset, ends: dict[str, Position], through: str | None, ended: list[str]
    ) -> tuple[dict[str, Position], str | None]:
        shards = list_shards(self._client)
        ends = dict(ends)
        for shard_id in ended:
            children = children_of(shard_id, shards.values())
            for child in children:
                if child.shard_id not in ends and all(_has_ended(parent, ends, shards) for parent in child.parents):
                    ends[child.shard_id] = TRIM_HORIZON
                    through = reached.through
            drained = reached.shards.get(shard_id) == END
            if drained and children and all(child.shard_id in reached.shards for child in children):
                del ends[shard_id]
        return ends, through

    # The first start

    def _starting_time(self) -> Position:
        if self._options.starting_position != "latest":
            return Position("time", self._options.starting_position)
        return at_time(self._client.clock.now())

    def _open_since(self, shards: Mapping[str, Shard], start: Position) -> list[Shard]:
        """The shards to begin with at a time: those with records since then and no ancestor that has some."""
        chosen: list[Shard] = []
        waiting, passed = _roots(shards), set[str]()
        while waiting:
            shard = waiting.pop()
            if shard.closed and self._first_page(ShardCursor(self._client, shard.shard_id, start)).at_end:
                passed.add(shard.shard_id)
                children = children_of(shard.shard_id, shards.values())
                waiting += [c for c in children if all(p in passed or p not in shards for p in c.parents)]
            else:
                chosen.append(shard)
        return chosen

    # The tip

    def _tip_of(self, shard: Shard) -> Position:
        if shard.closed:
            return END
        now = self._client.clock.now()
        starts = [at_time(now - back) for back in (10, 60, 600, 3600, 21600, 86400)]
        for start in [*starts, TRIM_HORIZON]:
            last = self._last_record(ShardCursor(self._client, shard.shard_id, start))
            if last is not None:
                return last
        return TRIM_HORIZON

    def _last_record(self, cursor: ShardCursor) -> Position | None:
        last: Position | None = None
        empty = 0
        while True:
            page = cursor.read()
            if page.records:
                last, empty = after(page.records[-1]["SequenceNumber"]), 0
            if page.at_end:
                return END
            if page.at_tip:
                return last
            empty += not page.records
            if empty > self._options.retry_seconds:
                raise DataLossError(f"shard {cursor.shard_id}: {empty} empty answers in a row on the way to its tip")


def _arrival(page: Page) -> float:
    return float(page.records[0]["ApproximateArrivalTimestamp"])


def _has_ended(shard_id: str, ends: Mapping[str, Position], shards: Mapping[str, Shard]) -> bool:
    """Whether a shard is read to its end. One that is not in the offset has left it, or has yet to begin: then an
    ancestor of it is still there."""
    if shard_id in ends:
        return ends[shard_id] == END
    return shard_id not in shards or not has_ancestor_in(shards[shard_id], ends, shards)


def _roots(shards: Mapping[str, Shard]) -> list[Shard]:
    return [shard for shard in shards.values() if not any(parent in shards for parent in shard.parents)]
