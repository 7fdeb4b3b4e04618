"""When a micro-batch's records arrived and were created: a look at a sample of them, once they are stored.

Percentiles come from about SAMPLE records of each verdict, or from all where there are no more; extremes are exact,
from the job that counts the micro-batch. Spark's observed metrics would ride on that job, without a second one, but
update percentiles row by row outside generated code, which cost many times as much (docs/decisions.md).

Latencies are not computed row by row: when the records are committed at T, the share p of them that waited least
waited at most T minus the (1 - p) quantile of arrival.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from event_lake.deduplicate.verdicts import DUPLICATE, STORED
from event_lake.sink import Volume
from event_lake.spark_api import table_of
from event_lake.telemetry.measures import PERCENTILES

log = logging.getLogger(__name__)

SAMPLE = 10_000
SEED = 1


@dataclass(frozen=True)
class Spread:
    """Unix microseconds, or a span of microseconds: by percentile (p50, p95, p99), and the extreme as `max`."""

    values: Mapping[str, int]


class Arrivals:
    """Of one micro-batch; nothing is known before it is looked at."""

    def __init__(self) -> None:
        self._waited: dict[str, Spread | None] = {}
        self._age: Spread | None = None

    def look(self, judged: DataFrame, parts: Sequence[Volume]) -> None:
        """`judged`: rows (schema.JUDGED_RECORD) that are persisted and have run, of these volumes. Where Spark cannot,
        that is logged, and nothing is known."""
        of = {verdict: [part for part in parts if part.verdict == verdict] for verdict in (STORED, DUPLICATE)}
        rows = {verdict: sum(part.rows for part in own) for verdict, own in of.items()}
        if not any(rows.values()):
            return
        try:
            sample = _sample(judged, rows)
        except (Py4JError, PySparkException) as error:
            log.warning("metrics percentiles unknown: %s", str(error).split("\n")[0])
            return
        upside_down = [1 - share for share in PERCENTILES.values()]
        for verdict, own in of.items():
            first = min((part.first_arrival for part in own if part.first_arrival is not None), default=None)
            arrived = sample.filter(pc.equal(sample["verdict"], verdict))["arrived"]
            self._waited[verdict] = _spread(arrived, upside_down, first)
        oldest = max((part.greatest_age for part in parts if part.greatest_age is not None), default=None)
        self._age = _spread(sample["age"], list(PERCENTILES.values()), oldest)

    def waited(self, verdict: str) -> Spread | None:
        """Arrival times of stored records or duplicates, as they bound waiting: p95 is the 5 % quantile, `max` the
        first arrival. None where there are none."""
        return self._waited.get(verdict)

    def age(self) -> Spread | None:
        """From an event's `created_at` to its arrival; stored events only."""
        return self._age


def _sample(judged: DataFrame, rows: Mapping[str, int]) -> pa.Table:
    """verdict string, arrived bigint (Unix microseconds), age bigint (microseconds; of stored ones)."""
    chance, verdict = F.rand(SEED), F.col("verdict")
    stored, duplicate = ((verdict == name) & (chance * count < SAMPLE) for name, count in rows.items())
    arrived = F.unix_micros("arrived_at")
    age = F.when(verdict == STORED, arrived - F.unix_micros("created_datetime"))
    chosen = judged.where(stored | duplicate)
    return table_of(chosen.select("verdict", arrived.alias("arrived"), age.alias("age")))


def _spread(values: pa.ChunkedArray, shares: Sequence[float], extreme: int | None) -> Spread | None:
    quantiles = pc.quantile(values, shares, interpolation="nearest").to_pylist()
    if extreme is None or None in quantiles:
        return None
    return Spread({**dict(zip(PERCENTILES, quantiles, strict=True)), "max": extreme})
