"""Batch reading: where two bounds lie in every shard, as ranges for the same reader that a stream uses.

Whatever a bound is, it is turned into sequence numbers once, when the query is planned; tasks and their retries then
read the same records.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

from kinesis_source.bounds import Bound, Bounds
from kinesis_source.client import KinesisClient
from kinesis_source.errors import OptionError, UnavailableError
from kinesis_source.gap import Gap
from kinesis_source.lineage import Lineage
from kinesis_source.loss import LossWatch
from kinesis_source.options import Options
from kinesis_source.planner import Planner
from kinesis_source.position import END, TRIM_HORIZON, Position, StreamOffset, at, at_time, format_time, parse_time
from kinesis_source.reader import ShardRange
from kinesis_source.shards import Shard, ShardCursor
from kinesis_source.tip import find_tip

PLANNING_THREADS = 16
# The server's clock is known to the second after one answer: a notebook's "now" may seem to be ahead of it by that.
CLOCK_WAIT_SECONDS = 2.0


class BatchPlan(NamedTuple):
    """What to read, and what was to be read but is gone (where that is allowed)."""

    ranges: list[ShardRange]
    gaps: tuple[Gap, ...]


def plan(bounds: Bounds, options: Options) -> BatchPlan:
    """A range for each shard that has anything between the bounds, closed ones and their children included.

    Raises the errors of `kinesis_source.errors`; DataLossError where something between the bounds is known to be gone.
    """
    client = KinesisClient(options)
    # Before the shards are listed, so that none of those that it names is missing.
    tip = find_tip(client, options).shards if bounds.end == "latest" else None
    lineage = Lineage(client)
    _list_shards_at(bounds, client, lineage)
    boundary = _Boundary(client, lineage, options)
    # The end first: what arrives meanwhile is then behind both.
    ends = tip if tip is not None else boundary.ends(bounds.end)
    start, gaps = bounds.start, tuple[Gap, ...]()
    if isinstance(start, StreamOffset):
        start, gaps = _what_is_left(start, ends, LossWatch(client, options, lineage))
    starts = boundary.starts(start, ends)
    ranges = [
        ShardRange(shard, position, ends[shard])
        for shard, position in starts.items()
        if shard in ends and not position.covers(ends[shard])
    ]
    if isinstance(start, StreamOffset):
        # Nothing is to be read of a shard that is empty at the end; retention may have passed what was.
        empty = [shard for shard, end in ends.items() if end == TRIM_HORIZON] if _ends_now(bounds.end) else []
        begun = [shard for shard in (*(each.shard_id for each in ranges), *empty) if shard in start.shards]
        gaps += Planner(client, options).replay(start, start, begun)[0]
    return BatchPlan(ranges, gaps)


def _ends_now(bound: Bound) -> bool:
    """Whether an end at the trim horizon is an empty shard's; in a query's offset it is one that has yet to begin."""
    return not isinstance(bound, StreamOffset) or bound.kept_since is not None


def _what_is_left(
    start: StreamOffset, ends: Mapping[str, Position], watch: LossWatch
) -> tuple[StreamOffset, tuple[Gap, ...]]:
    """Where reading begins where shards of the start are gone, and what was in them. A shard that has nothing to be
    read cannot lose anything."""
    aims = {shard: ends.get(shard, END) for shard in start.shards}
    left = {s: END if aims[s] != TRIM_HORIZON and p.covers(aims[s]) else p for s, p in start.shards.items()}
    start = replace(start, shards=left, gaps=())
    lost = watch.inspect(start, {})
    return (lost, lost.gaps) if lost is not None else (start, ())


def _list_shards_at(bounds: Bounds, client: KinesisClient, lineage: Lineage) -> None:
    """The shards that hold what lies between the bounds: listed when every time among them has come."""
    lineage.relist()  # and the server's clock with its answer
    waited = [_wait_for(bound, client) for bound in (bounds.start, bounds.end) if isinstance(bound, float)]
    if any(waited):
        lineage.relist()


def _wait_for(moment: float, client: KinesisClient) -> bool:
    """Until the server's clock has reached a time, since what arrives before it can still come; whether it had to."""
    ahead = moment - client.clock.now()
    if ahead > CLOCK_WAIT_SECONDS:
        raise OptionError(
            f"{format_time(moment)} is {ahead:.1f} s ahead of Kinesis' clock, and a batch cannot wait for it; "
            "read up to latest, or to a time that has passed"
        )
    if ahead > 0:
        time.sleep(ahead)
    return ahead > 0


