"""One engine of the deduplication at work on a stream of parsed records; what `bench_dedup` measures. By spark-submit.

The index is filled by writing its segments and manifest, as they would be after `--keys` events within one window;
Spark's operator by running that many distinct records through it. Then each micro-batch has `--batch` records.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "jobs"))
from event_lake.batch import count
from event_lake.checkpoint import CheckpointLog
from event_lake.config import Checkpoint, Config, Dedup, Lake, Source, Trigger
from event_lake.deduplicate import engine_for
from event_lake.deduplicate.folder import Folder
from event_lake.deduplicate.index import BLOCKS
from event_lake.deduplicate.recognise import KEY
from event_lake.deduplicate.segment import Keys, Segment, bucket_range, encode
from event_lake.key import signed_halves
from event_lake.mark import BatchMark
from event_lake.metrics import check_accounting
from event_lake.placement import volumes
from event_lake.schema import PARSED_RECORD
from event_lake.session import create_session
from event_lake.storage import Storage

DUPLICATES = 0.05  # half of them of keys that were there before the measurement
PAYLOAD = b'{"event_uuid":"%s","event_name":"lesson:started","created_at":1644842400,"note":"' + b"x" * 240 + b'"}'
FILL_BATCH = 5_000_000  # each one costs Spark's operator a scan of all keys
START = datetime(2026, 1, 1, tzinfo=UTC)

log = logging.getLogger("bench")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench_dedup_job.py")
    parser.add_argument("--engine", required=True)
    parser.add_argument("--home", type=Path, required=True)
    for name in ("keys", "batch", "batches"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    dedup = Dedup(engine=given.engine, window=timedelta(hours=24))
    checkpoint_path = given.home / "checkpoint"
    config = Config(Source(kind="files", path="-"), Lake(), Checkpoint(str(checkpoint_path)), dedup, Trigger())
    spark = create_session(config)
    run(spark, config, given)
    spark.stop()


def run(spark: SparkSession, config: Config, given: argparse.Namespace) -> None:
    records = given.home / "records"
    records.mkdir()
    fill_batches = -(-given.keys // FILL_BATCH) if given.engine == "spark" else 0
    for number in range(fill_batches):
        filling = range(number * FILL_BATCH, min((number + 1) * FILL_BATCH, given.keys))
        write(records, number, [uuid(n) for n in filling], b"%s")
    for number in range(given.batches):
        write(records, fill_batches + number, list(batch_uuids(given, number)), PAYLOAD)
    storage = Storage.of_session(spark)
    checkpoint = CheckpointLog(storage, config.checkpoint.path)
    engine = engine_for(spark, storage, checkpoint, config)
    engine.open()
    filled = fill(given, config) if given.engine == "index" else None

    def judge(batch: DataFrame, batch_id: int) -> None:
        began = time.monotonic()
        query_id = str(spark.sparkContext.getLocalProperty("sql.streaming.queryId"))
        if filled is not None and batch_id == 1:
            # As if the index had held them before: the manifest that this micro-batch looks its keys up in.
            last = engine._last  # type: ignore[attr-defined]
            engine._last = replace(last, segments=(*filled, *last.segments))  # type: ignore[attr-defined]
        clock = datetime.now(UTC)
        judged = engine.judge(batch, BatchMark(query_id, batch_id, f"[{batch_id}]", None), clock)
        try:
            parts = volumes(judged.rows)
            counts = count(judged.counted(), parts)
            check_accounting(batch_id, counts)
            judged.check(counts.stored)
            judged.remember()
        finally:
            judged.release()
        if batch_id >= fill_batches:
            log.info("%s batch=%d seconds=%.2f", counts, batch_id - fill_batches, time.monotonic() - began)

    stream = spark.readStream.schema(PARSED_RECORD).option("maxFilesPerTrigger", 1).parquet(str(records))
    query = (
        engine.on_stream(stream)
        .writeStream.foreachBatch(judge)
        .option("checkpointLocation", config.checkpoint.path)
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()


def uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def batch_uuids(given: argparse.Namespace, number: int) -> Iterator[str]:
    """New ones, and copies: half of filled keys (which are there from the second micro-batch on), half of its own."""
    copies = int(given.batch * DUPLICATES / 2)
    first = given.keys + number * given.batch
    for n in range(given.batch - 2 * copies):
        yield uuid(first + n)
    for n in range(copies):
        yield uuid(first + n)
        yield uuid((number * copies + n) % given.keys) if number else uuid(first + given.batch - 1 - n)


def write(folder: Path, number: int, uuids: list[str], payload: bytes) -> None:
    """A file of parsed records; all arrive within the same day. `payload` has a place for the event_uuid."""
    count = len(uuids)
    arrived = START + timedelta(hours=20, seconds=number)
    text = pa.array(uuids, pa.string())
    keys = dict(zip(KEY, signed_halves(uuids), strict=True))
    same = {"event_name": "lesson:started", "event_type": "lesson", "event_subtype": "started", "shard_id": "shard-0"}
    columns = {
        **{name: pa.nulls(count, pa.string()) for name in ("problem", "detail", "partition_key")},
        **{name: pa.repeat(pa.scalar(value), count) for name, value in same.items()},
        "event_uuid": text,
        "created_at": pa.repeat(pa.scalar(1644842400, pa.int64()), count),
        "created_datetime": pa.repeat(pa.scalar(arrived, pa.timestamp("us", tz="UTC")), count),
        "data": pa.array([payload % one.encode() for one in uuids], pa.binary()),
        "arrived_at": pa.repeat(pa.scalar(arrived, pa.timestamp("us", tz="UTC")), count),
        "sequence_number": pa.array([f"{number:06d}{n:050d}" for n in range(count)], pa.string()),
        "sub_sequence_number": pa.repeat(pa.scalar(0, pa.int64()), count),
        **keys,
    }
    table = pa.table({name: columns[name] for name in PARSED_RECORD.fieldNames()})
    pq.write_table(table, folder / f"{number:06d}.parquet", compression="none")


def fill(given: argparse.Namespace, config: Config) -> list[Segment]:
    """Segments of `--keys` keys, spread evenly over the blocks of one window and the buckets, as merges leave them.

    The keys that copies will ask for are real ones; the others are random, which is what hashes are.
    """
    folder = Folder((given.home / "checkpoint" / "seen" / "segments").as_uri())
    asked = int(given.batch * DUPLICATES / 2) * given.batches
    real = sorted(hashlib.sha256(uuid(n % given.keys).encode()).digest()[:16] for n in range(asked))
    numbers = np.frombuffer(b"".join(dict.fromkeys(real)), ">u8").astype(np.uint64).reshape(-1, 2)
    rng = np.random.default_rng(1)
    block = int(config.dedup.window.total_seconds() * 1_000_000) // BLOCKS
    last = int((START + timedelta(hours=20)).timestamp() * 1_000_000) // block * block
    segments = []
    for bucket in range(config.dedup.buckets):
        prefixes = bucket_range(bucket, config.dedup.buckets)
        own = numbers[
            (numbers[:, 0] >> np.uint64(48) >= prefixes.start) & (numbers[:, 0] >> np.uint64(48) < prefixes.stop)
        ]
        for n in range(BLOCKS):
            rows = given.keys // config.dedup.buckets // BLOCKS
            hi = rng.integers(prefixes.start << 48, prefixes.stop << 48, rows, np.uint64)
            hi[: len(own[n::BLOCKS])] = own[n::BLOCKS, 0]
            lo = rng.integers(0, 1 << 64, rows, np.uint64)
            lo[: len(own[n::BLOCKS])] = own[n::BLOCKS, 1]
            order = np.lexsort((lo, hi))
            until = last - n * block
            times = np.full(rows, until - 1)
            name = f"fill-{bucket}-{n}.arrow"
            folder.write(name, encode(Keys(hi[order], lo[order], times, times)))
            segments.append(Segment(name, rows, prefixes.start, prefixes.stop, until, 3))
    return segments


if __name__ == "__main__":
    main(sys.argv[1:])
