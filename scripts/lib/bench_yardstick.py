"""The yardstick: the least that plain Spark must do with the same events, as anyone would write it.

JSON lines -> from_json of three fields -> dropDuplicatesWithinWatermark -> Delta append. It reads no Kinesis, keeps no
quarantine, checks no rule and counts nothing. Runs under spark-submit; the settings come with the command.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

# created_at is a number in some events and a number in a string in others; as a string, both are read.
FIELDS = "event_uuid string, event_name string, created_at string"

log = logging.getLogger("yardstick")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench_yardstick.py")
    for name in ("events", "lake", "checkpoint", "delay"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--files-per-batch", type=int, required=True)
    given = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    spark = SparkSession.builder.appName("bench-yardstick").getOrCreate()
    spark.sparkContext.setLogLevel("WARN")

    lines = spark.readStream.option("maxFilesPerTrigger", given.files_per_batch).text(given.events)
    parsed = lines.select(
        F.from_json("value", FIELDS).alias("event"),
        F.col("value").alias("payload"),
        F.col("_metadata.file_modification_time").alias("arrived_at"),
    ).select("event.event_uuid", "event.event_name", "event.created_at", "payload", "arrived_at")
    created = F.timestamp_seconds(F.col("created_at").cast("double"))
    events = (
        parsed.withWatermark("arrived_at", given.delay)
        .dropDuplicatesWithinWatermark(["event_uuid"])
        .withColumn("created_at", created)
        .withColumn("event_type", F.split("event_name", ":")[0])
        .withColumn("date", F.to_date("created_at"))
    )
    query = (
        events.writeStream.format("delta")
        .partitionBy("event_type", "date")
        .option("checkpointLocation", given.checkpoint)
        .trigger(availableNow=True)
        .start(given.lake)
    )
    query.awaitTermination()
    for progress in query.recentProgress:
        _say(progress)
    spark.stop()


def _say(progress: Mapping[str, Any]) -> None:
    """The line that `bench_run` reads, with the time at which the micro-batch ended."""
    received = progress["numInputRows"]
    if not received:
        return
    dropped = sum(operator["customMetrics"]["numDroppedDuplicateRows"] for operator in progress["stateOperators"])
    late = sum(operator["numRowsDroppedByWatermark"] for operator in progress["stateOperators"])
    began = datetime.fromisoformat(progress["timestamp"])
    ended = began + timedelta(milliseconds=progress["durationMs"]["triggerExecution"])
    log.info(
        "%s,%03d received=%d stored=%d duplicates=%d late_dropped=%d batch=%d durations=%s",
        *(ended.strftime("%Y-%m-%d %H:%M:%S"), ended.microsecond // 1000),
        *(received, received - dropped - late, dropped, late, progress["batchId"]),
        json.dumps(progress["durationMs"], separators=(",", ":")),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
