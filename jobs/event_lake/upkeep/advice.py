"""Where the partitioning of a table does not fit its volume, and what to change; from the sizes in the log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from event_lake.upkeep.partitions import DAY, Partition

HUGE_FILES = 64  # a day of so many full files is more than one query should have to open for an hour of it
TINY_PART = 100  # a day under this part of one full file is tiny
MANY_TINY = 0.5  # of all partitions


def advice(found: Sequence[Partition], target: int) -> list[str]:
    """Lines for people; none where the partitioning fits. Judged by closed days only: an open one is not full yet."""
    closed = [part for part in found if part.closed]
    return [*_huge(closed, target), *_tiny(closed, target)]


def _huge(closed: Sequence[Partition], target: int) -> list[str]:
    days: dict[str, list[int]] = defaultdict(list)
    for part in closed:
        days[_kind(part)].append(part.data_bytes)
    return [
        f"{kind or 'the table'} has {_size(mean)} a day, {mean // target} files of {_size(target)}: a day is too "
        "coarse for it. A condition on created_datetime or arrived_at beside the date lets file statistics leave files "
        "out; where that is not enough, it wants a level for the hour"
        for kind, sizes in sorted(days.items())
        if (mean := sum(sizes) // len(sizes)) >= HUGE_FILES * target
    ]


def _tiny(closed: Sequence[Partition], target: int) -> list[str]:
    tiny = [part for part in closed if part.data_bytes < target / TINY_PART]
    if len(tiny) < 2 or len(tiny) < MANY_TINY * len(closed):
        return []
    kinds = {_kind(part) for part in tiny}
    return [
        f"{len(tiny)} of {len(closed)} closed partitions hold under {_size(target // TINY_PART)} "
        f"({_size(sum(part.data_bytes for part in tiny))} together, {len(kinds)} kinds): each costs a file in every "
        "micro-batch that reaches it. A longer trigger.interval makes fewer of them; types that mean the same thing "
        "should share the first part of their event_name"
    ]


def _kind(part: Partition) -> str:
    """What a partition holds apart from the day: the event type, or the problem."""
    return "/".join(f"{column}={value}" for column, value in part.values if column != DAY)


def _size(count: int) -> str:
    for unit, size in (("GB", 1024**3), ("MB", 1024**2), ("KB", 1024)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
