"""The server in a process of its own, so that it does not share a core's time with what is measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import IO, cast

from .control import RemoteControl


class KinesisProcess(RemoteControl):
    """``with KinesisProcess("--limits") as server``: ``server.endpoint_url`` and every control method."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent), "--port", "0", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        ready = cast(IO[bytes], self._process.stdout).readline()
        if not ready:
            raise RuntimeError(f"the server ended with {self._process.wait()} before it was ready")
        super().__init__(json.loads(ready)["endpoint_url"])
        self.pid = self._process.pid

    def stop(self) -> int:
        """Close its standard input and wait for it; its exit code."""
        try:
            self._process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        return self._process.returncode

    def __enter__(self) -> KinesisProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
