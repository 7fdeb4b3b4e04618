"""Rows are joined by all of their columns, whatever their hash says."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from event_lake.hash_join import left_join_by_hash

PLACES = [("a", 1), ("a", 2), ("b", 1), ("a", None), (None, 1), (None, None)]


@pytest.mark.parametrize("broadcast", [True, False])
def test_each_row_finds_its_own_and_null_is_a_value(spark: SparkSession, broadcast: bool) -> None:
    rows = spark.createDataFrame(PLACES, "shard string, number long")
    found = [(*place, f"of {place}") for place in PLACES if place != ("b", 1)]
    others = spark.createDataFrame(found, "_shard string, _number long, what string")
    joined = left_join_by_hash(rows, others, {"shard": "_shard", "number": "_number"}, broadcast)
    assert {(row["shard"], row["number"]): row["what"] for row in joined.collect()} == {
        place: None if place == ("b", 1) else f"of {place}" for place in PLACES
    }


def test_the_same_hash_is_not_the_same_row(spark: SparkSession) -> None:
    """Spark's hash passes over nulls, so these two have the same."""
    rows = spark.createDataFrame([("a", None)], "one string, two string")
    others = spark.createDataFrame([(None, "a", 1)], "_one string, _two string, number long")
    assert rows.selectExpr("xxhash64(one, two)").first() == others.selectExpr("xxhash64(_one, _two)").first()
    joined = left_join_by_hash(rows, others, {"one": "_one", "two": "_two"}, broadcast=True)
    assert [row["number"] for row in joined.collect()] == [None]
