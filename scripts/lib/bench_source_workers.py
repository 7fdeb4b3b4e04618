"""The processes that read in a measurement of the source: started, given shares, let go together, and ended."""

from __future__ import annotations

import base64
import json
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench_run import RunFailed, clean_environment

HERE = Path(__file__).parent
JOBS = HERE.parents[1] / "jobs"
NO_ACCOUNT = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_EC2_METADATA_DISABLED": "true"}
LIMIT_SECONDS = 300.0

Share = tuple[str, Any, Any]
"""What `bench_source_worker` takes."""

Told = dict[str, float]


class Workers:
    """So many reading processes. One that hangs ends by itself, see `bench_source_worker`."""

    def __init__(self, count: int) -> None:
        self._all = [start(["bench_source_worker.py"], HERE) for _ in range(count)]
        self._given: list[subprocess.Popen[str]] = []

    def give(self, shares: Sequence[Share]) -> None:
        """Waits until each process has imported what it needs and holds its share."""
        if len(shares) > len(self._all):
            raise RunFailed(f"{len(shares)} partitions for {len(self._all)} processes")
        self._given = self._all[: len(shares)]
        for worker, share in zip(self._given, shares, strict=True):
            _say(worker, base64.b64encode(pickle.dumps(share)).decode())
        for worker in self._given:
            _answer(worker)

    def let_go(self) -> list[Told]:
        """What each process that was given a share read and used."""
        for worker in self._given:
            _say(worker, "go")
        return [json.loads(_answer(worker)) for worker in self._given]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self._all)


def added_up(told: Sequence[Sequence[Told]]) -> dict[str, Any]:
    """Over processes and rounds; of the peaks, the largest round's."""
    every = [each for round_told in told for each in round_told]
    sums: dict[str, Any] = {
        name: sum(each[name] for each in every) for name in ("records", "data_bytes", "cpu_seconds")
    }
    return {**sums, "peak_mib": max((sum(each["peak_mib"] for each in each_round) for each_round in told), default=0.0)}


def start(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    extra = {"PYTHONPATH": str(JOBS), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    return subprocess.Popen(
        [sys.executable, str(HERE / arguments[0]), *arguments[1:]],
        cwd=folder,
        env=clean_environment({**NO_ACCOUNT, **extra}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def end(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _say(worker: subprocess.Popen[str], line: str) -> None:
    assert worker.stdin is not None
    worker.stdin.write(line + "\n")
    worker.stdin.flush()


def _answer(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise RunFailed(f"a reading process ended with exit code {worker.wait()}")
    return line
