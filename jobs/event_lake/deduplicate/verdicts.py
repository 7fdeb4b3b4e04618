"""The verdicts, as columns."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from event_lake.schema import PARSED_RECORD

STORED, DUPLICATE, QUARANTINED = "stored", "duplicate", "quarantined"
GAP = "gap"  # no record: what the source says of records that are lost


def with_verdict(rows: DataFrame, is_copy: Column, first_arrived_at: Column, same_payload: Column) -> DataFrame:
    """Parsed records with what was found of them (schema.JUDGED_RECORD). A bad record is never a copy."""
    problem = F.col("problem")
    of_record = F.when(problem.isNotNull(), QUARANTINED).when(is_copy, DUPLICATE).otherwise(STORED)
    verdict = F.when(problem == GAP, GAP).otherwise(of_record)
    return rows.select(
        *PARSED_RECORD.fieldNames(),
        verdict.alias("verdict"),
        first_arrived_at.alias("first_arrived_at"),
        same_payload.alias("same_payload"),
    )
