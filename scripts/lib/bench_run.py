"""One measured run: a Spark job in processes of its own, its micro-batches' times, and what it used meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench_processes import Sample, Sampler, between

LIMIT_SECONDS = 1800.0
LOG_LINES_SHOWN = 25
MIB = 1024 * 1024
NUMBER = re.compile(r"(\w+)=([0-9.]+)(?=\s|$)")
STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{3}")


class RunFailed(Exception):
    """A run failed, or its result was wrong; the message shows the end of its log."""


@dataclass(frozen=True)
class Batch:
    """A micro-batch, as its own line says: Unix time at its end, and its counts."""

    number: int
    ended: float
    counts: Mapping[str, int]

    @property
    def received(self) -> int:
        return self.counts["received"]


@dataclass(frozen=True)
class Finished:
    """What a run left: when it began and ended (Unix time), its micro-batches, its samples."""

    began: float
    ended: float
    batches: list[Batch]
    samples: list[Sample]

    def total(self, count: str) -> int:
        return sum(batch.counts[count] for batch in self.batches)


@dataclass(frozen=True)
class Figures:
    """A run's figures: steady ones from the end of the last warm-up micro-batch to the end of the last one."""

    records_per_second: float
    cpu_seconds_per_million: float
    helper_cpu_seconds_per_million: float  # of it, programs that the JVM ran: chmod, for each file on a local disk
    served_cpu_seconds_per_million: float  # of the Kinesis server
    other_load: float  # cores that everything else on this machine kept busy meanwhile
    steady_records: int
    steady_seconds: float
    warm_up_records: int
    warm_up_seconds: float  # from the start of the process
    start_seconds: float  # to the end of the first micro-batch
    whole_seconds: float
    whole_cpu_seconds: float
    peak_mib: float
    peak_mib_by_role: Mapping[str, float]  # each at its own peak
    batch_seconds: Mapping[str, float]  # each micro-batch from the end of the one before, the first from the start

    @classmethod
    def of(cls, run: Finished, warm_up: int) -> Figures:
        """`warm_up` is how many micro-batches come before the steady ones. Raises RunFailed where none is left."""
        if len(run.batches) <= warm_up:
            raise RunFailed(f"only {len(run.batches)} micro-batches ran, {warm_up} of them warm-up: give more --events")
        first, last = run.batches[warm_up - 1].ended, run.batches[-1].ended
        records = sum(batch.received for batch in run.batches[warm_up:])

        def used(field: str) -> float:
            return between(run.samples, last, field) - between(run.samples, first, field)

        job, served = used("job_cpu"), used("beside_cpu")
        return cls(
            records_per_second=records / (last - first),
            cpu_seconds_per_million=job / records * 1e6,
            helper_cpu_seconds_per_million=used("helper_cpu") / records * 1e6,
            served_cpu_seconds_per_million=served / records * 1e6,
            other_load=(used("machine_cpu") - job - served) / (last - first),
            steady_records=records,
            steady_seconds=last - first,
            warm_up_records=sum(batch.received for batch in run.batches[:warm_up]),
            warm_up_seconds=first - run.began,
            start_seconds=run.batches[0].ended - run.began,
            whole_seconds=run.ended - run.began,
            whole_cpu_seconds=run.samples[-1].job_cpu,
            peak_mib=max(sample.total_memory for sample in run.samples) / MIB,
            peak_mib_by_role={
                role: max(sample.memory[role] for sample in run.samples) / MIB for role in run.samples[0].memory
            },
            batch_seconds={
                str(batch.number): batch.ended - before
                for before, batch in zip([run.began, *(b.ended for b in run.batches)], run.batches, strict=False)
            },
        )


def run_measured(command: list[str], environment: Mapping[str, str], log: Path, beside: int | None = None) -> Finished:
    """Runs a job that prints a line `STAMP ... received=N ... batch=N` after each micro-batch. Raises RunFailed."""
    began = time.time()
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command,
            cwd=log.parent,  # Spark leaves folders where it starts
            env={**environment, "TZ": "UTC"},  # the lines' time stamps have no zone
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
            start_new_session=True,  # so that Ctrl-C reaches this process alone, which then ends the run
        )
    sampler = Sampler(process.pid, beside)
    timer = threading.Timer(LIMIT_SECONDS, _kill, (process, sampler))
    timer.start()
    try:
        assert process.stdout is not None
        batches, said = [], []
        for line in process.stdout:
            said.append(line)
            if batch := _batch(line):
                batches.append(batch)
        code = process.wait()
    finally:
        timer.cancel()
        _kill(process, sampler)
        samples = sampler.stop()
    ended = time.time()
    if code != 0 or not batches:
        shown = [*said, *log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)]
        raise RunFailed(
            f"exit code {code} after {ended - began:.0f} s and {len(batches)} micro-batches: {' '.join(command)}\n"
            + "".join(f"  | {line}" for line in shown[-LOG_LINES_SHOWN:])
        )
    return Finished(began, ended, batches, samples)


def _batch(line: str) -> Batch | None:
    stamp = STAMP.match(line)
    numbers = dict(NUMBER.findall(line))
    if stamp is None or "received" not in numbers or "batch" not in numbers:
        return None
    ended = datetime.strptime(stamp[0] + "000", "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=UTC).timestamp()
    counts = {name: int(number) for name, number in numbers.items() if number.isdigit() and name != "batch"}
    return Batch(int(numbers["batch"]), ended, counts)


def _kill(process: subprocess.Popen[str], sampler: Sampler) -> None:
    if process.poll() is None:
        for pid in sampler.tree():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without AWS settings of a person's own: nothing may lead a run to a real account."""
    return {**{key: value for key, value in os.environ.items() if not key.startswith("AWS_")}, **extra}


@contextlib.contextmanager
def said(what: str) -> Iterator[None]:
    """Shows on stderr what is under way and how long it took."""
    began = time.monotonic()
    print(f"bench: {what} ...", file=sys.stderr, flush=True)
    yield
    print(f"bench: {what}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
