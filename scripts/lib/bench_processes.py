"""CPU time and memory of running processes, sampled from Linux's /proc while they work.

CPU is user and system time of every process of a tree, with what its ended and reaped children had used. Memory is
the JVM's resident set plus the Python processes' proportional sets: the workers are forks of one daemon, and pages
that they share count once. The kernel walks page tables to tell a proportional set: 3 ms a process, so at every sample
a tenth of a two-core machine (seen). Each process's share of its resident set is therefore looked up now and then only.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.2
SHARE_SECONDS = 5.0
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")


@dataclass(frozen=True)
class Sample:
    """All of it at one moment: Unix time, CPU seconds so far, bytes by role (jvm, driver, workers)."""

    at: float
    job_cpu: float
    helper_cpu: float  # of that, programs that the JVM ran and that have ended
    beside_cpu: float  # of the process that serves the job
    machine_cpu: float  # of everything on this machine, idle time apart
    memory: Mapping[str, int]

    @property
    def total_memory(self) -> int:
        return sum(self.memory.values())


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    cpu: float
    reaped_cpu: float  # of children that have ended
    resident: int


class Sampler:
    """Samples a process with all below it, and one process beside it, in a thread, until stopped."""

    def __init__(self, root: int, beside: int | None) -> None:
        self.samples: list[Sample] = []
        self._root, self._beside = root, beside
        self._shares: dict[int, tuple[float, float]] = {}  # by process: when looked up, proportional / resident set
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> list[Sample]:
        self._done.set()
        self._thread.join()
        return self.samples

    def tree(self) -> list[int]:
        """The process ids of the tree, now."""
        return [process.pid for process in _tree(self._root, _processes())]

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            self.samples.append(self._sample())

    def _sample(self) -> Sample:
        processes = _processes()
        tree = _tree(self._root, processes)
        memory, helper_cpu = dict.fromkeys(("jvm", "driver", "workers"), 0), 0.0
        for process in tree:
            role = _role(process.pid)
            if role == "jvm":
                # Hadoop runs chmod and the like: until it does, such a child looks like a second JVM of the same size.
                memory[role] = max(memory[role], process.resident)
                helper_cpu += process.reaped_cpu
            elif role is not None:
                memory[role] += round(process.resident * self._share(process))
        # A process that ended unreaped takes its time out of the sum; what was used stays used.
        before = self.samples[-1].job_cpu if self.samples else 0.0
        beside = processes.get(self._beside) if self._beside is not None else None
        return Sample(
            at=time.time(),
            job_cpu=max(before, sum(process.cpu + process.reaped_cpu for process in tree)),
            helper_cpu=helper_cpu,
            beside_cpu=beside.cpu if beside else 0.0,
            machine_cpu=machine_cpu(),
            memory=memory,
        )

    def _share(self, process: _Process) -> float:
        now = time.monotonic()
        looked_up, share = self._shares.get(process.pid, (-SHARE_SECONDS, 1.0))
        if now - looked_up >= SHARE_SECONDS:
            share = _proportional(process.pid) / process.resident if process.resident else 1.0
            self._shares[process.pid] = now, share
        return share


def _role(pid: int) -> str | None:
    """What a process of a Spark job is; None for what is neither Java nor Python, or has ended."""
    with contextlib.suppress(OSError):
        program = os.path.basename(os.readlink(PROC / str(pid) / "exe"))
        if program == "java":
            return "jvm"
        if program.startswith("python"):
            # `python -m pyspark.daemon`, its forks and the process that plans a source; anything else is the driver.
            return "workers" if b"\0pyspark." in (PROC / str(pid) / "cmdline").read_bytes() else "driver"
    return None


def between(samples: list[Sample], at: float, field: str) -> float:
    """A growing field's value at a moment between two samples."""
    place = bisect_left([sample.at for sample in samples], at)
    if place in (0, len(samples)):
        return float(getattr(samples[min(place, len(samples) - 1)], field))
    one, two = samples[place - 1], samples[place]
    share = (at - one.at) / (two.at - one.at)
    return float(getattr(one, field) + share * (getattr(two, field) - getattr(one, field)))


def machine_cpu() -> float:
    """CPU seconds that this machine has spent on anything but waiting."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, (PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) * TICK_SECONDS


def _processes() -> dict[int, _Process]:
    found: dict[int, _Process] = {}
    for name in os.listdir(PROC):
        if name.isdigit():
            with contextlib.suppress(OSError):
                process = _read(int(name))
                found[process.pid] = process
    return found


def _read(pid: int) -> _Process:
    # The name stands in brackets and may itself have spaces and brackets; see proc_pid_stat(5).
    _, _, tail = (PROC / str(pid) / "stat").read_text().rpartition(")")
    fields = tail.split()
    user, system, reaped_user, reaped_system = map(int, fields[11:15])
    return _Process(
        pid=pid,
        parent=int(fields[1]),
        cpu=(user + system) * TICK_SECONDS,
        reaped_cpu=(reaped_user + reaped_system) * TICK_SECONDS,
        resident=int(fields[21]) * PAGE_BYTES,
    )


def _tree(root: int, processes: Mapping[int, _Process]) -> list[_Process]:
    children: dict[int, list[_Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    found: list[_Process] = []
    waiting = [root] if root in processes else []
    while waiting:
        pid = waiting.pop()
        found.append(processes[pid])
        waiting += [process.pid for process in children.get(pid, [])]
    return found


def _proportional(pid: int) -> int:
    """Bytes; 0 for a process that has ended."""
    with contextlib.suppress(OSError):
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
    return 0
