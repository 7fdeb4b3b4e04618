"""Telling who breaks a contract, where that is only counted."""

from __future__ import annotations

import logging

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from event_lake.deduplicate.verdicts import STORED

log = logging.getLogger(__name__)

MOST_LINES = 10


def tell_broken(judged: DataFrame, batch_id: int) -> None:
    """Logs a line for each event name and what is wrong with it, the most frequent first, of a persisted micro-batch
    (schema.JUDGED_RECORD)."""
    wrong = judged.where((F.col("verdict") == STORED) & F.col("detail").isNotNull())
    counted = wrong.groupBy("event_name", "detail").count().orderBy(F.desc("count"), "event_name", "detail")
    for row in counted.limit(MOST_LINES).collect():
        log.warning(
            "contract_broken=%d batch=%d event_name=%s detail=%r",
            row["count"],
            batch_id,
            row["event_name"],
            row["detail"],
        )
