"""A small disk of the job's own for its temporary files: Spark's blocks and state, the index's copies of segments.

It is a tmpfs, which a machine's administrator (in most containers: anybody) may mount; a limit on the size of files
would be another error than a full disk. Where none can be mounted, `works` is false and nothing is filled.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class SmallDisk:
    """`with SmallDisk(folder) as disk:`; `fill` leaves no room until `free`."""

    def __init__(self, folder: Path, megabytes: int = 512) -> None:
        self.path = folder / "disk"
        self._megabytes = megabytes
        self.works = False

    def __enter__(self) -> SmallDisk:
        self.path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={self._megabytes}m", "chaos", str(self.path)]
        try:
            self.works = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            self.works = False
        return self

    def __exit__(self, *_: object) -> None:
        if self.works:
            subprocess.run(["umount", "--lazy", str(self.path)], check=True)

    def fill(self) -> None:
        block = bytes(1024 * 1024)
        with self._ballast.open("wb", buffering=0) as ballast:
            while True:
                try:
                    if ballast.write(block) < len(block):
                        return
                except OSError:
                    return

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    @property
    def free_bytes(self) -> int:
        left = os.statvfs(self.path)
        return left.f_bavail * left.f_frsize

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"
