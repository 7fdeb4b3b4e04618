"""The columns of every record and table, once. All times are UTC."""

from __future__ import annotations

from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DateType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)


def _columns(*columns: tuple[str, type]) -> StructType:
    return StructType([StructField(name, kind()) for name, kind in columns])


# What names a record: where it came from.
PLACE = ("shard_id", "sequence_number", "sub_sequence_number")

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
    ("partition_key", StringType),
    ("key_hi", LongType),  # of event_lake.key; null where there is a problem
    ("key_lo", LongType),
)

# And deduplication: `verdict` is stored, duplicate, quarantined or gap.
JUDGED_RECORD = _columns(
    *((field.name, type(field.dataType)) for field in PARSED_RECORD),
    ("verdict", StringType),
    ("first_arrived_at", TimestampType),  # of a duplicate: when its first copy arrived
    ("same_payload", BooleanType),  # of a duplicate: whether its bytes are those of its first copy
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
HOUR = "hour"  # of created_datetime, UTC, 0 to 23: only where the table is partitioned by it
EVENTS_BY_HOUR = StructType([*EVENTS, StructField(HOUR, IntegerType())])
# By the finest level, which is what lake.partition_by says.
EVENTS_LAYOUTS = {"date": (EVENTS, EVENTS_PARTITIONS), HOUR: (EVENTS_BY_HOUR, (*EVENTS_PARTITIONS, HOUR))}

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

# What has been replayed: the rows of quarantine as they were, and when each was chosen to be read again.
REPLAYED = _columns(*((field.name, type(field.dataType)) for field in QUARANTINE), ("replayed_at", TimestampType))

DUPLICATES = _columns(
    ("event_uuid", StringType),
    ("event_name", StringType),
    ("event_type", StringType),
    ("arrived_at", TimestampType),
    ("first_arrived_at", TimestampType),  # of the copy that is stored
    ("gap_seconds", DoubleType),  # arrived_at - first_arrived_at; below 0 where copies were read in another order
    ("same_payload", BooleanType),  # false: a producer used one uuid for different events
    ("payload", StringType),  # null unless lake.duplicate_payloads is true
    ("stored_at", TimestampType),  # minus arrived_at: how long it took to recognise it
    ("shard_id", StringType),
    ("sequence_number", StringType),
    ("sub_sequence_number", LongType),
    ("partition_key", StringType),
    ("date", DateType),  # of arrived_at
)
DUPLICATES_PARTITIONS = ("date",)

# Records that are lost for good, where that is allowed (source.fail_on_data_loss = false): a row for each stretch.
GAPS = _columns(
    ("shard_id", StringType),
    ("from_position", StringType),  # what reading had reached: at:SEQ, after:SEQ, or null
    ("to_position", StringType),  # the first record that is left, at:SEQ; null where none is known
    ("from_time", TimestampType),  # what arrived before then is not lost; null where that is not known
    ("to_time", TimestampType),  # what arrived then or later is not lost
    ("why", StringType),
    ("stored_at", TimestampType),
    ("date", DateType),  # of to_time
)
GAPS_PARTITIONS = ("date",)

# What was deleted from the other tables on purpose (event_lake.deletion): a row for each of their rows. Of what was in
# them it holds only the hash, by which a copy that comes later is recognised.
DELETIONS = _columns(
    ("deletion_id", StringType),  # of the run that found it
    ("table_name", StringType),  # events, quarantine or duplicates
    ("shard_id", StringType),
    ("sequence_number", StringType),
    ("sub_sequence_number", LongType),
    ("event_hash", StringType),  # SHA-256 of the event_uuid, hexadecimal; null where there was none
    ("arrived_at", TimestampType),
    ("deleted_at", TimestampType),
    ("date", DateType),  # of arrived_at
)
DELETIONS_PARTITIONS = ("date",)
