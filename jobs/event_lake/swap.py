"""Replacing files of a plain format's folder by others, or by nothing, so that a kill at any moment does no harm.

Plain files have no transactions. What is to come is written beside the table (`_swap`, which readers skip); then a
list is written of what takes the place of what; then each old file is deleted and its successor moved to its name.
Once the list is there, whoever comes next and may write goes on with it: `finish` may be repeated. Between a file's
deletion and its successor's arrival a reader misses its rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from event_lake.storage import Storage

FOLDER = "_swap"
LIST = "list.json"


class Swap:
    """Of one table's folder. One driver at a time."""

    def __init__(self, storage: Storage, table: str) -> None:
        self._storage = storage
        self._table = table.rstrip("/")
        self._list = f"{self._table}/{FOLDER}/{LIST}"
        self.staging = f"{self._table}/{FOLDER}/staging"  # where the new files are to be written

    def begin(self) -> None:
        """Clears away what a try that did not come to its list has left."""
        self.finish()
        self._storage.delete(f"{self._table}/{FOLDER}")

    def decide(self, successors: Mapping[str, str | None]) -> None:
        """From now on it will be done: old files, and below `staging` what is to take their names; None: nothing."""
        self._storage.write_whole(self._list, json.dumps(dict(successors), indent=1))

    def finish(self) -> None:
        """Does what was decided and has not been done; where nothing was, nothing."""
        if not self._storage.exists(self._list):
            return
        for old, new in json.loads(self._storage.read_text(self._list)).items():
            if new is None:
                self._storage.delete(old)
            elif self._storage.exists(new):
                self._storage.delete(old)
                self._storage.move(new, old)
        self._storage.delete(self._list)
        self._storage.delete(f"{self._table}/{FOLDER}")
