"""What a Delta table's own log says of the micro-batches in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.log_listing import open_log
from event_lake.mark import BatchMark
from event_lake.spark_api import give_thread_a_session
from event_lake.storage import Storage


@dataclass(frozen=True)
class Commit:
    """A commit that carries a mark, as Delta tells of it."""

    version: int
    files: int
    bytes: int  # as stored
    mark: BatchMark
    transaction: int | None  # its number; what changes no rows, or other ones, carries the last mark without one


class DeltaLog:
    """Reads the log of one table, which need not be there yet.

    Two things stand in it. In every snapshot, for as long as the table lives: the number of the last micro-batch of
    each query (Delta's transaction identifiers). In the commits, as long as these are kept (30 days, unless
    `delta.logRetentionDuration` says otherwise): the marks, which say where the micro-batch ended.
    """

    def __init__(self, spark: SparkSession, storage: Storage, path: str) -> None:
        self._spark = spark
        self._storage = storage
        self.path = path

    def exists(self) -> bool:
        return bool(self._snapshot().version() >= 0)

    def clear_unborn(self) -> None:
        """Removes a log's folder that no commit has come into: a driver was killed right before the first one. Delta
        takes that for a table when it is to make one, and for none when it is to open it."""
        folder = f"{self.path}/_delta_log"
        for entry in self._storage.entries(folder):
            if entry.is_folder:
                self._storage.delete_empty(entry.path)
            elif entry.name.startswith("."):  # half a commit
                self._storage.delete(entry.path)
        self._storage.delete_empty(folder)

    def last_version(self, app_id: str) -> int | None:
        """The last transaction of an identifier."""
        found = self._snapshot().transactions().get(app_id)
        return int(found.get()) if found.isDefined() else None

    def last_versions(self, app_prefix: str) -> dict[str, int]:
        """The last transaction of each identifier that begins so, by what follows."""
        return _last_versions(self._snapshot(), app_prefix)

    def is_untouched(self, app_prefix: str) -> bool:
        """Whether there is no table, or none with files in it or transactions of such identifiers."""
        snapshot = self._snapshot()
        return snapshot.version() < 0 or (snapshot.numOfFiles() == 0 and not _last_versions(snapshot, app_prefix))

    def partition_values(self, column: str) -> set[str]:
        """The values of a partition column that the table has files of, null left out."""
        files = DataFrame(self._snapshot().allFiles().toDF(), self._spark)
        named = files.select(F.col("partitionValues")[column].alias(column)).distinct().where(f"{column} is not null")
        return {row[column] for row in named.collect()}

    def partition_columns(self) -> tuple[str, ...] | None:
        """None where there is no table."""
        metadata = self.metadata()
        return None if metadata is None else tuple(metadata.partitionSchema().fieldNames())

    def metadata(self) -> Any:
        """Delta's own; None where there is no table."""
        snapshot = self._snapshot()
        return None if snapshot.version() < 0 else snapshot.metadata()

    def marks(self) -> Iterator[BatchMark]:
        """The marks in the commits, the newest first. Commits of others than event-lake have none."""
        for commit in self._commits(self._snapshot()):
            yield commit.mark

    def commit(self, mark: BatchMark) -> Commit | None:
        """The commit of a micro-batch that this driver has made or found, if it is among those of its query that are
        still kept."""
        # What is at hand has it; to look for newer ones would cost a listing of the log.
        of_query = (commit for commit in self._commits(self._at_hand()) if commit.mark.query_id == mark.query_id)
        own = (commit for commit in of_query if commit.transaction == commit.mark.batch_id)
        found = next((commit for commit in own if commit.mark.batch_id <= mark.batch_id), None)
        return found if found and found.mark.batch_id == mark.batch_id else None

    def _commits(self, snapshot: Any) -> Iterator[Commit]:
        for version in range(snapshot.version(), -1, -1):
            path = f"{self.path}/_delta_log/{version:020d}.json"
            if not self._storage.exists(path):
                return
            actions = self._storage.read_text(path).splitlines()
            info = _action(actions, "commitInfo")
            mark = BatchMark.from_json(info.get("userMetadata") or "")
            if mark is not None:
                done = info.get("operationMetrics", {})
                files, size = int(done.get("numFiles", 0)), int(done.get("numOutputBytes", 0))
                yield Commit(version, files, size, mark, _action(actions, "txn").get("version"))

    def _snapshot(self) -> Any:
        return newest_snapshot(self._spark, self.path)

    def _at_hand(self) -> Any:
        return open_log(self._spark, self.path).unsafeVolatileSnapshot()


def newest_snapshot(spark: SparkSession, path: str) -> Any:
    """Delta's own org.apache.spark.sql.delta.Snapshot of a table, which need not be there, as it is now.

    The newest, not the one at hand: Delta compares with it, and leaves out in silence what it thinks is there.
    """
    # A log with a checkpoint, whose last commit was left without its checksum, Delta reads only where there is one.
    give_thread_a_session(spark)
    none = _none(spark._jvm)
    return open_log(spark, path).update(False, none, none)


def _last_versions(snapshot: Any, app_prefix: str) -> dict[str, int]:
    transactions = snapshot.transactions()
    names = str(transactions.keys().mkString("\n")).splitlines()
    ours = (name for name in names if name.startswith(app_prefix))
    return {name.removeprefix(app_prefix): int(transactions.apply(name)) for name in ours}


@lru_cache(maxsize=1)
def _none(jvm: Any) -> Any:
    """Scala's None; looked up once, see storage.Storage."""
    return jvm.scala.Option.empty()


def _action(actions: Sequence[str], kind: str) -> dict[str, Any]:
    """The first of a kind in a commit, empty where there is none."""
    for line in actions:
        if line.startswith(f'{{"{kind}":'):
            action: dict[str, Any] = json.loads(line)[kind]
            return action
    return {}
