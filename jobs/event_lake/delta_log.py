"""What a Delta table's own log says of the micro-batches in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pyspark.sql import SparkSession

from event_lake.mark import BatchMark
from event_lake.storage import Storage


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
        return bool(self.snapshot().version() >= 0)

    def last_version(self, app_id: str) -> int | None:
        """The last transaction of an identifier."""
        found = self.snapshot().transactions().get(app_id)
        return int(found.get()) if found.isDefined() else None

    def is_untouched(self, app_prefix: str) -> bool:
        """Whether there is no table, or none with files in it or transactions of such identifiers."""
        snapshot = self.snapshot()
        if snapshot.version() < 0:
            return True
        names = str(snapshot.transactions().keys().mkString("\n")).splitlines()
        return snapshot.numOfFiles() == 0 and not any(name.startswith(app_prefix) for name in names)

    def marks(self) -> Iterator[BatchMark]:
        """The marks in the commits, the newest first. Commits of others, such as OPTIMIZE's, have none."""
        for version in range(self.snapshot().version(), -1, -1):
            commit = f"{self.path}/_delta_log/{version:020d}.json"
            if not self._storage.exists(commit):
                return
            mark = _mark_in(self._storage.read_text(commit))
            if mark is not None:
                yield mark

    def snapshot(self) -> Any:
        """Delta's own."""
        # The newest, not the one at hand: Delta compares with it, and leaves out in silence what it thinks is there.
        jvm: Any = self._spark._jvm
        none = jvm.scala.Option.empty()
        log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(self._spark._jsparkSession, self.path)
        return log.update(False, none, none)


def _mark_in(commit: str) -> BatchMark | None:
    for line in commit.splitlines():
        if line.startswith('{"commitInfo"'):
            text = json.loads(line)["commitInfo"].get("userMetadata")
            return BatchMark.from_json(text) if text else None
    return None
