"""The range of the stream that is audited: where it begins and ends, and its records, each judged anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

import kinesis_source
from event_lake.audit.judgement import JUDGED, judge_batches
from event_lake.audit.tables import Reach, content_of_duplicate, content_of_event, content_of_quarantine
from event_lake.config import Source
from event_lake.errors import ConfigError
from event_lake.schema import PLACE
from event_lake.source import kinesis_options, named_failure, raw_kinesis
from kinesis_source.batch import plan
from kinesis_source.bounds import Bounds
from kinesis_source.position import Position, format_time, parse_time

ALL = "trim_horizon"
DAY = timedelta(days=1)
# How far from the oldest record that the stream still keeps an audit stays: it takes its time to read.
AWAY_FROM_RETENTION = timedelta(minutes=5)
# A row that arrived so close to an end of the range may belong to its neighbour, since arrival times need not increase
# within a shard. Further inside it belongs to the range, wherever its sequence number lies.
EDGE = timedelta(minutes=10)
LONGEST_NUMBER = 129  # digits of a sequence number (API reference)
BEHIND_ALL = "~"


@dataclass(frozen=True)
class Span:
    """What is audited: the records of each shard from its first one that arrived at `start` or later, up to its first
    one that arrived at `end` or later; or, where `offset` is there, up to those positions."""

    start: datetime
    end: datetime | None  # null where the table does not say how far it is complete
    offset: str | None

    @classmethod
    def of(cls, since: str | None, until: str | None, reach: Reach, kept_since: datetime) -> Span:
        """By what was asked for (ISO 8601, ALL, or nothing), how far the table goes, and since when the stream has its
        records. Raises ConfigError where the one cannot be held against the other."""
        through = None if reach.complete_through is None else _time("complete_through", reach.complete_through)
        end = through if until is None else _time("--to", until)
        if until is not None and (end is None or through is None or end > through):
            raise ConfigError(
                f"--to is {until}, but the events table is complete only through {reach.complete_through}: what "
                "arrived after that may be on its way. Leave --to out to audit up to where the table goes, or wait for "
                "the job."
            )
        oldest = kept_since + AWAY_FROM_RETENTION
        if since is None:
            start = max((end or datetime.now(UTC)) - DAY, oldest)
        else:
            start = kept_since if since == ALL else _time("--from", since)
        if start < kept_since:
            raise ConfigError(
                f"--from is {since}, but the stream keeps only what arrived since {kept_since.isoformat()}: nothing is "
                "left to hold the tables against. Choose a later time, and lengthen the retention, or audit "
                "more often, if that is too late."
            )
        if end is not None and start > end:
            raise ConfigError(f"--from ({start.isoformat()}) lies behind the end of the range ({end.isoformat()})")
        return cls(start, end, reach.end_offset if until is None else None)

    def options(self, source: Source, parallelism: int) -> dict[str, str]:
        """The options of `kinesis-exact`, for a batch."""
        end = self.offset or format_time(self.end.timestamp() if self.end else 0)
        bounds = {"startingPosition": format_time(self.start.timestamp()), "endingPosition": end}
        return {**kinesis_options(source, parallelism), "failOnDataLoss": "true", **bounds}


def judged_records(spark: SparkSession, options: dict[str, str], most_unpacked: int, by_hour: bool) -> DataFrame:
    """Every record of the range: PLACE, partition_key, arrived_at, event_uuid, event_name, is_good; and as hashes
    payload_hash, and what a row of each table would say of it: as_event, as_duplicate, as_quarantined (and as_unpacked,
    the same of a good event that came compressed, and as_replayed, as_duplicate without the partition key). `by_hour`:
    the events table is partitioned by the hour, too."""
    judged = raw_kinesis(spark, options).mapInArrow(partial(judge_batches, most_unpacked), JUDGED)
    event_type = F.split_part("event_name", F.lit(":"), F.lit(1))
    subtype = F.split_part("event_name", F.lit(":"), F.lit(2))
    payload = F.coalesce("unpacked", "data")
    good = judged.withColumns(
        {
            "is_good": F.col("created_micros").isNotNull(),
            "event_type": event_type,
            "event_subtype": F.when(subtype != "", subtype),
            "created_at": F.expr("created_micros div 1000000"),
            "created_datetime": F.timestamp_micros("created_micros"),
        }
    )
    arrived_on = F.to_date("arrived_at")
    hour = F.hour("created_datetime") if by_hour else F.lit(None)
    return good.select(
        *PLACE,
        "partition_key",
        "arrived_at",
        "event_uuid",
        "event_name",
        "is_good",
        F.xxhash64(payload).alias("payload_hash"),
        content_of_event(payload, F.to_date("created_datetime"), hour).alias("as_event"),
        content_of_duplicate(arrived_on).alias("as_duplicate"),
        content_of_duplicate(arrived_on, F.lit(None).cast("string")).alias("as_replayed"),
        content_of_quarantine(F.col("data"), arrived_on).alias("as_quarantined"),
        content_of_quarantine(payload, arrived_on).alias("as_unpacked"),
    )


def kept_since(source: Source) -> datetime:
    """Since when the stream keeps every record."""
    with _named():
        return datetime.fromtimestamp(kinesis_source.kept_since(kinesis_options(source, 1)), UTC)


def shard_ranges(spark: SparkSession, options: dict[str, str]) -> DataFrame:
    """What of each shard is in the range: shard_id, and the sequence numbers `low` (included) and `high` (not
    included), as texts that compare like numbers (`comparable`). Shards with nothing in the range are not there."""
    with _named():
        planned = plan(*Bounds.parse(options)).ranges
    table = pa.table(
        {
            "shard_id": pa.array([each.shard_id for each in planned], pa.string()),
            "low": pa.array([_boundary(each.start, "") for each in planned], pa.string()),
            "high": pa.array([_boundary(each.end, BEHIND_ALL) for each in planned], pa.string()),
        }
    )
    return spark.createDataFrame(table)


def comparable(sequence_number: Column) -> Column:
    return F.lpad(sequence_number, LONGEST_NUMBER, "0")


@contextmanager
def _named() -> Iterator[None]:
    """The source's errors as the job's."""
    try:
        yield
    except kinesis_source.KinesisSourceError as error:
        raise named_failure(f"{type(error).__module__}.{type(error).__name__}: {error}") from error


def _boundary(position: Position, otherwise: str) -> str:
    """The first sequence number that may stand behind a position."""
    if position.sequence is None:
        return otherwise
    return str(position.sequence + (position.kind == "after")).zfill(LONGEST_NUMBER)


def _time(name: str, text: str) -> datetime:
    try:
        return datetime.fromtimestamp(parse_time(text), UTC)
    except kinesis_source.OptionError as error:
        raise ConfigError(f"{name}: {error}") from error
