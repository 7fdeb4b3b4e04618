"""What each micro-batch did: by the metrics table, or counted anew from the rows of the tables."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from event_lake.stored_rows import received, waited
from event_lake.telemetry.measures import METRICS, PERCENTILES

ACCURACY = 1000  # of percentile_approx: a thousandth of the ranks
SHARES = {**PERCENTILES, "max": 1.0}

# Columns of telemetry.measures, with their types and units. The last three are null where they come from the tables.
COLUMNS = (
    "stored_at",
    "received",
    "stored",
    "duplicates",
    "quarantined",
    "duplicate_rate",
    *(f"{name}_{part}_seconds" for name in ("stored_latency", "duplicate_latency") for part in SHARES),
    "lag_seconds",
    "seconds",
    "complete_through",
)


def measured(metrics: DataFrame) -> DataFrame:
    """COLUMNS of the metrics table; micro-batches that were empty are left out."""
    return metrics.where("received > 0").select(*COLUMNS)


def recounted(events: DataFrame, duplicates: DataFrame, quarantine: DataFrame) -> DataFrame:
    """COLUMNS from the rows: those of one micro-batch have the same `stored_at`. A pass over three of their columns."""
    rows = received(events, duplicates, quarantine)
    counts = [F.count_if(F.col("verdict") == name).alias(name) for name in ("stored", "duplicates", "quarantined")]
    spreads = [
        percentile.alias(f"{name}_{part}_seconds")
        for name, verdict in (("stored_latency", "stored"), ("duplicate_latency", "duplicates"))
        for part, percentile in _waited(verdict).items()
    ]
    counted = rows.groupBy("stored_at").agg(F.count(F.lit(1)).alias("received"), *counts, *spreads)
    good = F.col("stored") + F.col("duplicates")
    return (
        counted.withColumn("duplicate_rate", F.when(good > 0, F.col("duplicates") / good))
        .withColumns({name: F.lit(None).cast(METRICS[name].dataType) for name in COLUMNS[-3:]})
        .select(*COLUMNS)
    )


def _waited(verdict: str) -> dict[str, Column]:
    """Percentiles of the seconds from a record's arrival until it was stored."""
    of_verdict = F.when(F.col("verdict") == verdict, waited())
    return {part: F.percentile_approx(of_verdict, share, ACCURACY) for part, share in SHARES.items()}
