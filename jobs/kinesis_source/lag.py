"""How far behind the tip reading is, from what planning has seen anyway."""

from __future__ import annotations

from collections.abc import Mapping

from kinesis_source.position import Position
from kinesis_source.shard_plan import ShardView


def lag_of(
    ends: Mapping[str, Position], views: Mapping[str, ShardView], clear: Mapping[str, float], now: float
) -> dict[str, float]:
    """Seconds that the next record of each shard has been waiting, 0 at the tip. Shards that have ended, and those
    that have yet to be looked at, are left out."""
    lag: dict[str, float] = {}
    for shard, position in ends.items():
        view = views.get(shard)
        if view is None or view.about != position or position.kind == "end":
            continue
        if view.next is not None:
            lag[shard] = round(max(0.0, now - view.next.arrival), 3)
        elif view.tip_at is not None:
            lag[shard] = 0.0
        elif shard in clear:
            lag[shard] = round(max(0.0, now - clear[shard]), 3)
    return lag


def describe(lag: Mapping[str, float]) -> str:
    """The same for a log, as key=value."""
    slowest = max(lag, key=lambda shard: lag[shard], default=None)
    behind = sum(1 for seconds in lag.values() if seconds)
    return f"behind={behind} lag_seconds={lag[slowest] if slowest else 0:g} slowest={slowest or '-'}"
