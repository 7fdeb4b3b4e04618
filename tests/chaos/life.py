"""One life of the job: started, shaken by its weather, and brought to the end that the plan has for it."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lake import family

from .plan import Life
from .proxy import Ambush
from .world import World

DEADLINE = 180.0  # seconds for what must come to pass; a moment that does not is replaced by a kill there and then
AFTER_FIRST_BATCH = 8.0  # seconds that random kills range over, beside the time to the first micro-batch
HOUR = 3600
WORKERS = (b"pyspark.daemon", b"pyspark.worker", b"pyspark.sql.worker", b"python_streaming_source_runner")
GAVE_UP = 1  # the exit code of a job whose patience with its surroundings is over


class Finding(Exception):
    """The job did what it must not."""


class _Ended(Exception):
    """The job has ended by itself."""


@dataclass(frozen=True)
class Outcome:
    """`ended` is a few words that the tally counts by."""

    ended: str
    code: int | None
    batches: int
    seconds: float
    log: str


class Lived:
    """A job and what its world can do to it; `to_its_end` raises Finding."""

    def __init__(self, world: World, life: Life) -> None:
        self._world, self._life = world, life
        self._rng = random.Random(life.seed)
        self._began = time.monotonic()

    def to_its_end(self) -> Outcome:
        life, world = self._life, self._world
        world.set_weather(life.kinesis_faults, life.s3_faults, life.empty_pages, life.seed)
        if life.end == "clock three hours back":
            world.clock.set(-3 * HOUR)
        with world.submit() as self._job:
            moved = threading.Timer(life.chance * world.usual_seconds, world.producers.reshard, [self._rng])
            if life.reshards:
                moved.start()
            try:
                ended = self._end()
            except _Ended:
                ended = self._ended_by_itself()
            finally:
                moved.cancel()
                world.proxy.ambush = None
                world.clock.set(0)
                world.disk.free()
        batches = len(self._job.batches())
        return Outcome(ended, self._job.process.returncode, batches, time.monotonic() - self._began, self._job.log.name)

    def _end(self) -> str:
        if self._life.moment:
            return self._killed_at_its_moment()
        ends: dict[str, Callable[[], str]] = {
            "at any time": self._killed_at_any_time,
            "SIGTERM": self._stopped_by_signal,
            "stop marker": self._stopped_by_marker,
            "Python workers killed": self._workers_killed,
            "executors killed": self._executors_killed,
            "disk full": self._disk_full,
            "clock an hour forward and back": self._clock_forward_and_back,
            "clock three hours back": self._clock_back,
        }
        return ends[self._life.end]()

    # kill -9

    def _killed_at_its_moment(self) -> str:
        moment = self._life.moment
        assert moment is not None
        delay = moment.delay * self._life.chance
        ambush = Ambush(self._job.strike, moment.request, self._life.nth, served=moment.served, delay=delay)
        self._world.proxy.ambush = ambush
        try:
            came = self._wait(ambush.struck.is_set, DEADLINE)
        except _Ended:
            if not ambush.struck.wait(1):
                raise
            came = True
        self._job.kill()
        return "killed there" if came else "killed elsewhere, the moment did not come"

    def _killed_at_any_time(self) -> str:
        at = self._began + self._life.chance * (self._world.usual_seconds + AFTER_FIRST_BATCH)
        self._wait(lambda: time.monotonic() >= at, DEADLINE)
        self._job.kill()
        return "killed in or between micro-batches" if self._job.batches() else "killed before the first micro-batch"

    # Asked to stop

    def _stopped_by_signal(self) -> str:
        self._batches(1 + int(3 * self._life.chance))
        return self._stopped(self._job.terminate)

    def _stopped_by_marker(self) -> str:
        self._batches(1 + int(3 * self._life.chance))
        return self._stopped(self._world.ask_to_stop)

    def _stopped(self, ask: Callable[[], None]) -> str:
        ask()
        try:
            self._wait(lambda: False, DEADLINE)
        except _Ended:
            if self._job.process.returncode == 0:
                return "stopped, exit code 0"
            raise
        raise Finding(f"asked to stop, it ran on for {DEADLINE:.0f} s")

    # Parts of it killed

    def _workers_killed(self) -> str:
        self._batches(1)
        of = [self._job.process.pid]
        return self._some_killed(lambda: [pid for pid in _families(of) if _is_worker(pid)])

    def _executors_killed(self) -> str:
        self._batches(1)
        cluster = self._world.cluster
        assert cluster is not None
        return self._some_killed(cluster.executors)

    def _some_killed(self, victims: Callable[[], list[int]]) -> str:
        for _ in range(3):
            self._pause(self._rng.uniform(0, 1.5))
            if found := victims():
                _kill(self._rng.choice(found))
        self._batches(len(self._job.batches()) + 2)
        return f"went on; {self._stopped(self._job.terminate)}"

    # A full disk, a wrong clock

    def _disk_full(self) -> str:
        self._batches(1)
        self._world.disk.fill()
        self._pause(6.0)
        self._world.disk.free()
        self._batches(len(self._job.batches()) + 1)
        return f"went on; {self._stopped(self._job.terminate)}"

    def _clock_forward_and_back(self) -> str:
        self._batches(1)
        self._world.clock.set(HOUR)
        self._batches(len(self._job.batches()) + 2)
        self._world.clock.set(0)
        went_on = self._wait_for_batches(len(self._job.batches()) + 2, 60)
        stopped = self._stopped(self._job.terminate)
        return f"went on; {stopped}" if went_on else f"waited from the jump back on; {stopped}"

    def _clock_back(self) -> str:
        try:
            self._batches(1)
        except _Ended:
            if self._job.process.returncode == 3 and "stepped back" in self._job.output():
                return "refused, exit code 3"
            raise
        raise Finding("a clock three hours back was not refused")

    # Waiting

    def _ended_by_itself(self) -> str:
        code, life = self._job.process.returncode, self._life
        shaken = life.kinesis_faults or life.s3_faults or "killed" in life.end or life.end == "disk full"
        if code == GAVE_UP and shaken:
            return "gave up, exit code 1"
        raise Finding(f"it ended by itself with {code}")

    def _batches(self, count: int) -> None:
        if not self._wait_for_batches(count, DEADLINE):
            raise Finding(f"no {count} micro-batches within {DEADLINE:.0f} s")

    def _wait_for_batches(self, count: int, seconds: float) -> bool:
        return self._wait(lambda: len(self._job.batches()) >= count, seconds)

    def _pause(self, seconds: float) -> None:
        self._wait(lambda: False, seconds)

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether it came true in time. Raises _Ended where the job ends before."""
        deadline = time.monotonic() + seconds
        first = bool(self._job.batches())
        while not condition():
            if self._job.process.poll() is not None:
                raise _Ended
            if time.monotonic() > deadline:
                return False
            if not first and self._job.batches():
                first = True
                self._world.usual_seconds = time.monotonic() - self._began
            time.sleep(0.05)
        return True


def _families(pids: list[int]) -> list[int]:
    return [member for pid in pids for member in family(pid)]


def _is_worker(pid: int) -> bool:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(name in line for name in WORKERS)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
