"""Maintenance while the job is stopped: the same compaction without its bound, a vacuum with all cores, and advice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

from pyspark.sql import SparkSession

from event_lake.config import Config
from event_lake.errors import ConfigError
from event_lake.events_layout import layout_of
from event_lake.lease import stopped_lake
from event_lake.storage import Storage
from event_lake.upkeep.advice import advice
from event_lake.upkeep.compaction import compact, compaction_session, due
from event_lake.upkeep.partitions import Partition, partitions
from event_lake.upkeep.repartition import repartition
from event_lake.upkeep.settings import set_up, table_paths
from event_lake.upkeep.vacuum import deletable, vacuum

# What one commit takes: whoever ends this job in the middle loses so much work at most.
COMMIT_TARGETS = 16
COMMIT_PARTITIONS = 100


def maintain(
    spark: SparkSession, config: Config, dry_run: bool, say: Callable[[str], None], *, anew: bool = False
) -> None:
    """Maintains the lake, with its lease unless it is a dry run; `anew`: first gives the events table the partition
    columns that are configured, if it has others. Raises ConfigError where it has no Delta tables,
    LeaseError while a job has the lease."""
    if dry_run:
        StoppedLake(spark, config, say, lambda: None).maintain(dry_run, anew)
        return
    with stopped_lake(Storage.of_session(spark), config) as lease:
        StoppedLake(spark, config, say, lease.check).maintain(dry_run, anew)


class StoppedLake:
    """The tables of a lake that no job is writing to: on S3, two drivers can overwrite each other's commits.

    `may_write` raises where this driver may not write.
    """

    def __init__(
        self,
        spark: SparkSession,
        config: Config,
        say: Callable[[str], None],
        may_write: Callable[[], None],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._spark = spark
        self._session = compaction_session(spark)
        self._storage = Storage.of_session(spark)
        self._lake = config.lake
        self._metrics_path = config.metrics.table_path
        self._maintenance = config.maintenance
        self._target = config.maintenance.target_file_size.count
        self._say = say
        self._may_write = may_write
        self._clock = clock

    def maintain(self, dry_run: bool, anew: bool = False) -> None:
        """Compacts and vacuums each table, and says what it did or would do. Raises ConfigError where there is none."""
        if self._lake.format != "delta":
            raise ConfigError(
                f"lake.format is {self._lake.format!r}: plain files have no transactions, so they cannot be put "
                "together without readers seeing rows twice or not at all. Use a longer trigger.interval, or Delta."
            )
        paths = table_paths(self._storage, self._lake, self._metrics_path)
        if self._storage.qualified(self._lake.path) not in paths:
            raise ConfigError(f"lake.path: there is no Delta table at {self._lake.path}; the job makes it at its start")
        if anew:
            self._repartition(paths[0], dry_run)
        for path in paths:
            if not dry_run:
                self._may_write()
                set_up(self._spark, path, self._maintenance)
            self._maintain(path, dry_run)

    def _repartition(self, path: str, dry_run: bool) -> None:
        layout = layout_of(self._lake)
        if dry_run:
            self._say(
                f"table={path} would_write_anew partition_by={','.join(layout.partitions)} "
                f"payload_variant={layout.variant}, if it is laid out otherwise"
            )
            return
        session = compaction_session(self._spark)
        done = repartition(session, path, layout, self._target, self._may_write)
        self._say(f"table={path} {f'written_anew {done}' if done else 'is laid out so already'}")

    def _maintain(self, path: str, dry_run: bool) -> None:
        now = self._clock()
        found = partitions(self._session, path, self._target, now.date())
        chosen = due(found, self._maintenance, now, quiet=timedelta(0))
        files, small = sum(part.files for part in found), sum(part.small_files for part in chosen)
        self._say(f"table={path} partitions={len(found)} files={files} due_partitions={len(chosen)} due_files={small}")
        if dry_run:
            for part in chosen:
                self._say(f"table={path} would_compact={part.name} small_files={part.small_files}")
            self._say(f"table={path} would_delete files={deletable(self._session, path)}")
        else:
            for portion in portions(chosen, self._target):
                self._may_write()
                self._say(f"table={path} compacted {compact(self._session, path, portion, self._target)}")
            self._say(f"table={path} vacuum seconds={vacuum(self._spark, path, gentle=False):.1f}")
        for line in advice(found, self._target):
            self._say(f"table={path} advice: {line}")


def portions(chosen: Sequence[Partition], target: int) -> Iterator[list[Partition]]:
    """In parts of what one commit takes, each of partitions that agree on what is small; closed ones first."""

    def small_under(part: Partition) -> int:
        return part.small_under

    for _, alike in groupby(sorted(chosen, key=small_under, reverse=True), small_under):
        portion: list[Partition] = []
        for part in alike:
            portion.append(part)
            if len(portion) == COMMIT_PARTITIONS or sum(p.small_bytes for p in portion) >= COMMIT_TARGETS * target:
                yield portion
                portion = []
        if portion:
            yield portion
