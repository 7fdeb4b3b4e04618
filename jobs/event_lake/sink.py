"""One micro-batch into its tables, each exactly once, whatever Spark replays.

Quarantine and duplicates are written first and events last: an events commit therefore says that its micro-batch is
wholly stored, and carries the micro-batch's end offset, so that a table can be held against a checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from event_lake.config import Lake
from event_lake.deduplicate.verdicts import DUPLICATE, GAP, QUARANTINED, STORED
from event_lake.delta_log import Commit, DeltaLog
from event_lake.delta_table import NO_PROPERTIES, DeltaTableWriter
from event_lake.events_layout import layout_of
from event_lake.file_table import FileTableWriter
from event_lake.mark import BatchMark, LastBatch
from event_lake.placement import Volume, gathered
from event_lake.schema import (
    DUPLICATES,
    DUPLICATES_PARTITIONS,
    GAPS,
    GAPS_PARTITIONS,
    QUARANTINE,
    QUARANTINE_PARTITIONS,
)
from event_lake.storage import Storage
from event_lake.table_rows import rows_for


class TableWriter(Protocol):
    """What a format must be able to do."""

    @property
    def path(self) -> str:
        """Where the table is, in full."""

    def create(self) -> None:
        """Makes the table where there is none; called once, before the first micro-batch."""

    def is_untouched(self) -> bool:
        """Whether there is no table yet, or an empty one that no query has written to."""

    def last_batch(self, query_id: str) -> LastBatch | None:
        """The last micro-batch of a query that is in the table, or came half into it."""

    def newest_mark(self, of_shards: bool = False) -> BatchMark | None:
        """The last mark that any query has left, or any that reads a stream of shards, where the format can tell which
        one is the last."""

    def is_written(self, mark: BatchMark) -> bool:
        """Whether the table holds this micro-batch.

        Raises DataLossError where it holds a later one, or another one under this number: the checkpoint is older than
        the table, and the rows would be taken for written.
        """

    def partitioned_by(self) -> tuple[str, ...] | None:
        """The partition columns that the table was made with; None where there is nothing yet that has any."""

    def payload_variant(self) -> str | None:
        """What lake.payload_variant was when the table was made; None where there is none."""

    def values(self, column: str) -> set[str]:
        """The values of a partition column, without reading rows."""

    def commit(self, mark: BatchMark) -> Commit | None:
        """How a micro-batch came into the table; None where it did not, or where the format keeps no log."""

    def append(self, rows: DataFrame, mark: BatchMark, may_write: Callable[[], None]) -> None:
        """Adds the rows of a micro-batch that is not written yet, all or none, and its mark with them.

        `may_write` is called right before the table is changed, and raises where this driver must not any more.
        """


@dataclass(frozen=True, slots=True)
class TableWrite:
    """What was done to one table for a micro-batch."""

    seconds: float
    was_there: bool  # an earlier run of the micro-batch had written it
    stored_at: datetime  # of rows that are new


class EventSink:
    """The events table, and beside it quarantine, duplicates and gaps."""

    def __init__(self, spark: SparkSession, storage: Storage, lake: Lake) -> None:
        self._most_bytes = lake.target_file_size.count
        self._most_tasks = 2 * spark.sparkContext.defaultParallelism
        self._duplicate_payloads = lake.duplicate_payloads
        self.layout = layout_of(lake)  # of the events table

        def table(
            path: str,
            role: str,
            schema: StructType,
            partitions: Sequence[str],
            properties: Mapping[str, str] = NO_PROPERTIES,
        ) -> TableWriter:
            path = storage.qualified(path)
            if lake.format == "delta":
                return DeltaTableWriter(
                    spark, DeltaLog(spark, storage, path), role, schema, partitions, properties=properties
                )
            return FileTableWriter(storage, path, lake.format, schema, partitions)

        self._tables: dict[str, TableWriter] = {
            QUARANTINED: table(lake.quarantine_path, "quarantine", QUARANTINE, QUARANTINE_PARTITIONS),
            DUPLICATE: table(lake.duplicates_path, "duplicates", DUPLICATES, DUPLICATES_PARTITIONS),
            GAP: table(lake.gaps_path, "gaps", GAPS, GAPS_PARTITIONS),
            STORED: table(lake.path, "events", self.layout.schema, self.layout.partitions, self.layout.properties),
        }

    @property
    def tables(self) -> Mapping[str, TableWriter]:
        """The tables by the verdict whose rows they hold, in the order in which they are written."""
        return self._tables

    def create(self) -> None:
        """Makes the tables, but for that of gaps: it comes with the first one."""
        for verdict, table in self._tables.items():
            if verdict != GAP:
                table.create()

    def event_types(self) -> set[str]:
        """All that the events table has."""
        return self._tables[STORED].values("event_type")

    def is_begun(self, mark: BatchMark) -> bool:
        """Whether a table holds its part of this micro-batch. Raises DataLossError (see TableWriter.is_written)."""
        return any(table.is_written(mark) for verdict, table in self._tables.items() if verdict != GAP)

    def write(
        self,
        judged: DataFrame,
        parts: Sequence[Volume],
        mark: BatchMark,
        now: datetime,
        may_write: Callable[[], None] = lambda: None,
    ) -> dict[str, TableWrite]:
        """Stores a persisted micro-batch (schema.JUDGED_RECORD); `now` becomes its stored_at. `may_write`: see
        TableWriter.append. Returns, by verdict, what was done to the tables that have a part in it."""
        own = {verdict: [part for part in parts if part.verdict == verdict] for verdict in self._tables}
        tables = {verdict: table for verdict, table in self._tables.items() if own[verdict] or verdict != GAP}
        if own[GAP]:
            may_write()
            tables[GAP].create()
        # All are asked before any is written: a refusal must leave nothing behind. Events first, it leaves none out.
        written = {verdict: table.is_written(mark) for verdict, table in reversed(tables.items())}
        done: dict[str, TableWrite] = {}
        for verdict, table in tables.items():
            if not own[verdict] and verdict != STORED:
                continue
            began = time.monotonic()
            if not written[verdict]:
                rows = rows_for(judged, verdict, self._duplicate_payloads)
                rows = gathered(rows, own[verdict], now, self._most_bytes, self._most_tasks)
                if verdict == STORED:
                    rows = self.layout.completed(rows)  # what can be made of the rest need not change places with it
                table.append(rows, replace(mark, stored_at=now.isoformat()), may_write)
            done[verdict] = TableWrite(time.monotonic() - began, written[verdict], now)
        return done
