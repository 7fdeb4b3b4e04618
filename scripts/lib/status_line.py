"""One line at the bottom of a terminal that is written over as things go on."""

from __future__ import annotations

import os
from typing import TextIO

WIDTH = 80  # where the terminal does not say
ERASE = "\r\033[K"


class StatusLine:
    """On what is no terminal, or one that cannot move its cursor (TERM=dumb), nothing is ever written.

    Whoever else writes to the terminal clears the line before. It has no colours, so NO_COLOR changes nothing. The
    width is asked for each time; of a line that stood there when the terminal became narrower a rest may stay.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.on_terminal = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._visible = False

    def show(self, *parts: str) -> None:
        """As many of the parts as fit on one line, the first ones first."""
        if not self.on_terminal:
            return
        room = self._width() - 1  # a terminal may begin a new line behind its last column
        line = parts[0][:room]
        for part in parts[1:]:
            if len(line) + len(part) + 2 > room:
                break
            line += f", {part}"
        self._write(f"{ERASE}{line}")
        self._visible = True

    def clear(self) -> None:
        """Takes the line off the terminal, so that what follows starts on a clean one."""
        if self._visible:
            self._write(ERASE)
            self._visible = False

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or WIDTH
        except OSError:
            return WIDTH

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def duration(seconds: float) -> str:
    """For people: two units at most."""
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes:.0f} min"
    if hours < 48:
        return f"{int(hours)} h {int(minutes) % 60} min"
    return f"{int(days)} d {int(hours) % 24} h"
