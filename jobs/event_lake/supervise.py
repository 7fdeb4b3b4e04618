"""Watching a running query from the driver's main thread: when it is done, and what ended it."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.errors import StreamingQueryException
from pyspark.sql.streaming.query import StreamingQuery

from event_lake.batch import BatchWriter, Stopped
from event_lake.lease import Lease
from event_lake.source import named_failure
from event_lake.stop import StopRequest

LOOK_SECONDS = 0.2


def supervise(
    query: StreamingQuery, writer: BatchWriter, stop: StopRequest, lease: Lease, caught_up: Callable[[], bool]
) -> None:
    """Returns when the query has ended as wished: caught up, or asked to stop. Raises what else ended it.

    Asked to stop, the running micro-batch is finished first: Spark's own stop() would interrupt it. A driver that stood
    still while another went on may fail at Spark's own logs first; what is told is that the lease is lost.
    """
    try:
        looked_after: int | None = -1
        while not query.awaitTermination(LOOK_SECONDS):  # type: ignore[arg-type]
            lease.check_known()
            writer.stopping = writer.stopping or stop.made()
            if looked_after != writer.finished and not writer.stopping and _is_settled(query, writer):
                looked_after = writer.finished
                writer.stopping = caught_up()
            if writer.stopping and _is_settled(query, writer):
                return
    except StreamingQueryException as error:
        if not isinstance(writer.failure, Stopped):
            raise (writer.failure or lease.lost_to() or named_failure(str(error))) from error
    finally:
        query.stop()


def _is_settled(query: StreamingQuery, writer: BatchWriter) -> bool:
    """Whether no micro-batch is running: the last one written is also in Spark's commit log."""
    if writer.busy:
        return False
    progress = query.lastProgress
    return writer.finished is None or (progress is not None and progress["batchId"] >= writer.finished)
