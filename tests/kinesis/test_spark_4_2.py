"""Spark 4.2's admission control, Trigger.AvailableNow and reported lag, in a real query; and the same query on 4.1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

import kinesis_source
from event_lake.spark_api import register_source
from kinesis_server import KinesisServer


class Stored:
    """What the batches of a query held."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        self.batches.append([bytes(row["data"]).decode() for row in batch.select("data").collect()])

    @property
    def records(self) -> list[str]:
        return sorted(record for batch in self.batches for record in batch)


def start(
    spark: SparkSession, server: KinesisServer, folder: Path, trigger: dict[str, Any], **options: str
) -> tuple[StreamingQuery, Stored]:
    register_source(spark, kinesis_source.KinesisDataSource)
    given = {"streamName": "events", "endpointUrl": server.endpoint_url, "holdBackMs": "0", **options}
    stored = Stored()
    frame = spark.readStream.format("kinesis-exact").options(**given).load()
    writer = frame.writeStream.foreachBatch(stored).option("checkpointLocation", str(folder / "checkpoint"))
    return writer.trigger(**trigger).start(), stored


def fill(server: KinesisServer, count: int, first: int = 0) -> list[str]:
    """Records that arrived one a second up to now."""
    made, now = [f"{first + number:05d}" for number in range(count)], server.now()
    for number, data in enumerate(made):
        server.put("events", data.encode(), partition_key=data, arrival=now - count + number)
    return made


def test_a_query_runs_and_goes_on_after_a_stop(spark: SparkSession, server: KinesisServer, tmp_path: Path) -> None:
    made = fill(server, 100)
    for more in (0, 50):
        made += fill(server, more, first=len(made))
        goal = kinesis_source.tip({"streamName": "events", "endpointUrl": server.endpoint_url})
        query, stored = start(
            spark,
            server,
            tmp_path,
            {"processingTime": "0 seconds"},
            sliceSeconds="30",
            endingPosition=json.dumps(goal.to_json()),
        )
        try:
            for _ in range(300):
                if len(stored.records) == (more or 100):
                    break
                assert not query.awaitTermination(0.2)  # type: ignore[arg-type]
            query.processAllAvailable()
        finally:
            query.stop()
        assert stored.records == sorted(made[-(more or 100) :])


def test_available_now_takes_what_had_arrived_in_bounded_batches_and_ends(
    spark: SparkSession, server: KinesisServer, tmp_path: Path
) -> None:
    made = fill(server, 400)
    query, stored = start(spark, server, tmp_path, {"availableNow": True}, maxRecordsPerBatch="50")
    assert query.awaitTermination(120)
    assert stored.records == made
    assert max(len(batch) for batch in stored.batches) <= 50
    more = fill(server, 30, first=400)
    query, stored = start(spark, server, tmp_path, {"availableNow": True}, maxRecordsPerBatch="50")
    assert query.awaitTermination(120)
    assert stored.records == more


def test_available_now_follows_splits(spark: SparkSession, server: KinesisServer, tmp_path: Path) -> None:
    made = fill(server, 50)
    first = server.shards("events")[0]["ShardId"]
    left, _ = server.split("events", first)
    made += fill(server, 50, first=50)
    server.split("events", left)
    made += fill(server, 50, first=100)
    query, stored = start(spark, server, tmp_path, {"availableNow": True}, sliceSeconds="20")
    assert query.awaitTermination(120)
    assert stored.records == sorted(made)


def test_progress_tells_how_far_behind_the_tip_each_shard_is(
    spark: SparkSession, server: KinesisServer, tmp_path: Path
) -> None:
    fill(server, 300)
    query, _ = start(spark, server, tmp_path, {"processingTime": "0 seconds"}, sliceSeconds="60")
    try:
        for _ in range(300):
            assert not query.awaitTermination(0.2)  # type: ignore[arg-type]
            reports = [json.loads(p.json)["sources"][0]["latestOffset"] for p in query.recentProgress]
            lags = [report["lagSeconds"] for report in reports if report]
            if lags and lags[-1] < 2:
                break
    finally:
        query.stop()
    assert lags[0] > 100
    assert lags == sorted(lags, reverse=True)
