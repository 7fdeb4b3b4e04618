"""How the Delta tables lie in their storage, and the events table's types, from the tables' logs: no row is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from event_lake.report.figures import Crowded, Kind, Kinds, Layout
from event_lake.report.rows import kinds_of
from event_lake.upkeep.advice import advice
from event_lake.upkeep.partitions import Partition

MOST_CROWDED = 8


def layout_of(table: str, found: Sequence[Partition], target: int) -> Layout:
    """`target`: the size in bytes that files should have."""
    crowded = sorted((part for part in found if part.small_files), key=lambda part: (-part.small_files, part.name))
    return Layout(
        table=table,
        partitions=len(found),
        files=sum(part.files for part in found),
        small_files=sum(part.small_files for part in found),
        data_bytes=sum(part.data_bytes for part in found),
        crowded=[
            Crowded(part.name, part.files, part.small_files, part.data_bytes, part.rows)
            for part in crowded[:MOST_CROWDED]
        ],
        advice=advice(found, target),
    )


def kinds_by_log(found: Sequence[Partition]) -> Kinds:
    """Of the events table's partitions."""
    rows = Counter[str]()
    for part in found:
        rows[str(part.value("event_type"))] += part.rows
    return kinds_of([Kind(event_type, number) for event_type, number in rows.items()])
