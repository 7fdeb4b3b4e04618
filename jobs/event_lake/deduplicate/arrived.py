"""When the records of a micro-batch arrived: what an engine can say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from event_lake.quantiles import Summary


@dataclass(frozen=True)
class Arrived:
    """Of good records whose arrival the source tells; each in parts that are one."""

    stored: Sequence[Summary] = ()  # Unix microseconds
    duplicates: Sequence[Summary] = ()
    age: Sequence[Summary] = ()  # of the stored: microseconds from created_at to arrival

    def __add__(self, other: Arrived) -> Arrived:
        return Arrived([*self.stored, *other.stored], [*self.duplicates, *other.duplicates], [*self.age, *other.age])
