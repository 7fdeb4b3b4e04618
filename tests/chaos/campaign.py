"""Life after life on one checkpoint, until so many drivers have been killed; the tables are checked on the way."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from lake import ACCOUNTING

from .life import live
from .moments import BUCKET
from .plan import Life
from .tally import Tally
from .watch import Finding
from .world import World

DIFFERENCES_SHOWN = 20
CATCHING_UP = 600.0
GIVEN_UP = 3  # lives one after the other that came to nothing: is it the weather?


@dataclasses.dataclass(frozen=True)
class Limits:
    """A campaign ends with what comes first; `check_every` kills the tables are checked."""

    kills: int
    minutes: float
    check_every: int
    asked_to_end: threading.Event = dataclasses.field(default_factory=threading.Event)


class Campaign:
    """`run` raises Finding where the job does what it must not, or the tables are not what was put."""

    def __init__(self, world: World) -> None:
        self.tally = Tally()
        self._given_up = 0
        self._world = world
        self._diary = (world.folder / "lives.jsonl").open("w", encoding="utf-8", buffering=1)

    def run(self, lives: Iterable[Life], limits: Limits) -> None:
        deadline = time.monotonic() + 60 * limits.minutes
        checked, just_checked = 0, False
        for life in lives:
            if self.tally.kills >= limits.kills or time.monotonic() > deadline or limits.asked_to_end.is_set():
                break
            self._live(life)
            just_checked = self.tally.kills - checked >= limits.check_every or self._given_up >= GIVEN_UP
            if just_checked:
                checked = self.tally.kills
                self.check()
        if not just_checked:
            self.check()
        self._audit()

    def check(self) -> None:
        """Lets a job catch up in calm weather, and holds the tables against what was put."""
        world = self._world
        world.producers.hold()
        world.set_weather(0.0, 0.0, 0, 0)
        with world.submit("--until-caught-up") as job:
            code = job.wait(CATCHING_UP)
        if code != 0:
            raise Finding(f"in calm weather the job did not catch up: exit code {code}, log {job.log.name}")
        batches = ACCOUNTING.findall(job.output())
        wrong = world.differences(int(batches[-1][-1]) if batches else None)
        self.tally.checks += 1
        self._given_up = 0
        self._note({"checked": len(world.book.places), "log": job.log.name, "differences": len(wrong)})
        if wrong:
            raise Finding("\n  ".join(["the tables are not what was put:", *wrong[:DIFFERENCES_SHOWN]]))
        told = f"{world.told} micro-batches told of as they were"
        print(f"      checked: {len(world.book.places):,} records, each where it belongs, once; {told}", flush=True)
        world.sweep()
        world.producers.go_on()

    def _audit(self) -> None:
        """Asks the audit job too, which nobody here tells what was put."""
        with self._world.audit() as job:
            code = job.wait(CATCHING_UP)
        said = next((line for line in reversed(job.output().splitlines()) if line.startswith("received=")), "")
        self._note({"audited": said, "code": code, "log": job.log.name})
        if code != 0:
            raise Finding(f"the audit ended with {code}: {said}; log {job.log.name}")
        print(f"      audited: {said}", flush=True)

    def _live(self, life: Life) -> None:
        if missing := self._missing(life):
            self.tally.leave_out(life, missing)
            return
        outcome = live(self._world, life)
        self._world.sweep()
        self.tally.add(life, outcome)
        self._given_up = 0 if outcome.batches else self._given_up + outcome.ended.startswith("gave up")
        self._note({**dataclasses.asdict(life), **dataclasses.asdict(outcome)})
        weather = f"Kinesis {life.kinesis_faults:.0%}, S3 {life.s3_faults:.0%} faults"
        print(
            f"{life.number:4d}  {outcome.seconds:5.1f} s  {life.end}: {outcome.ended} "
            f"({outcome.batches} micro-batches; {weather}; {self.tally.kills} kills so far)",
            flush=True,
        )

    def _missing(self, life: Life) -> str | None:
        if life.end.startswith("clock") and not self._world.clock.works:
            return "no C compiler"
        if life.end == "clock three hours back" and self.tally.batches == 0:
            return "no micro-batch before it"
        if life.end == "disk full" and not self._world.disk.works:
            return "no tmpfs may be mounted"
        return None

    def _note(self, entry: dict[str, object]) -> None:
        self._diary.write(f"{json.dumps(entry)}\n")


def keep(world: World, folder: Path) -> None:
    """Everything that is in the store, for whoever looks into it."""
    for page in world.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", []):
            if entry["Key"].endswith("/"):
                continue  # S3A's mark of an empty folder
            place = folder / entry["Key"]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(world.s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read())
