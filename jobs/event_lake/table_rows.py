"""Judged records as rows of their tables, but for `stored_at`, which the sink adds."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from event_lake.deduplicate.verdicts import GAP, QUARANTINED, STORED
from event_lake.schema import HOUR


def rows_for(judged: DataFrame, verdict: str, duplicate_payloads: bool) -> DataFrame:
    """Those of the table that holds a verdict, from a micro-batch (schema.JUDGED_RECORD), and in `_kind` what the table
    is partitioned by beside the date."""
    rows = judged.where(F.col("verdict") == verdict)
    if verdict == STORED:
        # Where the table has no such level the writer leaves it out.
        return stored(rows).withColumns({"_kind": F.col("event_type"), HOUR: F.hour("created_datetime")})
    if verdict == QUARANTINED:
        return quarantined(rows).withColumn("_kind", F.col("problem"))
    if verdict == GAP:
        return gaps(rows).withColumn("_kind", F.lit(GAP))
    return copies(rows, duplicate_payloads).withColumn("_kind", F.lit(None).cast("string"))


def stored(good: DataFrame) -> DataFrame:
    """Good parsed records as rows of the events table (schema.EVENTS)."""
    return good.select(
        "event_uuid",
        "event_name",
        "event_type",
        "event_subtype",
        "created_at",
        "created_datetime",
        F.col("data").cast("string").alias("payload"),
        "arrived_at",
        "shard_id",
        "sequence_number",
        "sub_sequence_number",
        F.to_date("created_datetime").alias("date"),
    )


def quarantined(bad: DataFrame) -> DataFrame:
    """Bad parsed records as rows of the quarantine table (schema.QUARANTINE)."""
    return bad.select(
        "problem",
        "detail",
        "data",
        "event_uuid",
        "event_name",
        "arrived_at",
        "shard_id",
        "sequence_number",
        "sub_sequence_number",
        F.to_date("arrived_at").alias("date"),
    )


def copies(duplicates: DataFrame, with_payload: bool) -> DataFrame:
    """Duplicates as rows of their table (schema.DUPLICATES)."""
    gap = F.unix_micros("arrived_at") - F.unix_micros("first_arrived_at")
    payload = F.col("data") if with_payload else F.lit(None)
    return duplicates.select(
        "event_uuid",
        "event_name",
        "event_type",
        "arrived_at",
        "first_arrived_at",
        (gap / 1_000_000).alias("gap_seconds"),
        "same_payload",
        payload.cast("string").alias("payload"),
        "shard_id",
        "sequence_number",
        "sub_sequence_number",
        "partition_key",
        F.to_date("arrived_at").alias("date"),
    )


def gaps(lost: DataFrame) -> DataFrame:
    """What the source says of lost records as rows of their table (schema.GAPS), and with where a record comes from.
    The source tells in JSON: see kinesis_source.gap."""
    said = F.from_json("detail", "why string, `from` string, `to` string, since string")
    return lost.select(
        "shard_id",
        said["from"].alias("from_position"),
        said["to"].alias("to_position"),
        said["since"].cast("timestamp").alias("from_time"),
        F.col("arrived_at").alias("to_time"),
        F.coalesce(said["why"], "detail").alias("why"),
        F.to_date("arrived_at").alias("date"),
        "sequence_number",
        "sub_sequence_number",
    )
