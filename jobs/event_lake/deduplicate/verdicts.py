"""The three verdicts, as columns."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from event_lake.schema import PARSED_RECORD

STORED, DUPLICATE, QUARANTINED = "stored", "duplicate", "quarantined"


def with_verdict(rows: DataFrame, is_copy: Column, first_arrived_at: Column, same_payload: Column) -> DataFrame:
    """Parsed records with what was found of them (schema.JUDGED_RECORD). A bad record is never a copy."""
    verdict = F.when(F.col("problem").isNotNull(), QUARANTINED).when(is_copy, DUPLICATE).otherwise(STORED)
    return rows.select(
        *PARSED_RECORD.fieldNames(),
        verdict.alias("verdict"),
        first_arrived_at.alias("first_arrived_at"),
        same_payload.alias("same_payload"),
    )
