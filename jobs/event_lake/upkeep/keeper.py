"""Maintenance while the job runs: small files are put together between two micro-batches, for a bounded time.

It runs in the thread that writes micro-batches, so that a table never has two writers, not even in one process, and
what holds for one (the lease, the order of commits) holds for the other. A pass takes as many partitions as it should
have time for, judged by how long former ones took; what is not done by then is cancelled, which leaves nothing behind
but files for the next vacuum.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from event_lake.config import Config, Maintenance
from event_lake.errors import in_one_line
from event_lake.storage import Storage
from event_lake.upkeep.compaction import Compacted, compact, compaction_session, due
from event_lake.upkeep.partitions import Partition, partitions
from event_lake.upkeep.settings import set_up, table_paths
from event_lake.upkeep.vacuum import BackgroundVacuum

log = logging.getLogger(__name__)

LOOK_EVERY = 10  # micro-batches at most
LOOK_SHARE = 5  # and at least as often as a partition gets a fifth of most_small_files
TAG = "event-lake-compaction"
CANCEL_SECONDS = 0.1
# What opening a file and what one more partition cost, as if they were bytes to read and write.
FILE_BYTES = 256 * 1024
PARTITION_BYTES = 2 * 1024 * 1024
FIRST_RATE = 4.0 * 1024 * 1024  # bytes a second, until the first pass has shown it
SHARE = 0.5  # of the time that a pass may take, it is given work for


def keeper_of(spark: SparkSession, storage: Storage, config: Config, may_write: Callable[[], None]) -> Keeper | None:
    """For a lake that can be maintained while the job runs, and is to be; its tables, which are there, are set up."""
    if config.lake.format != "delta":
        return None
    paths = table_paths(storage, config.lake)
    for path in paths:
        may_write()
        set_up(spark, path, config.maintenance)
    metrics = [storage.qualified(config.metrics.table_path)] if config.metrics.table_path else []
    vacuum = BackgroundVacuum(spark, storage, [*paths, *metrics], config.maintenance.vacuum_every)
    return Keeper(spark, paths, config.maintenance, vacuum, may_write)


@dataclass(frozen=True)
class Waiting:
    """A partition that is to be compacted."""

    path: str
    part: Partition

    @property
    def work(self) -> int:
        return self.part.small_bytes + FILE_BYTES * self.part.small_files + PARTITION_BYTES


class Keeper:
    """Keeps the tables of one lake; `may_write` raises where this driver may no longer."""

    def __init__(
        self,
        spark: SparkSession,
        paths: Sequence[str],
        maintenance: Maintenance,
        vacuum: BackgroundVacuum,
        may_write: Callable[[], None] = lambda: None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._spark = spark
        self._paths = paths
        self._maintenance = maintenance
        self._may_write = may_write
        self._clock = clock
        self._session = compaction_session(spark)
        self._vacuum = vacuum
        self._look_every = min(LOOK_EVERY, max(maintenance.most_small_files // LOOK_SHARE, 1))
        self._rate = FIRST_RATE
        self._waiting: list[Waiting] = []
        self._too_big: set[tuple[str, str]] = set()

    def after_batch(self, batch_id: int) -> None:
        """To be called after each micro-batch by the thread that wrote it; returns within about `longest_pause`.

        The micro-batch's number says when to look, since a job that is started for one at a time never counts to ten.
        """
        if not self._maintenance.longest_pause:
            return
        self._vacuum.start_if_due(self._clock())
        if not self._waiting and (batch_id + 1) % self._look_every == 0:
            self._waiting = self._look()
        if self._waiting:
            self._pass()

    def stop(self) -> None:
        self._vacuum.stop()

    def _look(self) -> list[Waiting]:
        now = self._clock()
        target = self._maintenance.target_file_size.count
        found = [
            Waiting(path, part)
            for path in self._paths
            for part in due(partitions(self._session, path, target, now.date()), self._maintenance, now)
        ]
        return [one for one in found if (one.path, one.part.name) not in self._too_big]

    def _pass(self) -> None:
        chosen = self._chosen()
        self._waiting = [one for one in self._waiting if one not in chosen]
        self._may_write()
        began = time.monotonic()
        done = self._compact(chosen)
        seconds = time.monotonic() - began
        if done:
            self._rate += (sum(one.work for one in chosen) / seconds - self._rate) / 2
            log.info("compacted table=%s %s", chosen[0].path, done)
        elif seconds >= self._maintenance.longest_pause.total_seconds():
            self._rate /= 2
            if len(chosen) == 1:  # it is left to maintain_tables.py
                self._too_big.add((chosen[0].path, chosen[0].part.name))

    def _chosen(self) -> list[Waiting]:
        """The first that waits, and others of its table that agree with it on what is small, as far as time allows."""
        first = self._waiting[0]
        room = self._rate * SHARE * self._maintenance.longest_pause.total_seconds()
        chosen = [first]
        for one in self._waiting[1:]:
            alike = (one.path, one.part.small_under) == (first.path, first.part.small_under)
            if alike and sum(each.work for each in chosen) + one.work <= room:
                chosen.append(one)
        return chosen

    def _compact(self, chosen: Sequence[Waiting]) -> Compacted | None:
        """None where it did not come to its end in time, or failed; the table is then as it was."""
        context = self._spark.sparkContext
        pause = self._maintenance.longest_pause.total_seconds()
        ended = Event()
        context.addJobTag(TAG)
        Thread(target=self._cancel_late, args=(ended, pause), name="compaction-bound", daemon=True).start()
        began = time.monotonic()
        try:
            target = self._maintenance.target_file_size.count
            return compact(self._session, chosen[0].path, [one.part for one in chosen], target)
        except (Py4JError, PySparkException) as error:
            names = ", ".join(one.part.name for one in chosen)
            why = f"not done within {pause:g} s" if time.monotonic() - began >= pause else in_one_line(error)
            log.warning("compaction table=%s partitions=%s left as they are: %s", chosen[0].path, names, why)
            return None
        finally:
            ended.set()
            context.removeJobTag(TAG)

    def _cancel_late(self, ended: Event, pause: float) -> None:
        """Cancels what still runs after the pause: again and again, since one job may follow another."""
        ended.wait(pause)
        while not ended.wait(CANCEL_SECONDS):
            self._spark.sparkContext.cancelJobsWithTag(TAG)
