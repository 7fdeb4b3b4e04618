"""Prometheus' text of the last micro-batch, and of all since the driver started."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pyspark.sql.types import TimestampType

from event_lake.telemetry.measures import MEASURES, numbers
from event_lake.telemetry.row import Row

_Family = TypeVar("_Family", CounterMetricFamily, GaugeMetricFamily)
PREFIX = "event_lake_"
TYPE = f"{PREFIX}stored_by_type"
PROBLEM = f"{PREFIX}quarantined_by_problem"


class Exposition(Collector):
    """What adds up is a counter (`_total`), from the start of the driver; all else is the last micro-batch's gauge.

    A micro-batch that a start replays is counted again, as in the job's own totals; `replayed` says so.
    """

    def __init__(self, is_healthy: Callable[[], bool], outlets: Callable[[], Mapping[str, tuple[int, int]]]) -> None:
        """`outlets`: by name, how often one has failed and how many rows it has dropped."""
        self._is_healthy = is_healthy
        self._outlets = outlets
        self._lock = threading.Lock()
        self._last: Row = {}
        self._totals: Counter[str] = Counter()
        self._problems: Counter[str] = Counter()

    def __call__(self, rows: Sequence[Row]) -> None:
        with self._lock:
            for row in rows:
                self._last = row
                self._problems.update(row.get("quarantined_by_problem") or {})
                self._totals["batches"] += 1
                for measure in numbers():
                    if measure.adds_up:
                        self._totals[measure.name] += row.get(measure.name) or 0

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            last, totals, problems = self._last, self._totals.copy(), self._problems.copy()
        yield GaugeMetricFamily(f"{PREFIX}healthy", "1 where /healthz says ok", float(self._is_healthy()))
        yield from self._of_outlets()
        if not last:
            return
        yield CounterMetricFamily(f"{PREFIX}batches", "Micro-batches", totals["batches"])
        for measure in numbers():
            if measure.adds_up:
                yield CounterMetricFamily(f"{PREFIX}{measure.name}", measure.unit, totals[measure.name])
            elif last.get(measure.name) is not None:
                yield GaugeMetricFamily(f"{PREFIX}{measure.name}", measure.unit, last[measure.name])
        for name in (measure.name for measure in MEASURES if measure.type == TimestampType()):
            moment: datetime | None = last.get(name)
            if moment is not None:
                yield GaugeMetricFamily(f"{PREFIX}{name}_timestamp", "Unix seconds", moment.timestamp())
        yield GaugeMetricFamily(f"{PREFIX}batch_id", "Number of the last micro-batch", last["batch_id"])
        yield GaugeMetricFamily(f"{PREFIX}replayed", "1 where it was a replay", float(last["replayed"]))
        counted = CounterMetricFamily(PROBLEM, "records", labels=["problem"])
        types = GaugeMetricFamily(TYPE, "records of the last micro-batch", labels=["event_type"])
        yield _filled(counted, problems.items())
        yield _filled(types, last["stored_by_type"].items())

    def _of_outlets(self) -> Iterator[Metric]:
        outlets = self._outlets().items()
        failures = CounterMetricFamily(f"{PREFIX}outlet_failures", "failures", labels=["outlet"])
        dropped = CounterMetricFamily(f"{PREFIX}outlet_dropped", "rows", labels=["outlet"])
        yield _filled(failures, ((name, failed) for name, (failed, _) in outlets))
        yield _filled(dropped, ((name, lost) for name, (_, lost) in outlets))


def _filled(family: _Family, values: Iterable[tuple[str, int]]) -> _Family:
    for label, value in values:
        family.add_metric([label], value)
    return family
