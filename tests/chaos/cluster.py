"""A Spark cluster on this machine: an executor that is killed takes its tasks and its cached blocks along.

One master and two workers with two names of loopback.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pyspark

from embedded_aws import end_with_parent
from lake import ROOT, family

from .watch import kill

HOSTS = ("127.0.0.1", "localhost")
START_SECONDS = 60.0
EXECUTOR = b"CoarseGrainedExecutorBackend"


class SmallCluster:
    """`with SmallCluster(folder, environment) as cluster:`; `environment` is what executors get."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder / "cluster"
        self._environment = environment
        self._processes: list[subprocess.Popen[bytes]] = []
        self._port = _free_port()

    def __enter__(self) -> SmallCluster:
        self._folder.mkdir()
        try:
            self._launch("master", "Master", "--host", HOSTS[0], "--port", str(self._port))
            for host in HOSTS:
                arguments = ["--host", host, "--cores", "2", "--memory", "700m", "--work-dir", str(self._folder)]
                self._launch(f"worker-{host}", "Worker", *arguments, self._url)
            self._wait_for_workers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            for pid in family(process.pid):
                kill(pid)
            process.wait()

    def settings(self) -> dict[str, str]:
        """Of the job's [spark] section."""
        return {"master": self._url, "executor.memory": "640m", "executor.cores": "2"}

    def executors(self) -> list[int]:
        """The processes in which tasks run now."""
        found = [pid for process in self._processes for pid in family(process.pid)]
        return [pid for pid in found if EXECUTOR in _command_line(pid)]

    @property
    def _url(self) -> str:
        return f"spark://{HOSTS[0]}:{self._port}"

    def _launch(self, name: str, role: str, *arguments: str) -> None:
        command = [
            str(Path(pyspark.__file__).parent / "bin" / "spark-class"),
            f"org.apache.spark.deploy.{role.lower()}.{role}",
        ]
        with self._log(name).open("wb") as output:
            process = subprocess.Popen(
                [*command, "--webui-port", "0", *arguments],
                env=self._environment | _spark_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=end_with_parent,  # noqa: PLW1509 (it calls the kernel, nothing of Python's)
            )
        self._processes.append(process)

    def _wait_for_workers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self._log("master").read_text().count("Registering worker") < len(HOSTS):
            if time.monotonic() > deadline or any(process.poll() is not None for process in self._processes):
                raise RuntimeError(f"the cluster did not start; its logs are in {self._folder}")
            time.sleep(0.1)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def _spark_environment() -> dict[str, str]:
    return {
        "SPARK_LOCAL_IP": HOSTS[0],
        "SPARK_DAEMON_MEMORY": "160m",
        "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dspark.ui.enabled=false",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT / "jobs"),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOSTS[0], 0))
        return int(probe.getsockname()[1])


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
