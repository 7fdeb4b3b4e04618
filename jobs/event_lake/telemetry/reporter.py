"""From the batch writer to the outlets, without keeping it waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError
from pyspark.sql.streaming.query import StreamingQuery

from event_lake.sink import TableWriter
from event_lake.telemetry.health import Health
from event_lake.telemetry.measured import Measured
from event_lake.telemetry.row import Row, row_of
from event_lake.telemetry.worker import Worker

if TYPE_CHECKING:
    from event_lake.telemetry.endpoint import Endpoint  # needs prometheus-client, which only who has one needs

LOOK_SECONDS = 1.0
STOP_SECONDS = 30.0


class Reporter:
    """`report` is called by the thread that writes micro-batches, and returns at once."""

    def __init__(self, tables: Mapping[str, TableWriter], top_types: int, health: Health) -> None:
        self._tables = tables
        self._top_types = top_types
        self._health = health
        self._outlets: list[Worker[Row]] = []
        self._rows = Worker("rows", self._make_rows)
        self._endpoint: Endpoint | None = None
        self._stopped = threading.Event()

    def add(self, name: str, outlet: Callable[[Sequence[Row]], None], every: float = 0.0) -> None:
        self._outlets.append(Worker(name, outlet, every))

    def listen(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def outlets(self) -> dict[str, tuple[int, int]]:
        """By name: how often it has failed, how many rows it has dropped."""
        own = {self._rows.name: (self._rows.failures, self._rows.dropped)}
        return own | {outlet.name: (outlet.failures, outlet.dropped) for outlet in self._outlets}

    def report(self, measured: Measured) -> None:
        self._health.finished(measured.mark)
        self._rows.put((measured, time.monotonic() - measured.began))

    def failed(self, error: Exception) -> None:
        self._health.failed(error)

    def watch(self, query: StreamingQuery) -> None:
        """From now on knows when the query has nothing to do: it then finishes no micro-batch, and is well."""
        threading.Thread(target=self._watch, args=(query,), name="event-lake-watch", daemon=True).start()

    def stop(self) -> None:
        """What has been measured is handed on first, for a bounded time."""
        self._stopped.set()
        until = time.monotonic() + STOP_SECONDS
        self._rows.stop(STOP_SECONDS)  # it feeds the others
        for outlet in self._outlets:
            outlet.stop(max(until - time.monotonic(), 0.1))
        if self._endpoint:
            self._endpoint.stop()

    def _make_rows(self, found: Sequence[tuple[Measured, float]]) -> None:
        for measured, seconds in found:
            row = row_of(measured, seconds, self._tables, self._top_types)
            for outlet in self._outlets:
                outlet.put(row)

    def _watch(self, query: StreamingQuery) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                status = query.status
            except Py4JError:
                return  # the driver ends
            if not status["isTriggerActive"] and not status["isDataAvailable"]:
                self._health.idle()
