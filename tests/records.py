"""Builders: one ordinary event and one ordinary raw record; a test names only what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from event_lake.deduplicate.verdicts import with_verdict
from event_lake.parse import parse
from event_lake.schema import RAW_RECORD
from event_lake.spark_api import frame_of, table_of

Record = Mapping[str, Any]

ARRIVED = datetime(2022, 2, 14, 12, 0, tzinfo=UTC)
ARRIVED_MICROS = int(ARRIVED.timestamp()) * 1_000_000
ABSENT = object()  # as an override: leave the key out


def event(**overrides: object) -> dict[str, Any]:
    """A good event, ten seconds before ARRIVED."""
    fields = {"event_uuid": "1234567890", "event_name": "lesson:started", "created_at": 1644839990, **overrides}
    return {key: value for key, value in fields.items() if value is not ABSENT}


def event_bytes(**overrides: object) -> bytes:
    return orjson.dumps(event(**overrides))


def raw_record(**overrides: object) -> dict[str, Any]:
    """One row of schema.RAW_RECORD, a good event in it."""
    return {
        "data": event_bytes(),
        "streamName": "events",
        "shardId": "shardId-000000000000",
        "partitionKey": "1234567890",
        "sequenceNumber": "49590338271490256608559692538361571095921575989136588802",
        "subSequenceNumber": 0,
        "approximateArrivalTimestamp": ARRIVED,
        **overrides,
    }


def raw_records(data: Iterable[bytes | None], **overrides: object) -> list[dict[str, Any]]:
    """A raw record for each piece of data, each in its own place in the stream."""
    return [raw_record(data=one, sequenceNumber=str(1000 + n), **overrides) for n, one in enumerate(data)]


def raw_table(records: Iterable[Record]) -> pa.Table:
    """Raw records as Arrow; keeps bytes and microseconds as they are."""
    return pa.Table.from_pylist([dict(record) for record in records], to_arrow_schema(RAW_RECORD))


def raw_frame(spark: SparkSession, records: Iterable[Record]) -> DataFrame:
    """Columns: schema.RAW_RECORD."""
    return frame_of(spark, raw_table(records), RAW_RECORD)


def parsed_frame(spark: SparkSession, records: Iterable[Record]) -> DataFrame:
    """Columns: schema.PARSED_RECORD, as `parse` makes them."""
    return parse(raw_frame(spark, records))


def judged_frame(spark: SparkSession, records: Iterable[Record]) -> DataFrame:
    """Columns: schema.JUDGED_RECORD; a record whose partition key is "copy" is a duplicate, an hour after the first."""
    is_copy = F.col("partition_key") == "copy"
    first = F.col("arrived_at") - F.expr("INTERVAL 1 HOUR")
    return with_verdict(parsed_frame(spark, records), is_copy, F.when(is_copy, first), F.when(is_copy, F.lit(True)))


def rows(frame: DataFrame) -> list[dict[str, Any]]:
    """Collected with times in UTC, whatever this machine's time zone is."""
    return [dict(row) for row in table_of(frame).to_pylist()]
