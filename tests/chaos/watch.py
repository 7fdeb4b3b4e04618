"""A running job as a campaign sees it: micro-batches that come or do not, processes that can be killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from lake import Job, family

DEADLINE = 180.0  # seconds for what must come to pass
WORKERS = (b"pyspark.daemon", b"pyspark.worker", b"pyspark.sql.worker", b"python_streaming_source_runner")


class Finding(Exception):
    """The job did what it must not."""


class Ended(Exception):
    """The job has ended by itself."""


class Watch:
    """One running job; every wait raises Ended where the job ends before."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.began = time.monotonic()
        self.seconds_to_first_batch: float | None = None

    def wait(self, condition: Callable[[], bool], seconds: float = DEADLINE) -> bool:
        """Whether it came true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.job.process.poll() is not None:
                raise Ended
            if time.monotonic() > deadline:
                return False
            if self.seconds_to_first_batch is None and self.job.batches():
                self.seconds_to_first_batch = time.monotonic() - self.began
            time.sleep(0.05)
        return True

    def pause(self, seconds: float) -> None:
        self.wait(lambda: False, seconds)

    def goes_on(self, batches: int, seconds: float = DEADLINE) -> bool:
        """Whether so many more micro-batches are done in time."""
        wanted = len(self.job.batches()) + batches
        return self.wait(lambda: len(self.job.batches()) >= wanted, seconds)

    def must_go_on(self, batches: int) -> None:
        if not self.goes_on(batches):
            raise Finding(f"no {batches} more micro-batches within {DEADLINE:.0f} s")

    def must_stop(self, ask: Callable[[], None]) -> str:
        """Asks it to stop; it must end with exit code 0."""
        ask()
        try:
            self.pause(DEADLINE)
        except Ended:
            if self.job.process.returncode == 0:
                return "stopped, exit code 0"
            raise
        raise Finding(f"asked to stop, it ran on for {DEADLINE:.0f} s")

    def workers(self) -> list[int]:
        """The job's Python processes but for the driver: those that plan, read and deduplicate."""
        return [pid for pid in family(self.job.process.pid) if _is_worker(pid)]


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _is_worker(pid: int) -> bool:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(name in line for name in WORKERS)
