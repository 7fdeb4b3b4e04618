"""Which event types the lake has, and how many more it takes in a day.

Each event type is a folder of its own in the events table. A producer that writes an id into the first part of its
event names would make millions of them, and a table with so many partitions cannot be read any more, nor undone. So
a day takes a bounded number of new types; the events of further ones go to quarantine as `too_many_types`.

`types/N.json` under the checkpoint says which types are known after micro-batch N. It is written before the tables
are, and only where N brings types that the newest earlier file lacks: so most micro-batches write nothing. Whatever
happens to N, a replay looks in the same earlier file; and once a table holds N, what was decided then stays, even if
the configuration has changed since: a table that has its part of N would not take what another decision sends there.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from event_lake.checkpoint import CheckpointLog
from event_lake.errors import DataLossError
from event_lake.mark import BatchMark
from event_lake.schema import PARSED_RECORD
from event_lake.spark_api import frame_of
from event_lake.storage import Storage

log = logging.getLogger(__name__)

TOO_MANY = "too_many_types"
FILES_KEPT = 10
FILE = re.compile(r"(-?[0-9]+)\.json")


@dataclass(frozen=True)
class Known:
    """The types that the lake has after a micro-batch, and how many of them are of the newest day that brought any."""

    types: frozenset[str]
    day: date = date.min
    new: int = 0

    def with_new(self, ordered: Iterable[str], day: date, most: int) -> Known:
        """With as many of these as the day still takes; `most` 0: all. A day before the newest counts as that one."""
        day, new = (day, 0) if day > self.day else (self.day, self.new)
        taken = list(ordered)[: max(most - new, 0) if most else None]
        return Known(self.types | set(taken), day, new + len(taken))

    def to_json(self) -> str:
        return json.dumps({"version": 1, "day": self.day.isoformat(), "new": self.new, "types": sorted(self.types)})

    @classmethod
    def from_json(cls, text: str, path: str) -> Known:
        """Raises DataLossError where another version wrote it."""
        document = json.loads(text)
        if document.get("version") != 1:
            raise DataLossError(
                f"{path} was written by another version of event-lake, and this one cannot read which event types are "
                "known. Nothing was written. Run that version, or delete the folder that the file is in: the types "
                "that the events table has are then taken as known."
            )
        return cls(frozenset(document["types"]), date.fromisoformat(document["day"]), document["new"])


class EventTypes:
    """Decides, for one query, which types may be stored. One driver at a time."""

    def __init__(self, storage: Storage, checkpoint: CheckpointLog, most_new: int) -> None:
        """`most_new`: new types a day, in UTC and by the micro-batches' clock; 0: no bound."""
        self._storage = storage
        self._checkpoint = checkpoint
        self._path = f"{checkpoint.path}/types"
        self._most_new = most_new
        self._last: Known | None = None  # what is known after the last micro-batch

    def open(self, of_table: Callable[[], Collection[str]], others_wrote: bool = False) -> None:
        """Called once before the first micro-batch; where nothing is kept yet, the types of the table are known, and
        where other queries have written to it, those too."""
        planned = self._checkpoint.last_planned()
        if planned is None:
            self._storage.delete(self._path)  # of a query that was there before
        numbers = self._numbers()
        if not numbers:
            self._write(planned.batch_id - 1 if planned else -1, Known(frozenset(of_table())))
        elif others_wrote:
            newest = self._read(numbers[-1])
            self._write(numbers[-1], replace(newest, types=newest.types | frozenset(of_table())))

    def admitted(
        self, mark: BatchMark, clock: datetime, rows: Mapping[str, int], is_begun: Callable[[], bool]
    ) -> frozenset[str] | None:
        """All types that may be stored, where this micro-batch has others; None where it may be stored as it is.

        `rows`: by type, how many it is about to store. Where there are too many new types, those with the most rows
        are taken first. `is_begun`: whether a table holds a part of it already.
        """
        before = self._before(mark.batch_id)
        new = rows.keys() - before.types
        if not new:
            return None
        begun = is_begun()
        after = self._decided(mark.batch_id) if begun else None
        if after is None:
            # Begun and not decided: by a version that had no bound, and took them all.
            most = 0 if begun else self._most_new
            after = before.with_new(sorted(new, key=lambda kind: (-rows[kind], kind)), clock.date(), most)
            self._write(mark.batch_id, after)
        self._last = after
        refused = new - after.types
        if not refused:
            return None
        log.warning(
            "%s batch=%d refused_types=%d refused_rows=%d: %s has brought %d new event types, and "
            "lake.new_types_per_day allows no more; their events go to quarantine",
            *(TOO_MANY, mark.batch_id, len(refused), sum(rows[kind] for kind in refused), after.day, after.new),
        )
        return after.types

    def limited(self, batch: DataFrame, admitted: Collection[str]) -> DataFrame:
        """A micro-batch (schema.PARSED_RECORD) in which good events of other types than these have a problem.

        All of them, copies too: what is not stored must not be remembered as seen.
        """
        known = frame_of(batch.sparkSession, pa.table({"_known": pa.array(sorted(admitted), pa.string())}))
        rows = batch.join(F.broadcast(known), F.col("event_type") == F.col("_known"), "left")
        is_over = F.col("problem").isNull() & F.col("_known").isNull()
        detail = f"a new event type, after the {self._most_new} that lake.new_types_per_day allows"
        changed = {
            "problem": F.when(is_over, TOO_MANY).otherwise(F.col("problem")),
            "detail": F.when(is_over, detail).otherwise(F.col("detail")),
        }
        return rows.withColumns(changed).select(PARSED_RECORD.fieldNames())

    def _before(self, batch_id: int) -> Known:
        """What was known before this micro-batch."""
        if self._last is None:
            number = max((number for number in self._numbers() if number < batch_id), default=None)
            if number is None:
                raise DataLossError(
                    f"{self._path} has no file from before micro-batch {batch_id}: which event types were known then "
                    "is not known. Nothing was written. Restore the folder, or delete what is left of it: the types "
                    "that the events table has are then taken as known."
                )
            self._last = self._read(number)
        return self._last

    def _decided(self, batch_id: int) -> Known | None:
        return self._read(batch_id) if batch_id in self._numbers() else None

    def _numbers(self) -> list[int]:
        names = (FILE.fullmatch(entry.name) for entry in self._storage.entries(self._path))
        return sorted(int(name[1]) for name in names if name)

    def _read(self, number: int) -> Known:
        path = f"{self._path}/{number}.json"
        return Known.from_json(self._storage.read_text(path), path)

    def _write(self, number: int, known: Known) -> None:
        self._storage.write_whole(f"{self._path}/{number}.json", known.to_json())
        for older in self._numbers()[:-FILES_KEPT]:
            self._storage.delete(f"{self._path}/{older}.json")
