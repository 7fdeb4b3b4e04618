"""Faults on purpose: at a rate, or the next calls of an operation."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

KINDS = (
    "throttle",  # ProvisionedThroughputExceededException, LimitExceededException where the operation has no other
    "internal",  # InternalFailure, 500
    "unavailable",  # ServiceUnavailable, 503
    "kms_throttle",  # KMSThrottlingException: the key of an encrypted stream; GetRecords and puts only
    "access_denied",  # AccessDeniedException: a policy of the stream or of its account
    "expired_iterator",  # ExpiredIteratorException; GetRecords only
    "partial",  # every other record refused, the rest stored; PutRecords only
    "reset",  # the connection is reset unanswered; the operation did not run
    "slow",  # the answer comes ``seconds`` late
    "truncated",  # the operation ran, the answer stops before its Content-Length
)
_ONLY = {
    "expired_iterator": ("GetRecords",),
    "partial": ("PutRecords",),
    "kms_throttle": ("GetRecords", "PutRecord", "PutRecords"),
}


@dataclass(frozen=True)
class Fault:
    kind: str
    seconds: float = 0.0


@dataclass(frozen=True)
class _Planned:
    operation: str
    shard: str | None
    fault: Fault
    left: int


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []
        self._rate = 0.0
        self._kinds: tuple[str, ...] = ()
        self._operations: frozenset[str] | None = None
        self._seconds = 0.0
        self._random = random.Random(0)

    def set(
        self, rate: float, kinds: Sequence[str], operations: Sequence[str] | None, seed: int, seconds: float
    ) -> None:
        for kind in kinds:
            _check(kind)
        with self._lock:
            self._rate, self._kinds, self._seconds = rate, tuple(kinds), seconds
            self._operations = None if operations is None else frozenset(operations)
            self._random = random.Random(seed)

    def plan(self, operation: str, kind: str, count: int, shard: str | None, seconds: float) -> None:
        _check(kind)
        if operation not in _ONLY.get(kind, (operation,)):
            raise ValueError(f"fault {kind!r} exists for {' and '.join(_ONLY[kind])} only, not for {operation}")
        with self._lock:
            self._planned.append(_Planned(operation, shard, Fault(kind, seconds), count))

    def clear(self) -> None:
        with self._lock:
            self._planned.clear()
            self._rate = 0.0

    def pick(self, operation: str, shard: str | None) -> Fault | None:
        """The fault for this call, planned ones first."""
        with self._lock:
            for i, planned in enumerate(self._planned):
                if planned.operation == operation and planned.shard in (None, shard):
                    self._planned[i : i + 1] = [replace(planned, left=planned.left - 1)] if planned.left > 1 else []
                    return planned.fault
            if not self._rate or (self._operations is not None and operation not in self._operations):
                return None
            kinds = [kind for kind in self._kinds if operation in _ONLY.get(kind, (operation,))]
            if not kinds or self._random.random() >= self._rate:
                return None
            return Fault(self._random.choice(kinds), self._seconds)


def _check(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"no fault {kind!r}; there are {', '.join(KINDS)}")
