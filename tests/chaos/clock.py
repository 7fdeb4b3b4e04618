"""A wall clock of the job's own that can jump, for its JVM and all of its Python processes.

Nothing in the job or in Spark lets a clock be handed in, so a library of 40 lines (clock.c) is loaded before libc. Only
the wall clock moves, as when somebody sets it; monotonic time goes on.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")


class JumpingClock:
    """Off by `offset` seconds; where there is no C compiler it cannot jump, and `works` is false."""

    def __init__(self, folder: Path) -> None:
        self._page = folder / "clock"
        self._library = folder / "clock.so"
        self.works = False
        self.set(0)
        compiler = shutil.which("cc")
        if compiler and sys.platform == "linux":
            subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", self._library, SOURCE], check=True)
            self.works = True

    def set(self, offset: int) -> None:
        self.offset = offset
        if self._page.exists():
            with self._page.open("r+b") as page:  # in place: running processes have it mapped
                page.write(struct.pack("q", offset))
        else:
            self._page.write_bytes(struct.pack("q", offset))

    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._page)} if self.works else {}
