"""A terminal for the programs under test, and what a person would see on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import threading
from types import TracebackType
from typing import Self

WORDS = re.compile(r"\r|\n|\033\[K|\033\[[0-9;?]*[A-Za-z]|[^\r\n\033]+")


class Terminal:
    """A pseudo-terminal; `device` is the end that a program gets as its output."""

    def __init__(self, columns: int = 200, name: str = "xterm") -> None:
        self.master, self.device = pty.openpty()
        self.environment = {"TERM": name}
        self.resize(columns)
        self._written: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.device, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def close(self) -> None:
        """Afterwards all is read that was written before."""
        if self.device >= 0:
            os.close(self.device)
            self.device = -1
            self._reader.join(10)
            os.close(self.master)

    def written(self) -> str:
        return b"".join(self._written).decode(errors="replace")

    def lines(self) -> list[str]:
        """What stands on the screen, of a terminal as long as it takes."""
        done: list[str] = []
        line, column = "", 0
        for word in WORDS.findall(self.written()):
            if word == "\n":
                done.append(line)
                line, column = "", 0
            elif word == "\r":
                column = 0
            elif word == "\033[K":
                line = line[:column]
            else:
                assert word[0] != "\033", f"the screen does not know {word!r}"
                line = line[:column] + word + line[column + len(word) :]
                column += len(word)
        return [*done, line]

    def shown(self) -> list[str]:
        """Each line that was written over, as it stood."""
        return list(re.findall(r"\r\033\[K([^\r\n\033]+)", self.written()))

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # no program has its other end any more
                return
            if not data:
                return
            self._written.append(data)
