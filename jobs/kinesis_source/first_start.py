"""The positions of a query's very first start. One that is not a sequence number stays symbolic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from kinesis_source.lineage import Lineage
from kinesis_source.position import END, TRIM_HORIZON, Position
from kinesis_source.shards import Shard, children_of

THREADS = 16


def at_trim_horizon(lineage: Lineage) -> dict[str, Position]:
    """The shards that come from no listed one; the others follow them."""
    return {shard.shard_id: TRIM_HORIZON for shard in lineage.roots()}


def at_time(lineage: Lineage, start: Position, is_over: Callable[[str], bool]) -> dict[str, Position]:
    """The shards that are open or hold records since `start`, and that come from none of those.

    `is_over` says of a closed shard that nothing of it is left behind `start`; it costs calls. A shard that is over
    and has a child that waits for another parent is begun as ended: the child will ask.
    """
    chosen, passed, waiting = dict[str, Position](), set[str](), lineage.roots()
    with ThreadPoolExecutor(THREADS) as pool:
        while waiting:
            over = list(pool.map(lambda shard: shard.closed and is_over(shard.shard_id), waiting))
            parents = [shard for shard, gone in zip(waiting, over, strict=True) if gone]
            passed |= {shard.shard_id for shard in parents}
            chosen |= {shard.shard_id: start for shard, gone in zip(waiting, over, strict=True) if not gone}
            waiting = [
                child
                for child in _children(lineage, parents).values()
                if all(parent in passed or parent not in lineage.shards for parent in child.parents)
            ]
    for shard_id in passed:
        children = _children(lineage, [lineage.shards[shard_id]])
        if any(child not in chosen and child not in passed for child in children):
            chosen[shard_id] = END
    return chosen


def _children(lineage: Lineage, parents: Iterable[Shard]) -> dict[str, Shard]:
    return {
        child.shard_id: child for parent in parents for child in children_of(parent.shard_id, lineage.shards.values())
    }
