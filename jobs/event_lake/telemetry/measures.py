"""Every measure of a micro-batch, once: name, type and unit. docs/metrics.md says what they mean."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

COUNTED = MapType(StringType(), LongType())
# Of what is spread: the share of records that is not above it.
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Measure:
    """One column of the metrics table, and one name everywhere else."""

    name: str
    type: DataType
    unit: str  # records, bytes, seconds, ...; "name", "time" and "date" are no numbers
    adds_up: bool = False  # whether the sum over micro-batches means something


def _seconds(*names: str, adds_up: bool = False) -> list[Measure]:
    return [Measure(name, DoubleType(), "seconds", adds_up) for name in names]


def _counts(unit: str, *names: str, adds_up: bool = True) -> list[Measure]:
    return [Measure(name, LongType(), unit, adds_up) for name in names]


def _spread(name: str) -> list[Measure]:
    return _seconds(*(f"{name}_{part}_seconds" for part in (*PERCENTILES, "max")))


MEASURES = (
    Measure("query_id", StringType(), "name"),
    Measure("batch_id", LongType(), "number"),
    Measure("date", DateType(), "date"),
    Measure("planned_at", TimestampType(), "time"),
    Measure("stored_at", TimestampType(), "time"),
    Measure("complete_through", TimestampType(), "time"),
    Measure("replayed", BooleanType(), "yes or no"),
    *_counts("records", "received", "stored", "duplicates", "quarantined", "late_dropped"),
    *_counts("gaps", "gaps"),
    *_counts("records", "contract_broken"),
    Measure("duplicate_rate", DoubleType(), "share"),
    Measure("quarantined_by_problem", COUNTED, "records", adds_up=True),
    Measure("stored_by_type", COUNTED, "records"),
    *_counts("records", "stored_of_other_types", adds_up=False),
    *_counts("bytes", "stored_bytes", "duplicate_bytes", "quarantined_bytes"),
    *_spread("stored_latency"),
    *_spread("duplicate_latency"),
    *_spread("event_age"),
    *_seconds("lag_seconds"),
    Measure("lag_shard", StringType(), "name"),
    *_counts("shards", "shards", adds_up=False),
    *_seconds("complete_through_age_seconds"),
    *_seconds("seconds", "judging_seconds", "write_events_seconds", "write_duplicates_seconds", adds_up=True),
    *_seconds("write_quarantine_seconds", "index_seconds", "measuring_seconds", "maintenance_seconds", adds_up=True),
    *_counts("keys", "index_keys", adds_up=False),
    *_counts("bytes", "index_bytes", adds_up=False),
    *_counts("files", "index_segments", adds_up=False),
    *_counts("files", "files_written"),
    *_counts("bytes", "bytes_written"),
    *_counts("number", "events_version", "duplicates_version", "quarantine_version", adds_up=False),
)

# The columns of the metrics table.
METRICS = StructType([StructField(measure.name, measure.type) for measure in MEASURES])
METRICS_PARTITIONS = ("date",)


def numbers() -> list[Measure]:
    """Those that can be drawn over time: no names, times or numbers that only name something."""
    kinds = (LongType(), DoubleType())
    return [measure for measure in MEASURES if measure.type in kinds and measure.unit != "number"]
