"""Appending micro-batches to a folder of Parquet or JSON-lines files, each once.

Plain files have no transactions, so each micro-batch goes through three steps: Spark writes it to a staging folder; a
manifest names the files it will become; they are moved to their partitions and the manifest is marked done. File names
carry query and micro-batch. A replay that finds a manifest without its mark deletes what it lists and starts over; one
that finds the mark changes nothing. Between the first move and the last a reader may see part of a micro-batch:
whoever needs all or nothing takes Delta. Staging and manifests stand in `_batches`, which Spark, Hive and Athena skip.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from event_lake.errors import DataLossError
from event_lake.storage import Storage

if TYPE_CHECKING:
    from event_lake.sink import BatchMark

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

    def create(self) -> None:
        """Nothing to do: a folder comes with its first file."""

    def append(self, rows: DataFrame, mark: BatchMark) -> None:
        batches = f"{self._path}/_batches/{mark.query_id}"
        staging, manifest = f"{batches}/{mark.batch_id}.staging", f"{batches}/{mark.batch_id}.json"
        if self._is_written(batches, manifest, mark):
            return
        self._storage.delete(staging)
        writer = rows.select(self._schema.fieldNames()).write.format(self._format).mode("overwrite")
        writer.options(**OPTIONS[self._format]).partitionBy(*self._partitions).save(staging)
        moves = self._moves(staging, mark)
        self._note(manifest, mark, [new for _, new in moves], done=False)
        with ThreadPoolExecutor(MOVING_THREADS) as pool:
            list(pool.map(lambda move: self._storage.move(*move), moves))
        self._note(manifest, mark, [new for _, new in moves], done=True)
        self._storage.delete(staging)
        self._forget_older(batches, mark.batch_id)

    def _is_written(self, batches: str, manifest: str, mark: BatchMark) -> bool:
        newest = max(self._batch_ids(batches), default=-1)
        if newest < mark.batch_id:
            return False
        note = json.loads(self._storage.read_text(manifest)) if newest == mark.batch_id else None
        if note is None or note["mark"]["offset_hash"] != mark.offset_hash:
            raise DataLossError(
                f"the files in {self._path} already hold micro-batch {newest} of this query, but the checkpoint is "
                f"about to write micro-batch {mark.batch_id} with other records: the checkpoint is older than the "
                "files, as after restoring it from a copy. Nothing was written. "
                "Restore the newest checkpoint, or start with a new checkpoint path."
            )
        if note["done"]:
            return True
        for file in note["files"]:
            self._storage.delete(f"{self._path}/{file}")
        return False

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

    def _note(self, manifest: str, mark: BatchMark, files: list[str], done: bool) -> None:
        relative = [file.removeprefix(f"{self._path}/") for file in files]
        note: dict[str, Any] = {"done": done, "mark": json.loads(mark.to_json()), "files": relative}
        self._storage.write_text(manifest, json.dumps(note, indent=1))

    def _batch_ids(self, batches: str) -> list[int]:
        names = [entry.name.partition(".") for entry in self._storage.entries(batches) if not entry.is_folder]
        return [int(number) for number, _, ending in names if ending == "json" and number.isdigit()]

    def _forget_older(self, batches: str, batch_id: int) -> None:
        """The newest manifest alone says how far the table is; earlier ones have done their work."""
        for older in self._batch_ids(batches):
            if older < batch_id:
                self._storage.delete(f"{batches}/{older}.json")
