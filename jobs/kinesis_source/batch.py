"""Batch reading: where two bounds lie in every shard, as ranges for the same reader that a stream uses.

Whatever a bound is, it is turned into sequence numbers once, when the query is planned; tasks and their retries then
read the same records.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from kinesis_source.bounds import Bound, Bounds
from kinesis_source.client import KinesisClient
from kinesis_source.errors import DataLossError, OptionError, UnavailableError
from kinesis_source.options import Options
from kinesis_source.planner import Planner
from kinesis_source.position import END, TRIM_HORIZON, Position, StreamOffset, at, at_time, format_time, parse_time
from kinesis_source.reader import EMPTY_PAGE_PAUSE_SECONDS, ShardRange
from kinesis_source.shards import Shard, ShardCursor, has_ancestor_in, list_shards

log = logging.getLogger(__name__)

PLANNING_THREADS = 16
# The server's clock is known to the second after one answer: a notebook's "now" may seem to be ahead of it by that.
CLOCK_WAIT_SECONDS = 2.0


def plan(bounds: Bounds, options: Options) -> list[ShardRange]:
    """What to read of each shard that has anything between the bounds, closed ones and their children included.

    Raises the errors of `kinesis_source.errors`; DataLossError where a shard between the bounds is gone.
    """
    client = KinesisClient(options)
    # Before the shards are listed, so that none of those that it names is missing.
    tip = _tip(client, options) if bounds.end == "latest" else None
    boundary = _Boundary(client, _shards_at(bounds, client), options)
    # The end first: what arrives meanwhile is then behind both.
    ends = tip if tip is not None else boundary.ends(bounds.end)
    starts = boundary.starts(bounds.start, ends)
    return [
        ShardRange(shard, start, ends[shard])
        for shard, start in starts.items()
        if shard in ends and not start.covers(ends[shard])
    ]


def _tip(client: KinesisClient, options: Options) -> dict[str, Position]:
    return dict(Planner(client, options).tip().shards)


def _shards_at(bounds: Bounds, client: KinesisClient) -> dict[str, Shard]:
    """The shards that hold what lies between the bounds: listed when every time among them has come."""
    shards = list_shards(client)  # and the server's clock with its answer
    waited = [_wait_for(bound, client) for bound in (bounds.start, bounds.end) if isinstance(bound, float)]
    return list_shards(client) if any(waited) else shards


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

    def __init__(self, client: KinesisClient, shards: Mapping[str, Shard], options: Options) -> None:
        self._client, self._shards, self._options = client, shards, options

    def ends(self, bound: Bound) -> dict[str, Position]:
        if not isinstance(bound, StreamOffset):
            return self._ends_at(dict.fromkeys(self._shards, float(bound)))
        given = self._of_offset(bound, "endingPosition")
        return {**bound.shards, **given, **self._ends_at(_moments(given))}

    def starts(self, bound: Bound, ends: Mapping[str, Position]) -> dict[str, Position]:
        """Without the shards that have nothing since a starting time."""
        if bound == "trim_horizon":
            return dict.fromkeys(self._shards, TRIM_HORIZON)
        if not isinstance(bound, StreamOffset):
            return _found(self._first_since({shard: float(bound) for shard in self._shards if shard in ends}))
        given = self._of_offset(bound, "startingPosition")
        self._check_listed(bound, ends)
        moments = _moments(given)
        certain = {shard: start for shard, start in given.items() if shard not in moments}
        return {**certain, **_found(self._first_since(moments))}

    def _ends_at(self, moments: Mapping[str, float]) -> dict[str, Position]:
        found = self._first_since(moments)
        open_ended = {shard: moments[shard] for shard, first in found.items() if first is None}
        if open_ended:
            tip = _tip(self._client, self._options)
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
            time.sleep(EMPTY_PAGE_PAUSE_SECONDS)

    def _of_offset(self, offset: StreamOffset, name: str) -> dict[str, Position]:
        """An offset names the shards that were being read; their ancestors were read before, descendants come after."""
        read = _ancestors(offset.shards, self._shards)
        positions: dict[str, Position] = {}
        for shard_id, shard in self._shards.items():
            if shard_id in offset.shards:
                positions[shard_id] = offset.shards[shard_id]
            elif shard_id in read:
                positions[shard_id] = END
            elif has_ancestor_in(shard, offset.shards, self._shards):
                positions[shard_id] = TRIM_HORIZON
            else:
                positions[shard_id] = TRIM_HORIZON
                self._lost(
                    f"shard {shard_id} has neither ancestor nor descendant in the offset given as {name}: "
                    f"stream {self._options.stream} was made anew, or shards in between are gone"
                )
        return positions

    def _check_listed(self, offset: StreamOffset, ends: Mapping[str, Position]) -> None:
        for shard, start in offset.shards.items():
            if shard not in self._shards and not start.covers(ends.get(shard, END)):
                self._lost(
                    f"shard {shard}, to be read from {start} on, is no longer listed by stream {self._options.stream}"
                )

    def _lost(self, what: str) -> None:
        message = (
            f"DATA LOSS: {what}. Retention has passed these records, or the stream was made anew. To read what is left "
            "set failOnDataLoss to false; to keep it from happening again lengthen the stream's retention."
        )
        if self._options.fail_on_data_loss:
            raise DataLossError(message)
        log.error(message)


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
