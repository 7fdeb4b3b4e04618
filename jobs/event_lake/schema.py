"""The columns of every record and table, once. All times are UTC."""

from __future__ import annotations

from pyspark.sql.types import (
    BinaryType,
    DateType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)


def _columns(*columns: tuple[str, type]) -> StructType:
    return StructType([StructField(name, kind()) for name, kind in columns])


# What every source yields. `data` is what the stream holds, byte for byte.
RAW_RECORD = _columns(
    ("data", BinaryType),
    ("streamName", StringType),
    ("shardId", StringType),
    ("partitionKey", StringType),
    ("sequenceNumber", StringType),
    ("subSequenceNumber", LongType),
    ("approximateArrivalTimestamp", TimestampType),
)

# What parsing makes of it: every record, good or bad. `problem` is null where the event is good.
PARSED_RECORD = _columns(
    ("problem", StringType),
    ("detail", StringType),
    ("event_uuid", StringType),
    ("event_name", StringType),
    ("event_type", StringType),
    ("event_subtype", StringType),
    ("created_at", LongType),  # Unix seconds, floor
    ("created_datetime", TimestampType),
    ("data", BinaryType),
    ("arrived_at", TimestampType),
    ("shard_id", StringType),
    ("sequence_number", StringType),
    ("sub_sequence_number", LongType),
)

EVENTS = _columns(
    ("event_uuid", StringType),
    ("event_name", StringType),
    ("event_type", StringType),  # first part of the name
    ("event_subtype", StringType),  # second part; null where there is none or it is empty
    ("created_at", LongType),  # Unix seconds, floor
    ("created_datetime", TimestampType),  # fraction kept
    ("payload", StringType),  # the event's JSON, byte for byte
    ("arrived_at", TimestampType),  # when Kinesis took it
    ("stored_at", TimestampType),  # when its micro-batch was written
    ("shard_id", StringType),
    ("sequence_number", StringType),
    ("sub_sequence_number", LongType),
    ("date", DateType),  # of created_datetime
)
EVENTS_PARTITIONS = ("event_type", "date")

QUARANTINE = _columns(
    ("problem", StringType),  # a stable code, see event_lake.parse
    ("detail", StringType),
    ("data", BinaryType),  # the record as it came
    ("event_uuid", StringType),
    ("event_name", StringType),
    ("arrived_at", TimestampType),
    ("stored_at", TimestampType),
    ("shard_id", StringType),
    ("sequence_number", StringType),
    ("sub_sequence_number", LongType),
    ("date", DateType),  # of arrived_at
)
QUARANTINE_PARTITIONS = ("date", "problem")
