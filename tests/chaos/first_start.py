"""A job's very first start, killed after each of its writes to the store in turn.

It makes everything, from the lease to the metrics table, once in the life of a lake: random kills hardly ever meet it.
"""

from __future__ import annotations

import signal
import time
from itertools import count
from pathlib import Path

from lake import until

from .ambush import Ambush
from .campaign import Campaign, keep
from .moments import BUCKET
from .watch import Ended, Finding, Watch
from .world import World

RECORDS = 60  # put before the start, and again behind the kill
WRITES = rf"^(PUT|POST|DELETE) /{BUCKET}/(?!.*\.beat$)"  # the lease's beats come by the clock


def sweep(folder: Path, engine: str, seed: int, first: int) -> int:
    """How often it killed: from after the `first` write to after the last, each in a world of its own.

    Raises Finding where a later start does not catch up, or the tables are not what was put.
    """
    for nth in count(first):
        began = time.monotonic()
        place = folder / f"write-{nth:03d}"
        place.mkdir()
        with World(place, engine, seed) as world:
            _put_more(world)
            try:
                write = _killed_after(world, nth)
                if write is None:
                    return nth - first
                print(f"{nth:4d}  {time.monotonic() - began:5.1f} s  killed after {write}", flush=True)
                world.producers.go_on()
                _put_more(world)
                Campaign(world).check()
            except Finding:
                keep(world, place / "s3")
                raise
    raise AssertionError("it counts for ever")


def _put_more(world: World) -> None:
    enough = len(world.book.places) + RECORDS
    until(lambda: len(world.book.places) >= enough)
    world.producers.hold()


def _killed_after(world: World, nth: int) -> str | None:
    """The request; none where the job came to its end before so many."""
    with world.submit("--until-caught-up") as job:
        ambush = Ambush(lambda: job.send(signal.SIGKILL), WRITES, nth, served=True)
        world.proxy.ambush = ambush
        try:
            came = Watch(job).wait(ambush.struck.is_set)
        except Ended:
            came = ambush.struck.wait(10)  # it is told after the last of the job's processes has been killed
            if not came and job.process.returncode == 0:
                return None
        finally:
            world.proxy.ambush = None
    if not came:
        raise Finding(f"a first start did not come to its end, with {job.process.returncode}; log {job.log.name}")
    return ambush.request
