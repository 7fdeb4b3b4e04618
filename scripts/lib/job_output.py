"""What a job writes, with a line below it that says how far it has come.

Under spark-submit the job cannot know that there is a terminal: Spark reads both of its streams through a pipe. So
whoever starts spark-submit shows it, from the lines that the job prints anyway; the job does nothing for it.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from typing import BinaryIO, TextIO

from drain import Drain
from status_line import StatusLine

LOOK_SECONDS = 0.5
REST_SECONDS = 2.0  # for what is still in the pipes when the job has ended
MOST_BYTES = 65536


def on_terminal() -> bool:
    return StatusLine(sys.stdout).on_terminal


def pipes() -> dict[str, int]:
    """For Popen: those of the two streams that are terminals go through a pipe."""
    found = {"stdout": sys.stdout, "stderr": sys.stderr}
    return {name: subprocess.PIPE for name, stream in found.items() if stream.isatty()}


class JobOutput:
    """Of a process that was started with `pipes()`: passes its lines on as they are, and ends the last one."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._drain = Drain()
        self._line = StatusLine(sys.stdout)
        self._begun: dict[BinaryIO, bytes] = {}  # lines without an end yet
        self._selector = selectors.DefaultSelector()
        for pipe, stream in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
            if pipe is not None:
                self._begun[pipe] = b""
                self._selector.register(pipe, selectors.EVENT_READ, stream)

    def wait(self, timeout: float) -> int:
        """As Popen.wait: the exit code. Raises TimeoutExpired."""
        until = time.monotonic() + timeout
        while (code := self._process.poll()) is None:
            seconds = until - time.monotonic()
            if seconds <= 0:
                raise subprocess.TimeoutExpired(self._process.args, timeout)
            self._pass_on(min(seconds, LOOK_SECONDS))
            self._line.show(*self._drain.parts())
        self._line.clear()
        until = time.monotonic() + REST_SECONDS
        while self._selector.get_map() and time.monotonic() < until:
            self._pass_on(0.1)
        return code

    def _pass_on(self, seconds: float) -> None:
        if not self._selector.get_map():
            time.sleep(seconds)
            return
        for key, _ in self._selector.select(seconds):
            pipe: BinaryIO = key.fileobj  # type: ignore[assignment]
            read = os.read(pipe.fileno(), MOST_BYTES)
            whole, end, rest = (self._begun[pipe] + read).rpartition(b"\n")
            if not read:
                self._selector.unregister(pipe)
                whole, end, rest = rest, b"\n" if rest else b"", b""
            self._begun[pipe] = rest
            if whole or end:
                self._write(key.data, whole + end)

    def _write(self, stream: TextIO, lines: bytes) -> None:
        self._line.clear()
        stream.buffer.write(lines)
        stream.buffer.flush()
        for line in lines.decode(errors="replace").splitlines():
            self._drain.told(line)
