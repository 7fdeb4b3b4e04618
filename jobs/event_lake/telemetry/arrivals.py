"""How long a micro-batch's records had waited, and how old events were: percentiles, by what the engine says of it.

The index's workers have every arrival in their hands, and report some of them (`event_lake.quantiles`); Spark's own
operator tells nothing, so a sample of the rows is looked at. Extremes are exact, from the job that counts the
micro-batch. Spark's observed metrics would ride on that job, but update percentiles row by row outside generated code,
which cost many times as much (docs/decisions.md).

Latencies are not computed row by row: when the records are committed at T, the share p of them that waited least
waited at most T minus the (1 - p) quantile of arrival.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from event_lake.deduplicate import Judged
from event_lake.deduplicate.verdicts import DUPLICATE, STORED
from event_lake.errors import in_one_line
from event_lake.placement import Volume
from event_lake.quantiles import Summary, quantiles
from event_lake.telemetry.measures import PERCENTILES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spread:
    """Unix microseconds, or a span of microseconds: by percentile (p50, p95, p99), and the extreme as `max`."""

    values: Mapping[str, int]


class Arrivals:
    """Of one micro-batch; nothing is known before it is looked at."""

    def __init__(self) -> None:
        self._waited: dict[str, Spread | None] = {}
        self._age: Spread | None = None

    def look(self, judged: Judged, parts: Sequence[Volume]) -> None:
        """At a micro-batch that has run, of these volumes. Where Spark cannot, that is logged, and nothing is known."""
        of = {verdict: [part for part in parts if part.verdict == verdict] for verdict in (STORED, DUPLICATE)}
        stored = sum(part.rows for part in of[STORED])
        if not stored and not of[DUPLICATE]:
            return
        try:
            found = judged.arrived(stored)
        except (Py4JError, PySparkException) as error:
            log.warning("metrics percentiles unknown: %s", in_one_line(error))
            return
        upside_down = [1 - share for share in PERCENTILES.values()]
        for verdict, arrived in ((STORED, found.stored), (DUPLICATE, found.duplicates)):
            first = min((part.first_arrival for part in of[verdict] if part.first_arrival is not None), default=None)
            self._waited[verdict] = _spread(arrived, upside_down, first)
        oldest = max((part.greatest_age for part in parts if part.greatest_age is not None), default=None)
        self._age = _spread(found.age, list(PERCENTILES.values()), oldest)

    def waited(self, verdict: str) -> Spread | None:
        """Arrival times of stored records or duplicates, as they bound waiting: p95 is the 5 % quantile, `max` the
        first arrival. None where there are none."""
        return self._waited.get(verdict)

    def age(self) -> Spread | None:
        """From an event's `created_at` to its arrival; stored events only."""
        return self._age


def _spread(parts: Sequence[Summary], shares: Sequence[float], extreme: int | None) -> Spread | None:
    found = quantiles(parts, shares)
    if extreme is None or not found:
        return None
    return Spread({**dict(zip(PERCENTILES, found, strict=True)), "max": extreme})
