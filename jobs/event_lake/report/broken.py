"""What is in quarantine, by problem, with a few records of each as examples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from event_lake.audit.tables import time_of
from event_lake.report.figures import Example, Problem
from event_lake.schema import PLACE

MOST_PROBLEMS = 25  # there are about 20 codes
HEAD = 240  # bytes of a record that are shown; enough to see what it is, and no more of what a person may have sent


def problems(quarantine: DataFrame, examples: int) -> tuple[list[Problem], int]:
    """Those with most rows (schema.QUARANTINE) first, and how many more codes there are.

    `examples`: so many of each, the newest. Only the beginning of a record leaves its file.
    """
    counted = [(row["problem"], row["count"]) for row in quarantine.groupBy("problem").count().collect()]
    counted.sort(key=lambda one: (-one[1], one[0] or ""))
    shown = [code for code, _ in counted[:MOST_PROBLEMS]]
    found = _examples(quarantine, [code for code in shown if code is not None], examples) if examples else {}
    listed = [Problem(str(code), rows, found.get(code, [])) for code, rows in counted[:MOST_PROBLEMS]]
    return listed, len(counted) - len(listed)


def _examples(quarantine: DataFrame, codes: Sequence[str], most: int) -> dict[str, list[Example]]:
    newest = Window.partitionBy("problem").orderBy(F.desc("stored_at"), F.desc("arrived_at"), *PLACE)
    heads = quarantine.where(F.col("problem").isin(list(codes))).select(
        "problem",
        "detail",
        F.substring("data", 1, HEAD).alias("head"),
        F.length("data").alias("size"),
        F.unix_micros("arrived_at").alias("arrived"),
        "arrived_at",
        "stored_at",
        *PLACE,
    )
    chosen = heads.withColumn("number", F.row_number().over(newest)).where(F.col("number") <= most)
    found: dict[str, list[Example]] = defaultdict(list)
    for row in chosen.drop("arrived_at", "stored_at").orderBy("problem", "number").collect():
        arrived = None if row["arrived"] is None else time_of(row["arrived"])
        place = "/".join(str(row[name]) for name in PLACE)
        found[row["problem"]].append(
            Example(row["detail"], bytes(row["head"] or b""), row["size"] or 0, arrived, place)
        )
    return found
