"""Where the next micro-batch ends in one shard, and what is remembered of the shard between triggers.

A busy shard costs one call: its first record at the slice's end T or later ends its range, exclusively. Where there is
none, and where little room is left in the micro-batch, the shard is read forward from its own start instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kinesis_source.client import KinesisClient
from kinesis_source.errors import StreamError
from kinesis_source.gap import Gap
from kinesis_source.options import Options
from kinesis_source.position import END, TRIM_HORIZON, Position, after, at, at_time, format_time, parse_time
from kinesis_source.shards import Page, ShardCursor
from kinesis_source.slices import Next, Rate, Slice, next_of

# Bounds of one shard's planning in one trigger. A shard that needs more stays where it is until the next.
MOST_EMPTY_PAGES = 20
MOST_PAGES_FORWARD = 10
FORWARD_PAGE_RECORDS = 2_500

# How old what is known of an idle shard may become before it is written to the offset log anew (see `loss`).
STALE_SECONDS = 3600.0


@dataclass(frozen=True)
class ShardView:
    """What planning remembers of a shard between triggers; it saves calls, exactness never needs it."""

    about: Position  # the position that this was seen from; worthless for any other
    next: Next | None = None  # the first record behind it
    tip_at: float | None = None  # when (server's clock) nothing was behind it
    settled: bool = True  # False: the shard may have ended; to be read forward whatever the slice
    stuck: bool = False  # the last probe met nothing but empty answers
    cursor: ShardCursor | None = None  # stands there
    rate: Rate | None = None

    @property
    def known(self) -> bool:
        return self.next is not None or self.tip_at is not None


@dataclass(frozen=True)
class ShardPlan:
    """A shard's part of a slice. `clear`: everything that arrived before then (Unix seconds) lies before the end, as
    far as arrival times are in order; None where this trigger has not shown more than was known."""

    end: Position
    view: ShardView
    clear: float | None = None
    gap: Gap | None = None


class ShardPlanner:
    """Plans single shards; safe to use from several threads for different shards."""

    def __init__(self, client: KinesisClient, options: Options) -> None:
        self._client = client
        self._options = options

    def look_ahead(self, shard: str, start: Position, sampling: bool) -> ShardView:
        """What is behind `start`, by one call that finds something (or nothing, at the tip)."""
        looked_at, cursor = self._client.clock.now(), ShardCursor(self._client, shard, start)
        page = self.first_page(cursor, Rate.sample_size(None) if sampling else 1)
        if page.records:
            return ShardView(start, next=next_of(page.records[0]), rate=Rate.of(page, looked_at))
        if page.at_tip or page.at_end:
            return ShardView(start, tip_at=looked_at, settled=False, cursor=None if page.at_end else cursor)
        return ShardView(start)

    def plan(self, shard: str, start: Position, view: ShardView, span: Slice) -> ShardPlan:
        goal = self._options.ending_position
        if goal is not None and goal.shards[shard] == TRIM_HORIZON and start.kind != "at":
            # Empty when the end was pinned: all that was to be done was to look.
            return ShardPlan(start, view, clear=view.next.arrival if view.next else view.tip_at)
        if view.next is None:
            span = replace(span, share=span.idle_share)
        if view.tip_at is not None and view.settled and span.end <= view.tip_at:
            return ShardPlan(start, view, clear=view.tip_at)
        if view.next is not None and view.next.arrival >= span.end:
            return ShardPlan(start, view, clear=span.end)
        if view.tip_at is not None or view.stuck or span.share.counted:
            return self._forward(shard, start, view, span)
        return self._up_to(shard, start, view, span)

    def first_page(self, cursor: ShardCursor, limit: int = 1) -> Page:
        """The first answer that says something: records, the tip or the end; at worst an empty one."""
        for _ in range(MOST_EMPTY_PAGES):
            page = cursor.read(limit)
            if page.records or page.at_tip or page.at_end:
                return page
        return page

    def _up_to(self, shard: str, start: Position, view: ShardView, span: Slice) -> ShardPlan:
        page = self._probe(shard, span, view.rate)
        if page.records:
            found = next_of(page.records[0])
            if not (start.is_past(int(found.sequence)) or start == at(found.sequence)):
                end, rate = at(found.sequence), Rate.of(page, self._client.clock.now(), view.rate)
                return self._bounded(shard, ShardPlan(end, ShardView(end, next=found, rate=rate), clear=span.end))
            if view.next is None:
                return ShardPlan(start, view, clear=span.end)
            # The shard does hold an earlier arrival behind its start: its time stamps go backwards here.
            return self._forward(shard, start, view, span)
        if page.at_tip or page.at_end:
            return self._forward(shard, start, view, span)
        return ShardPlan(start, replace(view, stuck=True))

    def _probe(self, shard: str, span: Slice, rate: Rate | None) -> Page:
        cursor = ShardCursor(self._client, shard, at_time(span.end))
        try:
            return self.first_page(cursor, Rate.sample_size(rate) if span.share.limited else 1)
        except StreamError as error:
            if error.code != "InvalidArgumentException":
                raise
            # The server says that the moment is in its future: its clock was set back. Learn it anew.
            self._client.clock.forget()
            return Page([], at_tip=False, at_end=False)

    def _forward(self, shard: str, start: Position, view: ShardView, span: Slice) -> ShardPlan:
        """Reads from `start` towards the tip and ends behind the last record seen, or before the first one that no
        longer fits into the shard's share of the micro-batch."""
        cursor = view.cursor or ShardCursor(self._client, shard, start)
        end, arrived, full, empty, share, rate = start, None, 0, 0, span.share, view.rate
        while full < MOST_PAGES_FORWARD and empty < MOST_EMPTY_PAGES:
            looked_at = self._client.clock.now()
            page = cursor.read(int(min(FORWARD_PAGE_RECORDS, share.records + 1)))
            if page.records:
                rate = Rate.of(page, looked_at, rate) if share.limited else None
                first_out = share.first_beyond(page.records, span, begun=full > 0)
                if first_out is not None:
                    end = at(first_out.sequence)
                    cut = ShardView(end, next=first_out, rate=rate)
                    return self._bounded(shard, ShardPlan(end, cut, clear=min(span.end, first_out.arrival)))
                share = share.less(page.records)
                last = next_of(page.records[-1])
                end, arrived, full = after(last.sequence), last.arrival, full + 1
            else:
                empty += 1
            if (page.at_tip or page.at_end) and start.kind == "at" and not full:
                return self._bounded(shard, self._nothing_left(shard, start, page))
            if page.at_end:
                return self._bounded(shard, ShardPlan(END, ShardView(END, tip_at=looked_at), clear=arrived))
            if page.at_tip and (not page.records or self._may_stop(span, arrived, looked_at)):
                view = ShardView(end, tip_at=looked_at, cursor=cursor, rate=rate)
                return self._bounded(shard, ShardPlan(end, view, clear=arrived if page.records else looked_at))
        return self._bounded(shard, ShardPlan(end, ShardView(end, stuck=not full, rate=rate), clear=arrived))

    def _may_stop(self, span: Slice, arrived: float | None, looked_at: float) -> bool:
        """Whether an answer that reaches the tip with its records is enough.

        A closed shard may say that it has ended only in an answer after its last records. While catching up that is
        waited for: its children would stay behind until all others have caught up. And only an empty answer shows that
        the shard was still open, so that nothing can have arrived in children: where the last record is old, that is
        worth a call.
        """
        return span.at_now and arrived is not None and looked_at - arrived < STALE_SECONDS

    def _nothing_left(self, shard: str, start: Position, page: Page) -> ShardPlan:
        now = self._client.clock.now()
        gap = Gap.of(
            self._options.stream_name,
            shard,
            start.value,
            now,
            f"the record {start.value}, where reading was to go on, and all behind it that arrived before "
            f"{format_time(now)}, are gone: the shard holds nothing any more, retention has passed them",
            begins=str(start),
        )
        end = END if page.at_end else after(start.value)
        return ShardPlan(end, ShardView(end), clear=None if page.at_end else now, gap=gap)

    def pinned(self, end: Position) -> ShardPlan:
        """Up to the ending position without a look. Of a closed shard nobody knows then how long ago it was closed."""
        through = self._options.ending_position.through if self._options.ending_position is not None else None
        return ShardPlan(end, ShardView(end), parse_time(through) if through and end != END else None)

    def _bounded(self, shard: str, plan: ShardPlan) -> ShardPlan:
        """Not beyond the ending position. A shard at its tip has passed it, even if it never had a record to read."""
        goal = self._options.ending_position
        if (
            goal is None
            or goal.shards[shard] == TRIM_HORIZON
            or not (plan.end.covers(goal.shards[shard]) or plan.view.tip_at is not None)
        ):
            return plan
        pinned = parse_time(goal.through) if goal.through else None
        clear = min(plan.clear, pinned) if plan.clear is not None and pinned is not None else None
        return replace(plan, end=goal.shards[shard], clear=clear)
