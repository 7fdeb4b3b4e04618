"""How far a long command has come: one line that is written over on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time

TERMINAL_SECONDS, PLAIN_SECONDS = 0.1, 5.0


class Progress:
    """Shows on stderr how many of `total` events are done; the total may be unknown."""

    def __init__(self, name: str, total: int | None = None) -> None:
        self.name, self.total = name, total
        self.on_terminal = sys.stderr.isatty()
        self.started = self.shown = time.monotonic()
        self.visible = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def show(self, done: int) -> None:
        now = time.monotonic()
        if now - self.shown < (TERMINAL_SECONDS if self.on_terminal else PLAIN_SECONDS):
            return
        self.shown = now
        line = f"{self.name}: {done:,} events put, {done / self.seconds:,.0f}/s"
        if self.total:
            left = (self.total - done) * self.seconds / max(done, 1)
            line += f", {100 * done // self.total} % of {self.total:,}, about {left:,.0f} s left"
        if self.on_terminal:
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
            self.visible = True
        else:
            print(line, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Takes the line off the terminal, so that what follows starts on a clean one."""
        if self.visible:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self.visible = False
