"""What was asked of the server: the last calls one by one, and counters over all of them."""

from __future__ import annotations

import threading
from collections import deque
from typing import TypedDict

THROTTLED = frozenset({"ProvisionedThroughputExceededException", "LimitExceededException"})


class Call(TypedDict):
    operation: str
    stream: str | None
    shard: str | None
    time: float
    """When it came in, Unix seconds of the server's clock."""
    request_bytes: int
    iterator_type: str | None
    limit: int | None
    error: str | None
    """The error's code, or the name of the fault that took its place; None where all went well."""
    records: int
    bytes: int
    """Of data and partition keys, read or written."""


class Counts(TypedDict):
    calls: int
    throttled: int
    failed: int
    """Errors other than throttling."""
    records: int
    bytes: int


class Journal:
    def __init__(self, length: int = 200_000) -> None:
        self._calls: deque[Call] = deque(maxlen=length)
        self._counts: dict[tuple[str | None, str, str], Counts] = {}
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        key = (call["stream"], call["operation"], call["shard"] or "-")
        with self._lock:
            self._calls.append(call)
            counts = self._counts.get(key)
            if counts is None:
                counts = self._counts[key] = Counts(calls=0, throttled=0, failed=0, records=0, bytes=0)
            counts["calls"] += 1
            counts["throttled"] += call["error"] in THROTTLED
            counts["failed"] += call["error"] is not None and call["error"] not in THROTTLED
            counts["records"] += call["records"]
            counts["bytes"] += call["bytes"]

    def calls(self, operation: str | None, stream: str | None, shard: str | None) -> list[Call]:
        with self._lock:
            every = list(self._calls)
        return [
            call
            for call in every
            if operation in (None, call["operation"])
            and stream in (None, call["stream"])
            and shard in (None, call["shard"])
        ]

    def counts(self, stream: str | None) -> dict[str, dict[str, Counts]]:
        """By operation, then by shard ("-" where a call is about none)."""
        found: dict[str, dict[str, Counts]] = {}
        with self._lock:
            for (name, operation, shard), counts in self._counts.items():
                if stream not in (None, name):
                    continue
                total = found.setdefault(operation, {}).setdefault(
                    shard, Counts(calls=0, throttled=0, failed=0, records=0, bytes=0)
                )
                for field in ("calls", "throttled", "failed", "records", "bytes"):
                    total[field] += counts[field]
        return found

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()
            self._counts.clear()
