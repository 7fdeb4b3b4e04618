"""kinesis-local (the npm package of kinesis-mock) as a child process on 127.0.0.1, for the conformance test only.

It is installed once into `.cache`, in the version below, and only where node and npm are on the path; nothing that the
README tells people to run needs it. No script of the package runs at installation, and it has no dependencies.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

VERSION = "0.6.2"
INSTALL_SECONDS = 120.0
START_SECONDS = 60.0
STOP_SECONDS = 5.0
CACHE = Path(__file__).resolve().parents[2] / ".cache"
LOOPBACK_ONLY = Path(__file__).with_name("loopback_only.cjs")


class NotInstallable(Exception):
    """There is no kinesis-local to compare with; the message says why."""


def installed() -> Path:
    """The package's folder; installs it where it is missing. Raises NotInstallable."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotInstallable("node and npm are not on the path")
    home = CACHE / f"kinesis-local-{VERSION}"
    if not home.exists():
        _install(home)
    return home / "node_modules" / "kinesis-local"


def _install(home: Path) -> None:
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kinesis-local-", dir=CACHE) as folder:
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"]
        command = ["npm", "install", "--prefix", folder, f"kinesis-local@{VERSION}", *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise NotInstallable(f"npm did not install it within {INSTALL_SECONDS:.0f} s") from None
        if done.returncode != 0:
            raise NotInstallable(f"npm could not install it: {(done.stderr.strip() or 'no message').splitlines()[0]}")
        if not home.exists():  # else another run was quicker
            shutil.copytree(folder, home)


class KinesisLocal:
    """`with KinesisLocal() as other:` gives `other.endpoint_url`. Raises NotInstallable."""

    def __init__(self) -> None:
        self._package = installed()
        self.endpoint_url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        plain, secure = _free_ports()
        self.endpoint_url = f"http://127.0.0.1:{plain}"
        self._process = subprocess.Popen(
            ["node", "--require", str(LOOPBACK_ONLY), "main.js"],
            cwd=self._package,  # where it looks for its certificate
            env={**_environment(), "KINESIS_MOCK_PLAIN_PORT": str(plain), "KINESIS_MOCK_TLS_PORT": str(secure)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while not _answers(plain):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._stop()
                raise RuntimeError(f"kinesis-local {VERSION} did not listen on port {plain}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    durations = ("CREATE_STREAM", "DELETE_STREAM", "SPLIT_SHARD", "MERGE_SHARDS", "UPDATE_SHARD_COUNT")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **{f"{name}_DURATION": "10ms" for name in durations},
        "LOG_LEVEL": "ERROR",
        "SHOULD_PERSIST_DATA": "false",
    }


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        for probe in (one, two):
            probe.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
