"""Appending micro-batches to a folder of Parquet or JSON-lines files, each once.

Plain files have no transactions, so each micro-batch goes through three steps: Spark writes it to a staging folder; a
manifest names the files it will become; they are moved to their partitions, and a mark says done. File names carry
query and micro-batch. A replay that finds a manifest without its mark deletes what it lists and starts over; one that
finds the mark changes nothing. Between the first move and the last a reader may see part of a micro-batch: whoever
needs all or nothing takes Delta. All this stands in `_batches`, which Spark, Hive and Athena skip.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from event_lake.mark import BatchMark, LastBatch, older_than_table
from event_lake.storage import Storage
from event_lake.swap import Swap

MOVING_THREADS = 16
OPTIONS = {
    "parquet": {"compression": "zstd"},
    "json": {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSX", "ignoreNullFields": "false"},
}


class FileTableWriter:
    """One folder of files, partitioned as Hive does it (`event_type=lesson/date=2022-02-14/`)."""

    def __init__(
        self, storage: Storage, path: str, file_format: str, schema: StructType, partitions: Sequence[str]
    ) -> None:
        self._storage = storage
        self._path = path.rstrip("/")
        self._format = file_format
        self._schema = schema
        self._partitions = partitions

    @property
    def path(self) -> str:
        return self._path

    def create(self) -> None:
        """A folder comes with its first file; what a deletion has begun to replace in it is finished first."""
        Swap(self._storage, self._path).finish()

    def is_untouched(self) -> bool:
        names = [entry.name for entry in self._storage.entries(self._path)]
        return "_batches" not in names and all(name.startswith(("_", ".")) for name in names)

    def last_batch(self, query_id: str) -> LastBatch | None:
        batches = self._batches(query_id)
        newest = max(self._numbers(batches, "manifest"), default=None)
        if newest is None:
            return None
        manifest = json.loads(self._storage.read_text(f"{batches}/{newest}.manifest"))
        return LastBatch(newest, manifest["mark"]["offset_hash"])

    def newest_mark(self, of_shards: bool = False) -> BatchMark | None:
        return None  # each query has a folder of manifests; nothing says which of two came last

    def is_written(self, mark: BatchMark) -> bool:
        last = self.last_batch(mark.query_id)
        if last is None or last.batch_id < mark.batch_id:
            return False
        if last != LastBatch(mark.batch_id, mark.offset_hash):
            raise older_than_table(self._path, mark)
        return last.batch_id in self._numbers(self._batches(mark.query_id), "done")

    def partitioned_by(self) -> tuple[str, ...] | None:
        names, folder = [], self._path
        while levels := [entry for entry in self._storage.entries(folder) if entry.is_folder and "=" in entry.name]:
            names.append(levels[0].name.partition("=")[0])
            folder = levels[0].path
        return tuple(names) or None

    def payload_variant(self) -> None:
        return None  # plain files have no such column

    def values(self, column: str) -> set[str]:
        names = (entry.name.partition("=") for entry in self._storage.entries(self._path) if entry.is_folder)
        return {value for name, _, value in names if name == column}

    def commit(self, mark: BatchMark) -> None:
        return None  # a manifest does not say what was written where

    def append(self, rows: DataFrame, mark: BatchMark, may_write: Callable[[], None]) -> None:
        batches, number = self._batches(mark.query_id), mark.batch_id
        may_write()
        self._undo(batches, number)
        staging = f"{batches}/{number}.staging"
        writer = rows.select(self._schema.fieldNames()).write.format(self._format).mode("overwrite")
        writer.options(**OPTIONS[self._format]).partitionBy(*self._partitions).save(staging)
        moves = self._moves(staging, mark)
        may_write()
        self._write_manifest(f"{batches}/{number}.manifest", mark, [new for _, new in moves])
        with ThreadPoolExecutor(MOVING_THREADS) as pool:
            list(pool.map(lambda move: self._storage.move(*move), moves))
        self._storage.write_text(f"{batches}/{number}.done", "")
        self._forget(batches, number)

    def _batches(self, query_id: str) -> str:
        return f"{self._path}/_batches/{query_id}"

    def _undo(self, batches: str, number: int) -> None:
        """Takes back what a try at this micro-batch has left that did not come to its end."""
        manifest = f"{batches}/{number}.manifest"
        if self._storage.exists(manifest):
            for file in json.loads(self._storage.read_text(manifest))["files"]:
                self._storage.delete(f"{self._path}/{file}")
            self._storage.delete(manifest)
        self._storage.delete(f"{batches}/{number}.staging")

    def _moves(self, staging: str, mark: BatchMark) -> list[tuple[str, str]]:
        """From where to where each staged file goes."""
        moves = []
        for number, file in enumerate(sorted(self._storage.files_below(staging))):
            folder, _, name = file.partition(f"/{mark.batch_id}.staging/")[2].rpartition("/")
            if name.startswith(("_", ".")):
                continue
            ending = name.partition(".")[2]
            moves.append((file, f"{self._path}/{folder}/{mark.query_id}-{mark.batch_id:010d}-{number:05d}.{ending}"))
        return moves

    def _write_manifest(self, manifest: str, mark: BatchMark, files: list[str]) -> None:
        relative = [file.removeprefix(f"{self._path}/") for file in files]
        note: dict[str, Any] = {"mark": json.loads(mark.to_json()), "files": relative}
        self._storage.write_whole(manifest, json.dumps(note, indent=1))

    def _numbers(self, batches: str, ending: str) -> list[int]:
        """The micro-batches that have a file of this kind."""
        names = [entry.name.partition(".") for entry in self._storage.entries(batches)]
        return [int(number) for number, _, found in names if found == ending and number.isdigit()]

    def _forget(self, batches: str, number: int) -> None:
        """The newest manifest alone says how far the table is; earlier ones, and staging, have done their work."""
        for entry in self._storage.entries(batches):
            older = entry.name.partition(".")[0]
            if entry.name == f"{number}.staging" or (older.isdigit() and int(older) < number):
                self._storage.delete(entry.path)