class _Boundary:
    """Turns bounds into positions: one plan, one view of the shards."""

    def __init__(self, client: KinesisClient, lineage: Lineage, options: Options) -> None:
        self._client, self._lineage, self._options = client, lineage, options

    def ends(self, bound: Bound) -> dict[str, Position]:
        if not isinstance(bound, StreamOffset):
            return self._ends_at(dict.fromkeys(self._lineage.shards, float(bound)))
        given = self._of_offset(bound)
        return {**given, **self._ends_at(_moments(given))}

    def starts(self, bound: Bound, ends: Mapping[str, Position]) -> dict[str, Position]:
        """Without the shards that have nothing since a starting time."""
        if bound == "trim_horizon":
            return dict.fromkeys(self._lineage.shards, TRIM_HORIZON)
        if not isinstance(bound, StreamOffset):
            # Nothing lies before an end at the trim horizon: the shard was empty, or had yet to begin.
            some = [shard for shard in self._lineage.shards if ends.get(shard, TRIM_HORIZON) != TRIM_HORIZON]
            moments = dict.fromkeys(some, float(bound))
            return _found(self._first_since(moments))
        given = self._of_offset(bound)
        moments = _moments(given)
        certain = {shard: start for shard, start in given.items() if shard not in moments}
        return {**certain, **_found(self._first_since(moments))}

    def _ends_at(self, moments: Mapping[str, float]) -> dict[str, Position]:
        found = self._first_since(moments)
        open_ended = {shard: moments[shard] for shard, first in found.items() if first is None}
        if open_ended:
            tip = find_tip(self._client, self._options).shards
            # Looked up again behind the tip: a record of that time may have come in between.
            again = self._first_since(open_ended)
            found = {**found, **{shard: again[shard] or tip.get(shard) for shard in open_ended}}
        return _found(found)

    def _first_since(self, moments: Mapping[str, float]) -> dict[str, Position | None]:
        """By shard: before its first record that arrived then or later, None where there is none."""
        with ThreadPoolExecutor(PLANNING_THREADS) as pool:
            found = pool.map(lambda shard: self._first_record(shard, moments[shard]), moments)
            return dict(zip(moments, found, strict=True))

    def _first_record(self, shard: str, moment: float) -> Position | None:
        cursor = ShardCursor(self._client, shard, at_time(moment))
        deadline = time.monotonic() + self._options.retry_seconds
        while True:
            page = cursor.read(limit=1)
            if page.records:
                return at(page.records[0]["SequenceNumber"])
            if page.at_tip or page.at_end:
                return None
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"shard {shard} of stream {self._options.stream} gave nothing but empty answers for "
                    f"{self._options.retry_seconds:g} s when asked for its first record since {format_time(moment)}. "
                    "Run the query again, or raise retrySeconds."
                )
            time.sleep(self._options.empty_pause_seconds)

    def _of_offset(self, offset: StreamOffset) -> dict[str, Position]:
        """An offset names the shards that were being read; their ancestors were read before, all others come after."""
        read = _ancestors(offset.shards, self._lineage.shards)
        others = {shard: END if shard in read else TRIM_HORIZON for shard in self._lineage.shards}
        return {**others, **offset.shards}


def _moments(positions: Mapping[str, Position]) -> dict[str, float]:
    """The times (Unix seconds) of the positions that are times still."""
    return {shard: parse_time(position.value) for shard, position in positions.items() if position.kind == "time"}


def _found(positions: Mapping[str, Position | None]) -> dict[str, Position]:
    return {shard: position for shard, position in positions.items() if position is not None}


def _ancestors(ids: Mapping[str, Position], shards: Mapping[str, Shard]) -> set[str]:
    """The parents of these shards, their parents and so on."""
    found: set[str] = set()
    waiting = [parent for shard in ids if shard in shards for parent in shards[shard].parents]
    while waiting:
        parent = waiting.pop()
        if parent not in found and parent in shards:
            found.add(parent)
            waiting += shards[parent].parents
    return found
