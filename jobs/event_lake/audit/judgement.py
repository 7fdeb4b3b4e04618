"""What the audit takes for a good event, written from the README's words and not from `event_lake.verdict`.

It answers good or not good, never why: that is what quarantine says. Plain Python for each record, since nothing in
Spark reads JSON as strictly as orjson; what a record needs of it beside that is a dozen comparisons.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
from pyspark.sql.types import BinaryType, LongType, StringType, StructField, StructType, TimestampType

from event_lake.audit.unpacking import GZIP, ZSTD, unpack
from kinesis_source.worker import forget_zip_finders

KEYS = ("event_uuid", "event_name", "created_at")
KEY_BYTES = tuple(key.encode() for key in KEYS)
TYPE = re.compile(r"[A-Za-z0-9_.-]{1,128}")
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
MILLENNIUM = 946_684_800  # 2000-01-01T00:00:00Z in Unix seconds
DAY = 86_400_000_000  # microseconds

# What `event_lake.audit.stream` makes of a raw record.
JUDGED = StructType(
    [
        StructField("shard_id", StringType()),
        StructField("sequence_number", StringType()),
        StructField("sub_sequence_number", LongType()),
        StructField("partition_key", StringType()),
        StructField("arrived_at", TimestampType()),
        StructField("data", BinaryType()),  # as it came
        StructField("unpacked", BinaryType()),  # of a good event that came compressed
        StructField("event_uuid", StringType()),  # where readable, as event_name
        StructField("event_name", StringType()),
        StructField("created_micros", LongType()),  # Unix microseconds, floor; null where the event is not good
    ]
)
RAW_PLACE = ("shardId", "sequenceNumber", "subSequenceNumber", "partitionKey", "approximateArrivalTimestamp", "data")


class Reading(NamedTuple):
    """One record as read; good where `created_micros` is there."""

    unpacked: bytes | None = None
    event_uuid: str | None = None
    event_name: str | None = None
    created_micros: int | None = None


NOTHING = Reading()


def judge_batches(most_unpacked: int, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """schema.RAW_RECORD in, JUDGED out, row by row."""
    forget_zip_finders()
    # json's recursion counts against it; orjson has refused what is nested deeper than 1,024 before.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 10_000))
    for batch in batches:
        arrived = batch.column("approximateArrivalTimestamp").cast(pa.int64()).to_pylist()
        readings = [
            read(data, micros or 0, most_unpacked)
            for data, micros in zip(batch.column("data").to_pylist(), arrived, strict=True)
        ]
        unpacked, uuids, names, created = zip(*readings, strict=True) if readings else [()] * 4
        read_columns = [
            pa.array(unpacked, pa.binary()),
            pa.array(uuids, pa.string()),
            pa.array(names, pa.string()),
            pa.array(created, pa.int64()),
        ]
        yield pa.RecordBatch.from_arrays(
            [*(batch.column(name) for name in RAW_PLACE), *read_columns], names=JUDGED.fieldNames()
        )


def read(data: bytes | None, arrived_micros: int, most_unpacked: int) -> Reading:
    """Reads one record that arrived at `arrived_micros` (Unix microseconds). Never raises."""
    if not data:
        return NOTHING
    packed = data.startswith((GZIP, ZSTD))
    content = unpack(data, most_unpacked) if packed else data
    if not content:
        return NOTHING
    try:
        event = orjson.loads(content)
    except orjson.JSONDecodeError:
        return NOTHING
    if type(event) is not dict:
        return NOTHING
    uuid, name = event.get("event_uuid"), event.get("event_name")
    created = _created(event.get("created_at"), arrived_micros)
    is_good = created is not None and _is_uuid(uuid) and _is_name(name) and not _contradicts_itself(content)
    return Reading(
        content if is_good and packed else None,
        uuid if type(uuid) is str else None,
        name if type(name) is str else None,
        created if is_good else None,
    )


def _is_uuid(value: Any) -> bool:
    return type(value) is str and 1 <= len(value) <= 256


def _is_name(value: Any) -> bool:
    if type(value) is not str:
        return False
    event_type = value.split(":", 1)[0]
    return TYPE.fullmatch(event_type) is not None and event_type != "__HIVE_DEFAULT_PARTITION__"


def _created(value: Any, arrived_micros: int) -> int | None:
    """Unix microseconds, floor; None where it is no number, or before 2000 or more than a day after arrival."""
    if type(value) is int:
        micros = value * 1_000_000
        return micros if MILLENNIUM * 1_000_000 <= micros <= arrived_micros + DAY else None
    is_text = type(value) is str and len(value) <= 1000 and NUMBER.fullmatch(value) is not None
    if type(value) is not float and not is_text:
        return None
    try:
        seconds = Decimal(str(value))
    except ArithmeticError:
        return None  # an exponent beyond all reason
    # Within the last microsecond that is allowed: the table keeps no more of it.
    if not MILLENNIUM <= seconds < Decimal(arrived_micros + DAY + 1) / 1_000_000:
        return None
    return int(Fraction(seconds) * 1_000_000 // 1)


def _contradicts_itself(content: bytes) -> bool:
    """Whether one of the three keys is given more than once, with different values."""
    if all(content.count(key) < 2 for key in KEY_BYTES) and b"\\u00" not in content:
        return False
    members = json.loads(content.decode(), object_pairs_hook=list)  # every object as the list of its members
    for key in KEYS:
        values = [value for name, value in members if name == key]
        if any(type(value) is not type(values[0]) or value != values[0] for value in values):
            return True
    return False
