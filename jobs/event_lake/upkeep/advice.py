"""Where the partitioning of a table does not fit its volume, and what to change; from the sizes in the log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from event_lake.schema import EVENTS_PARTITIONS, HOUR
from event_lake.upkeep.partitions import DAY, Partition

HUGE_FILES = 64  # a day of so many full files is more than one query should have to open for an hour of it
SMALL_FILES = 16  # a day of fewer is worth no level for the hour: between the two either will do
TINY_PART = 100  # a day under this part of one full file is tiny
MANY_TINY = 0.5  # of all partitions
HOW = "set lake.partition_by = {!r}, and run maintain_tables.py --repartition once (it writes the table anew)"


def advice(found: Sequence[Partition], target: int) -> list[str]:
    """Lines for people; none where the partitioning fits. Judged by closed days only: an open one is not full yet."""
    closed = [part for part in found if part.closed]
    days = _days(closed)
    levels = {column for part in closed for column, _ in part.values}
    if HOUR in levels:
        return [*_too_fine(days, target), *_tiny(closed, target)]
    return [*_huge(days, target, has_hour=levels.issuperset(EVENTS_PARTITIONS)), *_tiny(closed, target)]


def _days(closed: Sequence[Partition]) -> dict[str, int]:
    """The mean bytes of a day, by what the partitions hold apart from the time."""
    sizes: dict[str, dict[str | None, int]] = defaultdict(lambda: defaultdict(int))
    for part in closed:
        sizes[_kind(part)][part.value(DAY)] += part.data_bytes
    return {kind: sum(days.values()) // len(days) for kind, days in sorted(sizes.items())}


def _huge(days: Mapping[str, int], target: int, has_hour: bool) -> list[str]:
    way = f"; where that is not enough, {HOW.format(HOUR)}" if has_hour else ""
    return [
        f"{kind or 'the table'} has {_size(mean)} a day, {mean // target} files of {_size(target)}: a day is too "
        "coarse for it. A condition on created_datetime or arrived_at beside the date lets file statistics leave files "
        f"out{way}"
        for kind, mean in days.items()
        if mean >= HUGE_FILES * target
    ]


def _too_fine(days: Mapping[str, int], target: int) -> list[str]:
    most = max(days, key=lambda kind: days[kind], default=None)
    if most is None or days[most] >= SMALL_FILES * target:
        return []
    return [
        f"of all types {most} has most a day, {_size(days[most])}, under {SMALL_FILES} files of {_size(target)}: a "
        f"level for the hour only makes 24 times as many partitions; {HOW.format(DAY)}"
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
    """What a partition holds apart from the time: the event type, or the problem."""
    return "/".join(f"{column}={value}" for column, value in part.values if column not in (DAY, HOUR))


def _size(count: int) -> str:
    for unit, size in (("GB", 1024**3), ("MB", 1024**2), ("KB", 1024)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
