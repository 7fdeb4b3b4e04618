"""Every raw record comes out once, with a verdict and its own bytes, whatever is in it."""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from chispa.dataframe_comparer import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.parse import parse
from event_lake.schema import PARSED_RECORD
from odd_events import BROKEN, PACKED, UNUSUAL, UNUSUAL_UUIDS
from records import ARRIVED, event, event_bytes, parsed_frame, raw_frame, raw_record, raw_records, rows

PROBLEMS = {
    "empty",
    "compressed_corrupt",
    "unpacked_too_large",
    "not_json",
    "not_an_object",
    "repeated_key",
    "event_uuid_missing",
    "event_uuid_not_string",
    "event_uuid_empty",
    "event_uuid_too_long",
    "event_name_missing",
    "event_name_not_string",
    "event_type_invalid",
    "created_at_missing",
    "created_at_not_number",
    "created_at_in_milliseconds",
    "created_at_out_of_range",
}


def parsed(spark: SparkSession, *data: bytes | None, **overrides: object) -> list[dict[str, Any]]:
    """The row of each piece of data, in their order."""
    found = rows(parsed_frame(spark, raw_records(data, **overrides)))
    assert [row["data"] for row in found] == list(data)
    return found


def carried_over(raw: DataFrame) -> DataFrame:
    """What parsing must not touch, under the names that it has afterwards."""
    return raw.select(
        "data",
        F.col("approximateArrivalTimestamp").alias("arrived_at"),
        F.col("shardId").alias("shard_id"),
        F.col("sequenceNumber").alias("sequence_number"),
        F.col("subSequenceNumber").alias("sub_sequence_number"),
    )


def test_a_good_event_gets_its_columns_in_the_order_of_the_schema(spark: SparkSession) -> None:
    data, digest = event_bytes(created_at=1644839990.25), hashlib.sha256(b"1234567890").digest()
    expected = {
        "problem": None,
        "detail": None,
        "event_uuid": "1234567890",
        "event_name": "lesson:started",
        "event_type": "lesson",
        "event_subtype": "started",
        "created_at": 1644839990,
        "created_datetime": datetime(2022, 2, 14, 11, 59, 50, 250_000, UTC),
        "data": data,
        "arrived_at": ARRIVED,
        "shard_id": "shardId-000000000000",
        "sequence_number": "7",
        "sub_sequence_number": 3,
        "partition_key": "1234567890",
        "key_hi": int.from_bytes(digest[:8], "big") - 2**63,
        "key_lo": int.from_bytes(digest[8:16], "big") - 2**63,
    }
    frame = parsed_frame(spark, [raw_record(data=data, sequenceNumber="7", subSequenceNumber=3)])
    assert frame.schema == PARSED_RECORD
    assert rows(frame) == [expected]
    assert list(rows(frame)[0]) == PARSED_RECORD.fieldNames()


def test_every_broken_kind_comes_out_with_its_code(spark: SparkSession) -> None:
    found = parsed(spark, *[build(event()) for _, build in (*BROKEN, *PACKED)])
    assert [row["problem"] for row in found] == [problem for problem, _ in (*BROKEN, *PACKED)]
    assert {row["problem"] for row in found} == PROBLEMS
    for row in found:
        assert row["detail"]
        nothing = ("event_type", "created_at", "created_datetime", "key_hi", "key_lo")
        assert {row[name] for name in nothing} == {None}


def test_unusual_events_are_good(spark: SparkSession) -> None:
    found = parsed(spark, *[build(event()) for build in UNUSUAL])
    assert {row["problem"] for row in found} == {None}
    assert {row["event_uuid"] for row in found} == {"1234567890"}


def test_a_good_event_comes_out_unpacked_and_a_bad_record_as_it_came(spark: SparkSession) -> None:
    good, bad = event_bytes(title="Übung"), event_bytes(event_name="")
    came = [good, gzip.compress(good), pa.compress(good, codec="zstd", asbytes=True), gzip.compress(bad), b"", None]
    found = rows(parsed_frame(spark, raw_records(came)))
    assert [row["data"] for row in found] == [good, good, good, *came[3:]]
    assert [row["problem"] for row in found] == [None, None, None, "event_type_invalid", "empty", "empty"]


def test_what_a_record_may_unpack_to_can_be_set(spark: SparkSession) -> None:
    raw = raw_frame(spark, raw_records([gzip.compress(event_bytes(title="x" * 1000))]))
    assert [row["problem"] for row in rows(parse(raw, 1000))] == ["unpacked_too_large"]
    assert [row["problem"] for row in rows(parse(raw, 2000))] == [None]


