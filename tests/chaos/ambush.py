"""What can become of a request to S3: a fault that the weather brings, or an ambush at the moment to strike."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

UNANSWERED, ANSWERED, BUSY, CUT = "reset", "reset after the request was served", "503", "cut answer"
KINDS = (UNANSWERED, ANSWERED, BUSY, CUT)


@dataclass(frozen=True)
class Weather:
    """Which share of the requests fails, in ways drawn from `kinds`."""

    rate: float = 0.0
    kinds: tuple[str, ...] = KINDS


class Ambush:
    """Strikes at the n-th request that fits: before it reaches the store, after, or some time after."""

    def __init__(
        self, strike: Callable[[], None], request: str, nth: int = 1, *, served: bool = False, delay: float = 0.0
    ) -> None:
        """`request` is a pattern for "METHOD /bucket/key"; `delay` in seconds, the request is answered then."""
        self.struck = threading.Event()
        self.request = ""  # the one that sprung it
        self.served, self.delay = served, delay
        self._strike, self._pattern, self._left = strike, re.compile(request), nth
        self._lock = threading.Lock()

    def is_sprung_by(self, request: str) -> bool:
        if not self._pattern.search(request):
            return False
        with self._lock:
            self._left -= 1
            if self._left:
                return False
            self.request = request
            return True

    def strike(self) -> None:
        time.sleep(self.delay)
        self._strike()
        self.struck.set()
