"""Joining a micro-batch with a small table by several columns, some of them null.

Spark would write all of those columns and whether each is null into a key for every row, hash it and look it up; by one
number that is quicker. The columns themselves decide, so it does not matter that two hashes may be the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def left_join_by_hash(rows: DataFrame, others: DataFrame, columns: Mapping[str, str], broadcast: bool) -> DataFrame:
    """All of `rows`, each with its row of `others` or nulls.

    `columns`: those of `rows` by the ones of `others` that they must equal, of the same types; null equals null.
    """
    hashed = others.withColumn("_hash", F.xxhash64(*columns.values()))
    conditions = [F.xxhash64(*columns) == F.col("_hash"), *map(_same, columns, columns.values())]
    return rows.join(F.broadcast(hashed) if broadcast else hashed, reduce(Column.__and__, conditions), "left")


def _same(one: str, other: str) -> Column:
    """Equal or both null, in words that Spark does not take for a key of the join."""
    equal = (F.col(one) <= F.col(other)) & (F.col(one) >= F.col(other))
    return equal | (F.col(one).isNull() & F.col(other).isNull())
