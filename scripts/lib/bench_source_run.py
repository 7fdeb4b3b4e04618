"""One run of the Kinesis source: processes that read, started first and let go together, and what they used."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql.types import StructType

import run as run_script
from bench_processes import TICK_SECONDS, Sampler, between
from bench_run import MIB, RunFailed, clean_environment

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "jobs"))
from kinesis_source import KinesisDataSource

ROOT = run_script.ROOT
HERE = Path(__file__).parent
NO_ACCOUNT = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_EC2_METADATA_DISABLED": "true"}
LIMIT_SECONDS = 300.0


@dataclass(frozen=True)
class SourceRun:
    """Seconds from the moment in which every process was let go to the end of the last one."""

    records: int
    data_bytes: int
    seconds: float
    cpu_seconds: float  # of all reading processes
    server_cpu_seconds: float
    plan_seconds: float  # before that: where each shard's range ends
    peak_mib: float  # resident, all reading processes together


def reader_run(options: dict[str, str], processes: int, server: int) -> SourceRun:
    """The batch reader as Spark drives it: `partitions` in one process, `read` of each one in a process of its own."""
    os.environ.update(NO_ACCOUNT)
    began = time.monotonic()
    reader = KinesisDataSource(options).reader(StructType())
    partitions = reader.partitions()
    planned = time.monotonic() - began
    return _together([("reader", reader, partition) for partition in partitions], server, planned)


def boto3_run(options: dict[str, str], processes: int, server: int) -> SourceRun:
    """GetRecords in a loop, shard after shard, the shards dealt out to the same number of processes."""
    shares = [("boto3", options, (number, processes)) for number in range(processes)]
    return _together(shares, server, planned=0.0)


def spark_run(options: dict[str, str], processes: int, server: int) -> SourceRun:
    """``spark.read`` into the noop sink, in a JVM of its own; after a first read that warms it up."""
    with tempfile.TemporaryDirectory(prefix="event-lake-bench-") as folder:
        process = _start(["bench_source_spark.py", str(processes), json.dumps(options)], Path(folder))
        sampler = Sampler(process.pid, server)
        try:
            output, _ = process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise RunFailed(f"Spark did not read the stream within {LIMIT_SECONDS:.0f} s") from None
        finally:
            _end([process])
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


def _together(shares: Sequence[tuple[str, Any, Any]], server: int, planned: float) -> SourceRun:
    workers = [_start(["bench_source_worker.py"], HERE) for _ in shares]
    try:
        for worker, share in zip(workers, shares, strict=True):
            _say(worker, base64.b64encode(pickle.dumps(share)).decode())
        for worker in workers:
            _answer(worker)  # everything is imported
        served, began = _cpu(server), time.monotonic()
        for worker in workers:
            _say(worker, "go")
        told = [json.loads(_answer(worker)) for worker in workers]
        seconds = time.monotonic() - began
        served = _cpu(server) - served
    finally:
        _end(workers)
    totals = {name: sum(each[name] for each in told) for name in told[0]}
    return SourceRun(seconds=seconds, server_cpu_seconds=served, plan_seconds=planned, **totals)


def _start(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / arguments[0]), *arguments[1:]],
        cwd=folder,
        env=clean_environment(
            {
                **NO_ACCOUNT,
                "PYTHONPATH": str(ROOT / "jobs"),
                "PYSPARK_PYTHON": sys.executable,
                "SPARK_LOCAL_IP": "127.0.0.1",
            }
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _say(worker: subprocess.Popen[str], line: str) -> None:
    assert worker.stdin is not None
    worker.stdin.write(line + "\n")
    worker.stdin.flush()


def _answer(worker: subprocess.Popen[str]) -> str:
    """Its next line. A worker that hangs ends by itself, see `bench_source_worker`."""
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise RunFailed(f"a reading process ended with exit code {worker.wait()}")
    return line


def _end(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_SECONDS
