"""The server's time, from the `Date` headers of its answers."""

from __future__ import annotations

import email.utils
import threading
import time


class ServerClock:
    """A time that is never later than the server's own, from the `Date` headers of its answers.

    AWS refuses an AT_TIMESTAMP in the future, and a driver's clock may be minutes off. A header counts whole
    seconds, rounded down, so each answer proves "the server's clock is at least this"; the proof that is furthest
    ahead, carried on by the monotonic clock, comes within the network's delay of the truth after a few answers.
    Only answers of the last two spans count, so a server clock that is set back is followed.
    """

    SPAN_SECONDS = 300.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._lead: float | None = None
        self._former_lead: float | None = None

    def saw(self, date_header: str | None) -> None:
        """Takes the Date header of an answer that has just come in; the driver's own clock stands in for none."""
        now = time.monotonic()
        try:
            date = email.utils.parsedate_to_datetime(date_header).timestamp() if date_header else time.time()
        except ValueError:
            date = time.time()
        with self._lock:
            if now - self._started > self.SPAN_SECONDS:
                self._former_lead, self._lead, self._started = self._lead, None, now
            self._lead = max(date - now, self._lead if self._lead is not None else float("-inf"))

    def now(self) -> float:
        """Unix seconds; asks for at least one answer before it."""
        leads = [lead for lead in (self._lead, self._former_lead) if lead is not None]
        return max(leads) + time.monotonic() if leads else time.time()

    def forget(self) -> None:
        """Drops what was learnt: the server says that its clock is behind it."""
        with self._lock:
            self._lead = self._former_lead = None
