"""When a micro-batch's records arrived and were created: found by the job that counts them, without another pass.

Spark's observed metrics (CollectMetricsExec) are accumulators beside the rows: the plan that groups and counts them
keeps them, and they can be read from it once it has run. A task that fails leaves nothing in them; a stage that runs
again because its output was lost adds its rows twice, which shifts a percentile a little and no count, since none comes
from here.

Latencies are not computed row by row: when the records are committed at T, the share p of them that waited least
waited at most T minus the (1 - p) quantile of arrival.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from event_lake.deduplicate.verdicts import DUPLICATE, STORED
from event_lake.telemetry.measures import PERCENTILES

NAME = "event-lake-arrivals"
ACCURACY = 1000  # percentile_approx: ranks are right to a thousandth of the rows


@dataclass(frozen=True)
class Spread:
    """Unix microseconds, or a span of microseconds: by percentile (p50, p95, p99), and the extreme as `max`."""

    values: Mapping[str, int]


class Arrivals:
    """Of one micro-batch: `on` its judged rows (schema.JUDGED_RECORD), `read` once an action has run."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}

    def on(self, judged: DataFrame) -> DataFrame:
        """The same rows, observed."""
        return judged.observe(NAME, *_columns())

    def read(self, ran: DataFrame) -> None:
        """`ran`: the frame, made from the observed one, whose action has run."""
        metrics = ran._jdf.queryExecution().observedMetrics().get(NAME)
        self._found = json.loads(metrics.get().json()) if metrics.isDefined() else {}

    def waited(self, verdict: str) -> Spread | None:
        """Arrival times of stored records or duplicates, as they bound waiting: p95 is the 5 % quantile, `max` the
        first arrival. None where there are none."""
        return self._spread(verdict, "first")

    def age(self) -> Spread | None:
        """From an event's `created_at` to its arrival; stored events only."""
        return self._spread("age", "last")

    def _spread(self, what: str, extreme: str) -> Spread | None:
        quantiles: Sequence[int] | None = self._found.get(f"{what}_quantiles")
        if not quantiles:
            return None
        return Spread({**dict(zip(PERCENTILES, quantiles, strict=True)), "max": self._found[f"{what}_{extreme}"]})


def _columns() -> list[Column]:
    arrived = F.unix_micros("arrived_at")
    columns = []
    for verdict in (STORED, DUPLICATE):
        own = F.when(F.col("verdict") == verdict, arrived)
        upside_down = [1 - share for share in PERCENTILES.values()]
        columns += [_quantiles(own, upside_down).alias(f"{verdict}_quantiles"), F.min(own).alias(f"{verdict}_first")]
    age = F.when(F.col("verdict") == STORED, arrived - F.unix_micros("created_datetime"))
    columns += [_quantiles(age, list(PERCENTILES.values())).alias("age_quantiles"), F.max(age).alias("age_last")]
    return columns


def _quantiles(values: Column, shares: list[float]) -> Column:
    return F.percentile_approx(values, shares, ACCURACY)
