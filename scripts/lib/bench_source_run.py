"""One run of the Kinesis source: processes that read, started first and let go together, and what they used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql.types import StructType

import run as run_script
from bench_processes import TICK_SECONDS, Sampler, between
from bench_run import MIB, RunFailed
from bench_source_workers import LIMIT_SECONDS, NO_ACCOUNT, Share, Workers, added_up, end, start

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "jobs"))
from kinesis_source import KinesisDataSource, tip

ROOT = run_script.ROOT


@dataclass(frozen=True)
class SourceRun:
    """Seconds from the moment in which every process was let go to the end of the last one."""

    records: int
    data_bytes: int
    seconds: float
    cpu_seconds: float  # of all reading processes
    server_cpu_seconds: float
    plan_seconds: float  # where each shard's range ends: before that for a batch, within it for a stream
    peak_mib: float  # resident, all reading processes together


def reader_run(options: dict[str, str], processes: int, server: int) -> SourceRun:
    """The batch reader as Spark drives it: `partitions` in one process, `read` of each one in a process of its own."""
    os.environ.update(NO_ACCOUNT)
    began = time.monotonic()
    reader = KinesisDataSource(options).reader(StructType())
    partitions = reader.partitions()
    planned = time.monotonic() - began
    return _together([("reader", reader, partition) for partition in partitions], server, planned)


def stream_run(options: dict[str, str], processes: int, server: int) -> SourceRun:
    """The stream reader catching up, slice by slice, as Spark drives it; what Spark does in between is left out."""
    os.environ.update(NO_ACCOUNT)
    goal = json.dumps(tip(options).to_json())
    reader = KinesisDataSource({**options, "endingPosition": goal}).streamReader(StructType())
    reading, told = 0.0, []
    with Workers(processes) as workers:
        workers.give([("nothing", reader, None)] * processes)
        workers.let_go()
        served, began = _cpu(server), time.monotonic()
        before, end = reader.initialOffset(), reader.latestOffset()
        while end != before:
            shares = [("reader", reader, partition) for partition in reader.partitions(before, end)]
            planned = time.monotonic()
            workers.give(shares)
            told.append(workers.let_go())
            reading += time.monotonic() - planned
            before, end = end, reader.latestOffset()
        seconds, served = time.monotonic() - began, _cpu(server) - served
    return SourceRun(seconds=seconds, server_cpu_seconds=served, plan_seconds=seconds - reading, **added_up(told))


def boto3_run(options: dict[str, str], processes: int, server: int) -> SourceRun:
    """GetRecords in a loop, shard after shard, the shards dealt out to the same number of processes."""
    shares = [("boto3", options, (number, processes)) for number in range(processes)]
    return _together(shares, server, planned=0.0)


def spark_run(options: dict[str, str], processes: int, server: int) -> SourceRun:
    """``spark.read`` into the noop sink, in a JVM of its own; after a first read that warms it up."""
    with tempfile.TemporaryDirectory(prefix="event-lake-bench-") as folder:
        process = start(["bench_source_spark.py", str(processes), json.dumps(options)], Path(folder))
        sampler = Sampler(process.pid, server)
        try:
            output, _ = process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise RunFailed(f"Spark did not read the stream within {LIMIT_SECONDS:.0f} s") from None
        finally:
            end([process])
            samples = sampler.stop()
    if process.returncode != 0:
        raise RunFailed(f"reading with Spark ended with exit code {process.returncode}")
    told = json.loads(output.splitlines()[-1])

    def used(name: str) -> float:
        return between(samples, told["ended"], name) - between(samples, told["began"], name)

    return SourceRun(
        records=told["records"],
        data_bytes=told["data_bytes"],
        seconds=told["ended"] - told["began"],
        cpu_seconds=used("job_cpu"),
        server_cpu_seconds=used("beside_cpu"),
        plan_seconds=0.0,
        peak_mib=max(sample.total_memory for sample in samples) / MIB,
    )


def _together(shares: Sequence[Share], server: int, planned: float) -> SourceRun:
    with Workers(len(shares)) as workers:
        workers.give(shares)
        served, began = _cpu(server), time.monotonic()
        told = workers.let_go()
        seconds, served = time.monotonic() - began, _cpu(server) - served
    return SourceRun(seconds=seconds, server_cpu_seconds=served, plan_seconds=planned, **added_up([told]))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_SECONDS
