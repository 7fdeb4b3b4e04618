"""The Spark session of the job: the settings that it rests on, and its own packages on the workers."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
import zipfile
from importlib.resources import files
from pathlib import Path

from pyspark import SparkConf
from pyspark.sql import SparkSession

from event_lake import log_listing
from event_lake.config import Config

# What workers are given: the job's own packages, and one that is pure Python, so that executors need not have it.
PACKAGES = ("event_lake", "kinesis_source", "fastjsonschema")

# What the guarantees rest on; whatever a user sets, these stay.
FIXED = {
    "spark.sql.session.timeZone": "UTC",
    # An empty micro-batch after each one would only scan the state again.
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    # The accounting counts what tasks that won have read; the loser of two may have filled the cache (seen: exit 4).
    "spark.speculation": "false",
    # Microseconds with their time zone, as every other engine reads them; Spark's default is the old INT96.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Of repeated keys the last counts, as in everything else that reads an event.
    "spark.sql.variant.allowDuplicateKeys": "true",
    # With it VACUUM deletes the tables' logs; see log_listing.
    f"spark.hadoop.{log_listing.SETTING}": "false",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}

ALWAYS_NEW = ("event_uuid", "payload", "sequence_number")

# Good for this job; spark-submit --conf, the cluster's defaults and the [spark] section go before them.
PREFERRED = {
    "spark.app.name": "event-lake",
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    ),
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    "spark.sql.streaming.stateStore.rocksdb.trackTotalNumberOfRows": "false",
    "spark.databricks.delta.snapshotPartitions": "4",
    "spark.sql.parquet.compression.codec": "zstd",
    # Columns whose every value is new: Parquet would hash each of them in vain before it gives up on a dictionary.
    **{f"spark.hadoop.parquet.enable.dictionary#{name}": "false" for name in ALWAYS_NEW},
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    # Every stage is told how many tasks it has; planning a micro-batch's queries stage by stage only costs.
    "spark.sql.adaptive.enabled": "false",
    # A micro-batch with its table commits runs about as many generated classes as Spark keeps by default (100); one
    # more, and each of them is compiled anew in each micro-batch, by Janino and then by the JIT (seen).
    "spark.sql.codegen.cache.maxEntries": "1000",
}


def create_session(config: Config) -> SparkSession:
    """The session that the configuration asks for; logs of Spark itself from warnings up."""
    settings = SparkConf()
    chosen = {f"spark.{key}": value for key, value in config.spark.items()}
    for key, value in PREFERRED.items():
        if key not in chosen and not settings.contains(key):
            settings.set(key, value)
    for key, value in {**chosen, **FIXED}.items():
        settings.set(key, value)
    spark = SparkSession.builder.config(conf=settings).getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    ship_packages(spark)
    return spark


def ship_packages(spark: SparkSession) -> None:
    """Gives the Python workers this job's packages; without it a job imports in the driver and fails in the workers.

    Two ways, since each reaches only some of them: Spark (4.1.1, seen) starts the process that plans a Python
    streaming source without the files of --py-files and addPyFile, but with the environment; and a cluster's executors
    have those files, but not the driver's folders.
    """
    origin = Path(__file__).resolve().parent.parent
    spark.sparkContext.environment["PYTHONPATH"] = str(origin)
    if not origin.is_dir():
        return  # imported from a zip: it came with --py-files, and executors have it too
    folder = tempfile.mkdtemp(prefix="event-lake-")
    # The driver serves the zip to executors for as long as it lives.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    archive = Path(folder) / "event_lake_packages.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for package in PACKAGES:
            place = Path(str(files(package)))
            for file in sorted(place.glob("**/*.py")):
                packed.write(file, file.relative_to(place.parent))
    path = list(sys.path)
    spark.sparkContext.addPyFile(str(archive))
    # addPyFile also puts the zip first on this driver's path, where the checkout itself is to stay.
    sys.path[:] = path
