"""How far a long command has come: one line that is written over on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time

from status_line import StatusLine, duration

TERMINAL_SECONDS, PLAIN_SECONDS = 0.1, 5.0


class Progress:
    """Shows on stderr how many of `total` events are done; the total may be unknown."""

    def __init__(self, name: str, total: int | None = None) -> None:
        self.name, self.total = name, total
        self._line = StatusLine(sys.stderr)
        self.started = self.shown = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def show(self, done: int) -> None:
        now = time.monotonic()
        if now - self.shown < (TERMINAL_SECONDS if self._line.on_terminal else PLAIN_SECONDS):
            return
        self.shown = now
        parts = [f"{self.name}: {done:,} events put", f"{done / self.seconds:,.0f}/s"]
        if self.total:
            left = (self.total - done) * self.seconds / max(done, 1)
            parts += [f"{100 * done // self.total} % of {self.total:,}", f"about {duration(left)} left"]
        if self._line.on_terminal:
            self._line.show(*parts)
        else:
            print(", ".join(parts), file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Takes the line off the terminal, so that what follows starts on a clean one."""
        self._line.clear()
