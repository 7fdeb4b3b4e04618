"""What the batch writer notes of a micro-batch while it works on it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from event_lake.deduplicate.manifest import IndexSize
from event_lake.mark import BatchMark
from event_lake.metrics import Counts
from event_lake.placement import Volume
from event_lake.sink import TableWrite
from event_lake.telemetry.arrivals import Arrivals


@dataclass
class Measured:
    """One micro-batch. Costs nothing but a few clock readings; `arrivals` only where somebody wants to know."""

    mark: BatchMark
    clock: datetime  # as Spark has planned it
    arrivals: Arrivals | None = None
    counts: Counts = field(default_factory=Counts)
    parts: Sequence[Volume] = ()
    tables: Mapping[str, TableWrite] = field(default_factory=dict)  # by verdict
    index: IndexSize | None = None
    phases: Counter[str] = field(default_factory=Counter)  # seconds
    began: float = field(default_factory=time.monotonic)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] += time.monotonic() - began  # type: ignore[assignment]
