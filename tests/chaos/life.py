"""One life of the job: started, shaken by its weather, and brought to the end that the plan has for it."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .ambush import Ambush
from .plan import Life
from .watch import Ended, Finding, Watch, kill
from .world import World

AFTER_FIRST_BATCH = 8.0  # seconds that random kills range over, beside the time to the first micro-batch
FULL = 6.0  # seconds that the disk is full
HOUR = 3600
PATIENCE = 90.0  # seconds that a moment has to come; some never do, as a checkpoint that falls due every 60 commits
GAVE_UP = 1  # the exit code of a job whose patience with its surroundings is over


@dataclass(frozen=True)
class Outcome:
    """`ended` is a few words that the tally counts by."""

    ended: str
    code: int | None
    batches: int
    seconds: float
    log: str


def live(world: World, life: Life) -> Outcome:
    """Raises Finding where the job does what it must not."""
    rng = random.Random(life.seed)
    world.set_weather(life.kinesis_faults, life.s3_faults, life.empty_pages, life.seed)
    if life.end == "clock three hours back":
        world.clock.set(-3 * HOUR)
    moved = threading.Timer(life.chance * world.usual_seconds, world.producers.reshard, [rng])
    with world.submit() as job:
        watch = Watch(job)
        if life.reshards:
            moved.start()
        try:
            ended = _end(world, life, watch, rng)
        except Ended:
            ended = _ended_by_itself(life, job.process.returncode)
        finally:
            moved.cancel()
            world.proxy.ambush = None
            world.clock.set(0)
            world.disk.free()
    world.usual_seconds = watch.seconds_to_first_batch or world.usual_seconds
    return Outcome(ended, job.process.returncode, len(job.batches()), time.monotonic() - watch.began, job.log.name)


def _end(world: World, life: Life, watch: Watch, rng: random.Random) -> str:
    if life.moment:
        return _killed_at_its_moment(world, life, watch)
    job = watch.job
    ends: dict[str, Callable[[], str]] = {
        "at any time": lambda: _killed_at_any_time(world, life, watch),
        "SIGTERM": lambda: _stopped(life, watch, job.terminate),
        "stop marker": lambda: _stopped(life, watch, world.ask_to_stop),
        "Python workers killed": lambda: _some_killed(watch, watch.workers, rng),
        "executors killed": lambda: _some_killed(watch, world.executors, rng),
        "disk full": lambda: _disk_full(world, watch),
        "clock an hour forward and back": lambda: _clock_forward_and_back(world, watch),
        "clock three hours back": lambda: _clock_back(watch),
    }
    return ends[life.end]()


def _killed_at_its_moment(world: World, life: Life, watch: Watch) -> str:
    moment = life.moment
    assert moment is not None
    delay = moment.delay * life.chance
    ambush = Ambush(lambda: watch.job.send(signal.SIGKILL), moment.request, life.nth, served=moment.served, delay=delay)
    world.proxy.ambush = ambush
    try:
        came = watch.wait(ambush.struck.is_set, PATIENCE)
    except Ended:
        if not ambush.struck.wait(10):  # it is told after the last of the job's processes has been killed
            raise
        came = True
    watch.job.kill()
    return "killed there" if came else "killed elsewhere, the moment did not come"


def _killed_at_any_time(world: World, life: Life, watch: Watch) -> str:
    watch.pause(life.chance * (world.usual_seconds + AFTER_FIRST_BATCH))
    watch.job.kill()
    return "killed in or between micro-batches" if watch.job.batches() else "killed before the first micro-batch's end"


def _stopped(life: Life, watch: Watch, ask: Callable[[], None]) -> str:
    watch.must_go_on(1 + int(3 * life.chance))
    return watch.must_stop(ask)


def _some_killed(watch: Watch, victims: Callable[[], list[int]], rng: random.Random) -> str:
    watch.must_go_on(1)
    for _ in range(3):
        watch.pause(rng.uniform(0, 1.5))
        if found := victims():
            kill(rng.choice(found))
    watch.must_go_on(2)
    return f"went on; {watch.must_stop(watch.job.terminate)}"


def _disk_full(world: World, watch: Watch) -> str:
    watch.must_go_on(1)
    world.disk.fill()
    watch.pause(FULL)
    world.disk.free()
    watch.must_go_on(1)
    return f"went on; {watch.must_stop(watch.job.terminate)}"


def _clock_forward_and_back(world: World, watch: Watch) -> str:
    watch.must_go_on(1)
    world.clock.set(HOUR)
    watch.must_go_on(2)
    world.clock.set(0)
    # One may be under way. Spark's trigger waits by the wall clock, so there may be no other for an hour.
    went_on = watch.goes_on(2, seconds=25)
    stopped = watch.must_stop(watch.job.terminate)
    return f"went on; {stopped}" if went_on else f"waited from the jump back on; {stopped}"


def _clock_back(watch: Watch) -> str:
    try:
        watch.must_go_on(1)
    except Ended:
        if watch.job.process.returncode == 3 and "stepped back" in watch.job.output():
            return "refused, exit code 3"
        raise
    raise Finding("a clock three hours back was not refused")


def _ended_by_itself(life: Life, code: int) -> str:
    shaken = life.kinesis_faults or life.s3_faults or "killed" in life.end or life.end == "disk full"
    if code == GAVE_UP and shaken:
        return "gave up, exit code 1"
    raise Finding(f"it ended by itself with {code}")
