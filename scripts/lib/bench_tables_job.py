"""Micro-batches of a simulated day into the tables, by the job's own sink: what `bench_tables` measures.

Every micro-batch is a minute of arrivals: `--rows` events of each of `--types` types, so each partition gets one file a
micro-batch, as it does from a stream. Prints one JSON line a micro-batch.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "jobs"))
from event_lake.config import Checkpoint, Config, Dedup, Lake, Maintenance, Source, Trigger
from event_lake.deduplicate.verdicts import STORED
from event_lake.delta_log import newest_snapshot
from event_lake.mark import BatchMark
from event_lake.placement import Volume
from event_lake.schema import JUDGED_RECORD
from event_lake.session import create_session
from event_lake.sink import EventSink
from event_lake.storage import Storage
from event_lake.upkeep.keeper import Keeper
from event_lake.upkeep.partitions import partitions
from event_lake.upkeep.settings import for_new_tables, table_paths
from event_lake.upkeep.stopped import StoppedLake
from event_lake.upkeep.vacuum import BackgroundVacuum

START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAY = 1440
# What Delta does by itself.
DELTAS_OWN = {
    "delta": {"spark.databricks.delta.autoCompact.enabled": "true"},
    "optimized": {"spark.databricks.delta.optimizeWrite.enabled": "true"},
}
QUERY = "00000000-0000-4000-8000-000000000000"
SCORES = "0123456789abcdef"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench_tables_job.py")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--modes", nargs="+", required=True)
    for name in ("batches", "types", "rows", "small-files"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args(arguments)
    source, checkpoint = Source(kind="files", path="-"), Checkpoint(str(given.home / "checkpoint"))
    upkeep = Maintenance(most_small_files=given.small_files, vacuum_every=timedelta(0))
    config = Config(source, Lake(), checkpoint, Dedup(), Trigger(), upkeep)
    spark = create_session(config)
    for_new_tables(spark, config.maintenance)
    spark.conf.set("spark.databricks.delta.autoCompact.minNumFiles", str(given.small_files))
    days = [Day(spark, config, given, mode) for mode in given.modes]
    for number in range(given.batches):
        # The same minute into each mode's tables in turn, so that whatever else this machine does meets all alike.
        for day in days:
            say(mode=day.mode, batch=number, **day.minute(number))
    for day in days:
        day.end()
    spark.stop()


def say(**figures: object) -> None:
    print(json.dumps(figures), flush=True)


class Day:
    """The tables of one mode, and the minute that the clock shows."""

    def __init__(self, spark: SparkSession, config: Config, given: argparse.Namespace, mode: str) -> None:
        self.mode = mode
        self._spark = spark
        home = given.home / mode
        roles = ("path", "quarantine_path", "duplicates_path", "gaps_path")
        lake = Lake(**{role: str(home / role.partition("_")[0]) for role in roles})
        self._config = replace(config, lake=lake)
        self._given = given
        self._events = lake.path
        self._now = START
        storage = Storage.of_session(spark)
        self._sink = EventSink(spark, storage, lake)
        self._sink.create()
        paths = table_paths(storage, lake)
        vacuum = BackgroundVacuum(spark, storage, paths, config.maintenance.vacuum_every)
        self._keeper = Keeper(spark, paths, config.maintenance, vacuum, clock=lambda: self._now)
        self._done = Event()
        self._beside = Thread(target=self._keep_beside)
        if mode == "beside":
            self._beside.start()

    def minute(self, number: int) -> dict[str, float]:
        """Writes a micro-batch; says how long it took, in seconds, and every now and then what the log has grown to."""
        self._now = START + timedelta(minutes=number)
        records = minute(number, self._given.types, self._given.rows)
        frame = self._spark.createDataFrame(records, JUDGED_RECORD)
        parts = volumes_of(records)
        mark = BatchMark(QUERY, number, json.dumps({"logOffset": number}), None)
        for key, value in DELTAS_OWN.get(self.mode, {}).items():
            self._spark.conf.set(key, value)
        began, used = time.monotonic(), cpu_seconds()
        self._sink.write(frame, parts, mark, datetime.now(UTC))
        wrote, after = time.monotonic(), cpu_seconds()
        for key in DELTAS_OWN.get(self.mode, {}):
            self._spark.conf.unset(key)
        if self.mode == "between":
            self._keeper.after_batch(number)
        line = {"write": wrote - began, "cpu": after - used, "pause": time.monotonic() - wrote}
        line["pause_cpu"] = cpu_seconds() - after
        looks = number % 20 == 19 or number == self._given.batches - 1
        return {key: round(value, 3) for key, value in line.items()} | (self._log() if looks else {})

    def end(self) -> None:
        """What the first day is like, before and after maintenance while the job is stopped."""
        self._done.set()
        if self._beside.is_alive():
            self._beside.join()
        self._state("as written")
        lake = StoppedLake(self._spark, self._config, lambda line: None, lambda: None, clock=lambda: self._now)
        began = time.monotonic()
        lake.maintain(dry_run=False)
        self._state("then maintain_tables", time.monotonic() - began)

    def _keep_beside(self) -> None:
        """A second thread, of one core."""
        self._keeper._session.conf.set("spark.databricks.delta.optimize.maxThreads", "1")
        looks = itertools.count()
        while not self._done.wait(0.1):
            self._keeper.after_batch(next(looks))

    def _log(self) -> dict[str, int]:
        files = [file for file in (Path(self._events) / "_delta_log").iterdir() if file.is_file()]
        checkpoints = sorted(file for file in files if file.name.endswith(".parquet"))
        return {
            "files": newest_snapshot(self._spark, self._events).numOfFiles(),
            "log_files": len(files),
            "log_bytes": sum(file.stat().st_size for file in files),
            "checkpoint_bytes": checkpoints[-1].stat().st_size if checkpoints else 0,
        }

    def _state(self, state: str, maintained: float = 0) -> None:
        """The first day as it is now, and how long two readers take to add it up."""
        day = START.date().isoformat()
        found = partitions(self._spark, self._events, self._config.maintenance.target_file_size.count, self._now.date())
        own = [part for part in found if part.value("date") == day]
        rows = min(self._given.batches, DAY) * self._given.types * self._given.rows
        duckdb_seconds, counted = timed(lambda: by_duckdb(self._events, day))
        spark_seconds, also = timed(lambda: by_spark(self._spark, self._events, day))
        say(
            mode=self.mode,
            state=state,
            day_files=sum(part.files for part in own),
            day_partitions=len(own),
            day_bytes=sum(part.data_bytes for part in own),
            written=rows,
            rows=counted if counted == also else -1,
            duckdb=duckdb_seconds,
            spark=spark_seconds,
            maintained=maintained,
        )


def timed(query: Callable[[], int]) -> tuple[float, int]:
    """The median of three runs, and what it counted."""
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        counted = query()
        seconds.append(time.monotonic() - began)
    return sorted(seconds)[1], counted


def by_duckdb(path: str, day: str) -> int:
    """Opens the table with delta-rs and adds up one day of it."""
    events = DeltaTable(path).to_pyarrow_dataset(filesystem=SubTreeFileSystem(path, LocalFileSystem()))
    with duckdb.connect() as connection:
        connection.register("events", events)
        rows = connection.execute(
            "SELECT event_type, count(*), max(length(payload)) FROM events WHERE date = CAST(? AS DATE) GROUP BY 1",
            [day],
        ).fetchall()
    return sum(row[1] for row in rows)


def by_spark(spark: SparkSession, path: str, day: str) -> int:
    events = spark.read.format("delta").load(path).where(F.col("date") == day)
    rows = events.groupBy("event_type").agg(F.count(F.lit(1)).alias("n"), F.max(F.length("payload"))).collect()
    return sum(row["n"] for row in rows)


def cpu_seconds() -> float:
    """Of this process and of the JVM, which started it."""
    ticks = 0
    for pid in (os.getpid(), os.getppid()):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def volumes_of(records: pa.Table) -> list[Volume]:
    """What the job counts by Spark, in which it is not what is measured here."""
    sizes: dict[str, list[int]] = defaultdict(list)
    for kind, data in zip(records["event_type"].to_pylist(), records["data"].to_pylist(), strict=True):
        sizes[kind].append(len(data))
    day = records["created_datetime"][0].as_py().date().isoformat()
    return [Volume(STORED, kind, day, len(found), sum(found)) for kind, found in sizes.items()]


def minute(number: int, types: int, rows: int) -> pa.Table:
    """A micro-batch as JUDGED_RECORD; payloads of about 360 bytes."""
    chance = random.Random(number)
    at = START + timedelta(minutes=number)
    count = types * rows
    kinds = [f"type{n % types:03d}" for n in range(count)]
    uuids = [f"{chance.getrandbits(128):032x}" for _ in range(count)]
    payloads = [
        json.dumps(
            {
                "event_uuid": uuid,
                "event_name": f"{kind}:started",
                "created_at": int(at.timestamp()) + n % 60,
                "user": {"id": chance.randrange(1_000_000), "plan": chance.choice(["free", "pro", "team"])},
                "amount": chance.randrange(100_000) / 100,
                "device": f"phone-{chance.randrange(40)}",
                "note": "".join(chance.choices(SCORES, k=140)),
            }
        ).encode()
        for n, (uuid, kind) in enumerate(zip(uuids, kinds, strict=True))
    ]
    same = {"event_subtype": "started", "shard_id": "shardId-000000000000", "verdict": "stored", "partition_key": "k"}
    instant = pa.scalar(at, pa.timestamp("us", tz="UTC"))
    columns = {
        **{name: pa.nulls(count, pa.string()) for name in ("problem", "detail")},
        **{name: pa.nulls(count, pa.int64()) for name in ("key_hi", "key_lo")},  # deduplication has done with them
        **{name: pa.repeat(pa.scalar(value), count) for name, value in same.items()},
        "event_uuid": pa.array(uuids),
        "event_name": pa.array([f"{kind}:started" for kind in kinds]),
        "event_type": pa.array(kinds),
        "created_at": pa.array([int(at.timestamp()) + n % 60 for n in range(count)], pa.int64()),
        "created_datetime": pa.repeat(instant, count),
        "data": pa.array(payloads, pa.binary()),
        "arrived_at": pa.repeat(instant, count),
        "sequence_number": pa.array([f"{number:06d}{n:050d}" for n in range(count)]),
        "sub_sequence_number": pa.repeat(pa.scalar(0, pa.int64()), count),
        "first_arrived_at": pa.nulls(count, pa.timestamp("us", tz="UTC")),
        "same_payload": pa.nulls(count, pa.bool_()),
    }
    return pa.table({name: columns[name] for name in JUDGED_RECORD.fieldNames()})


if __name__ == "__main__":
    main(sys.argv[1:])
