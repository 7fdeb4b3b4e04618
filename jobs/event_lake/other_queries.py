"""Other queries that write into the same tables, one at a time: the lake's job, a backfill, a replay of quarantine.

Each has a checkpoint and an index of its own, so each must learn at its start what the others have stored since. That
is exact only where nobody stands in the middle of a micro-batch: a part of it would be in quarantine or duplicates by
what was known then, and the rest would be judged by what is known now. Both are asked of the tables alone, by what
every commit says of its query; no note is kept that could be lost or forgotten.
"""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from event_lake.checkpoint import CheckpointLog
from event_lake.delta_table import DeltaTableWriter
from event_lake.errors import EventLakeError
from event_lake.sink import EventSink


class OtherQueries:
    """As one query sees them before it starts. There are none where the tables are plain files."""

    def __init__(self, checkpoint: CheckpointLog, sink: EventSink, margin: timedelta) -> None:
        """`margin`: by how much the clocks that the queries ran by may differ."""
        self._checkpoint = checkpoint
        self._margin = margin
        self._query_id = checkpoint.query_id()
        self._tables = [table for table in sink.tables.values() if isinstance(table, DeltaTableWriter)]

    def check_finished(self) -> None:
        """Raises EventLakeError where another query has written a part of a micro-batch."""
        if not self._tables:
            return
        finished = self._events.last_numbers()
        for table in self._tables[:-1]:
            for query_id, number in table.last_numbers().items():
                if query_id != self._query_id and number > finished.get(query_id, -1):
                    raise EventLakeError(
                        f"another query ({query_id}; a backfill, a replay, or the job that this one goes beside) was "
                        f"killed in its micro-batch {number}: {table.path} has its part of it, the events table has "
                        "not. What this one stored now, that one would store again. Nothing was read. Start the other "
                        "one again until it ends with exit code 0, then this one."
                    )

    def unknown_events(self, is_beside: bool) -> DataFrame | None:
        """Events (schema.EVENTS) that others may have stored since this query has looked last; None where they have
        stored nothing. Some that it knows may be among them. `is_beside`: the query begins on what others have stored.
        """
        planned = self._checkpoint.last_planned()
        if not self._tables or (planned is None and not is_beside):
            return None
        rows = self._events.rows()
        if planned is None:
            return rows
        newest = self._events.newest_mark()
        if newest is None or newest.query_id == self._query_id:
            return None
        # It has looked before it planned its last micro-batch, and until that was over nobody else could write.
        since = planned.clock_ms - self._margin // timedelta(milliseconds=1)
        rows = rows.where(F.col("stored_at") >= F.timestamp_millis(F.lit(since)))
        own = self._events.last_mark(self._query_id) if self._query_id else None
        if own is not None and own.stored_at is not None:
            # Of a micro-batch that is stored, but was killed before its keys were: a replay must not find its own.
            rows = rows.where(F.col("stored_at") != F.lit(own.stored_at).cast("timestamp"))
        return rows

    @property
    def _events(self) -> DeltaTableWriter:
        return self._tables[-1]