def test_unusual_uuids_are_kept_to_the_letter(spark: SparkSession) -> None:
    uuids = [build("5a0e2b71-9f3c-4d57-8a40-6f1f0c2d9be1") for build in UNUSUAL_UUIDS]
    found = parsed(spark, *[event_bytes(event_uuid=uuid) for uuid in uuids])
    assert [(row["problem"], row["event_uuid"]) for row in found] == [(None, uuid) for uuid in uuids]


def test_bytes_place_and_arrival_come_out_as_they_went_in(spark: SparkSession) -> None:
    data = [
        bytes(range(256)),
        b"\x00",
        b"\xff\xfe",
        '{"title": "Übung \\u00fc \N{ROCKET}\\/"}\r\n'.encode(),
        b'{"event_uuid" : "1", "event_name":"a" ,"created_at":1.644839990E9 }',
        b" " * 100_000,
        b"",
    ]
    raw = raw_frame(spark, raw_records(data, approximateArrivalTimestamp=ARRIVED.replace(microsecond=123_456)))
    assert_df_equality(carried_over(raw), parse(raw).select(carried_over(raw).columns), ignore_nullable=True)


def test_what_a_source_lacks_stays_null_and_does_not_matter(spark: SparkSession) -> None:
    columns = ["shardId", "sequenceNumber", "subSequenceNumber", "streamName", "partitionKey"]
    raw = raw_frame(
        spark, [raw_record(data=data, **{name: None}) for name in columns for data in (event_bytes(), b"{}")]
    )
    assert [row["problem"] for row in rows(parse(raw))] == [None, "event_uuid_missing"] * len(columns)
    assert_df_equality(carried_over(raw), parse(raw).select(carried_over(raw).columns), ignore_nullable=True)


def test_a_record_without_data_is_empty_and_its_data_stays_null(spark: SparkSession) -> None:
    (found,) = parsed(spark, None)
    assert (found["problem"], found["data"]) == ("empty", None)


def test_a_row_that_stands_for_lost_records_is_a_gap_and_says_which(spark: SparkSession) -> None:
    what = "DATA LOSS in shard shardId-000000000000 of stream events: " + "what is gone " * 40
    lost = raw_record(data=None, subSequenceNumber=-1, partitionKey=what)
    gap, good = rows(parsed_frame(spark, [lost, raw_record()]))
    assert (gap["problem"], gap["detail"], gap["data"]) == ("gap", what, None)
    assert good["problem"] is None


def test_a_record_without_arrival_is_kept_with_a_problem(spark: SparkSession) -> None:
    good, bad = parsed(spark, event_bytes(), b"{", approximateArrivalTimestamp=None)
    assert (good["problem"], good["arrived_at"]) == ("created_at_out_of_range", None)
    assert (bad["problem"], bad["arrived_at"]) == ("not_json", None)


def test_of_many_records_each_comes_out_once(spark: SparkSession) -> None:
    count = 25_000  # several Arrow batches in each partition
    numbers = spark.range(count, numPartitions=2)
    text = F.format_string('{"event_uuid":"%d","event_name":"lesson:started","created_at":1644839990}', F.col("id"))
    broken = F.when(F.col("id") % 10 == 0, F.lit("broken")).otherwise(text)
    raw = numbers.select(
        broken.cast("binary").alias("data"),
        F.lit("events").alias("streamName"),
        F.lit(None).cast("string").alias("shardId"),
        F.lit(None).cast("string").alias("partitionKey"),
        F.col("id").cast("string").alias("sequenceNumber"),
        F.lit(0).cast("long").alias("subSequenceNumber"),
        F.lit(ARRIVED).alias("approximateArrivalTimestamp"),
    )
    found = rows(parse(raw).select("problem", "event_uuid", "sequence_number"))
    assert sorted(int(row["sequence_number"]) for row in found) == list(range(count))
    for row in found:
        is_broken = int(row["sequence_number"]) % 10 == 0
        assert row["problem"] == ("not_json" if is_broken else None)
        assert row["event_uuid"] == (None if is_broken else row["sequence_number"])


def test_no_records_give_no_rows_but_all_columns(spark: SparkSession) -> None:
    nothing = parse(raw_frame(spark, [raw_record()]).where("sequenceNumber = 'none'"))
    assert nothing.schema == PARSED_RECORD
    assert nothing.collect() == []
