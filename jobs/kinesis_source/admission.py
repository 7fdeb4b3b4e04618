"""Spark 4.2's admission control for Python sources, where it is there.

Spark 4.0 and 4.1 call ``latestOffset()`` and know none of this; the names stand in for it, so one class serves all.
"""

from __future__ import annotations

from typing import Any

from kinesis_source.slices import Limits

try:
    from pyspark.sql.streaming.datasource import (  # type: ignore[import-not-found]
        ReadAllAvailable,
        ReadMaxBytes,
        ReadMaxRows,
        SupportsTriggerAvailableNow,
    )
except ImportError:  # Spark 4.0 and 4.1

    class SupportsTriggerAvailableNow:  # type: ignore[no-redef]
        """Nothing calls it here."""

    ReadAllAvailable = ReadMaxBytes = ReadMaxRows = None

# A default limit that is none by number: with ReadAllAvailable as the default, Spark's own "all of it" (Trigger.Once)
# could not be told from a query that is to go on slice by slice.
UNBOUNDED_ROWS = 2**62

__all__ = ["SupportsTriggerAvailableNow", "default_read_limit", "under"]


def default_read_limit(limits: Limits) -> Any:
    """The options' limit for Spark 4.2 to hand back; slices of time, and bytes beside records, hold all the same."""
    if limits.records == float("inf") and limits.bytes < float("inf"):
        return ReadMaxBytes(int(limits.bytes))
    return ReadMaxRows(int(min(limits.records, UNBOUNDED_ROWS)))


def under(limit: Any, limits: Limits) -> Limits:
    """The options' limits under what Spark 4.2 asks for; Spark 4.1 asks for nothing."""
    if limit is None:
        return limits
    if isinstance(limit, ReadAllAvailable):
        return Limits(float("inf"))
    if isinstance(limit, ReadMaxRows) and limit.max_rows < UNBOUNDED_ROWS:
        return Limits(limits.seconds, float(limit.max_rows), limits.bytes)
    if isinstance(limit, ReadMaxBytes):
        return Limits(limits.seconds, limits.records, float(limit.max_bytes))
    return limits
