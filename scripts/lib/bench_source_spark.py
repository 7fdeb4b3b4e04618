"""Reads a stream with Spark into the noop sink, twice, and says of the second time when it began and ended."""

from __future__ import annotations

import json
import os
import sys
import time

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from kinesis_source import KinesisDataSource


def main(cores: str, options: str) -> None:
    spark = (
        SparkSession.builder.master(f"local[{cores}]")
        .appName("bench-source")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.ui.enabled", "false")
        .config("spark.local.dir", os.getcwd())
        .config("spark.sql.warehouse.dir", os.getcwd())
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    spark.dataSource.register(KinesisDataSource)

    def stream() -> DataFrame:
        return spark.read.format("kinesis-exact").options(**json.loads(options)).load()

    counted = stream().agg(F.count("*"), F.sum(F.length("data"))).collect()[0]
    began = time.time()
    stream().write.format("noop").mode("overwrite").save()
    ended = time.time()
    told = {"records": counted[0], "data_bytes": counted[1], "began": began, "ended": ended}
    spark.stop()
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
