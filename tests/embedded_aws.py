"""An AWS on this machine: Kinesis and S3 on 127.0.0.1, kept in memory, gone when the `with` block ends.

It is ministack, in the version pinned in requirements/dev.txt. Why not moto, the other one that installs with pip: moto
loses acknowledged records when several writers put at once, its puts slow down with the square of what the stream
holds, and S3A uploads of 20 MB fail on it. ministack takes 25,000 puts/s, has shards, hash ranges, iterators and
conditional S3 writes right, and starts within a second. What it gets wrong, so that nothing can be concluded from it:
a split, a merge or UpdateShardCount deletes unread records, nothing is ever throttled, pages are never empty nor cut
at 10 MiB, ShardFilter is ignored, AT_TIMESTAMP accepts the future. Those are the business of `kinesis_server.py`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"
START_SECONDS = 30.0
STOP_SECONDS = 5.0
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class EmbeddedAws:
    """`with EmbeddedAws() as aws:` runs the server as a child process; its files are in a temporary folder."""

    def __init__(self) -> None:
        self.endpoint_url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        if self._process is not None:
            raise RuntimeError("this AWS is running already; make another EmbeddedAws()")
        self._folder = tempfile.TemporaryDirectory(prefix="embedded-aws-")
        try:
            self._start(Path(self._folder.name))
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def environment(self) -> dict[str, str]:
        """What a child process needs in its environment to reach this AWS and no other."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
        }

    @overload
    def client(self, service: Literal["kinesis"]) -> KinesisClient: ...
    @overload
    def client(self, service: Literal["s3"]) -> S3Client: ...
    @overload
    def client(self, service: Literal["cloudwatch"]) -> Any: ...
    def client(self, service: Any) -> Any:
        return boto3.Session().client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard"}, proxies={}),
        )

    def _start(self, folder: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            port = _free_port()
            self.endpoint_url = f"http://127.0.0.1:{port}"
            log = folder / f"ministack-{port}.log"
            with log.open("wb") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "ministack"],
                    cwd=folder,
                    env=_server_environment(port, folder),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # so that Ctrl-C reaches the parent alone, which then stops it in order
                    preexec_fn=end_with_parent,  # noqa: PLW1509 (it calls the kernel, nothing of Python's)
                )
            while self._process.poll() is None:
                if self._answers():
                    return
                if time.monotonic() > deadline:
                    raise RuntimeError(f"ministack did not answer within {START_SECONDS:.0f} s\n{_tail(log)}")
                time.sleep(0.02)
            if "already in use" not in _tail(log):  # else somebody took the port in between: try another
                raise RuntimeError(f"ministack ended at once with code {self._process.returncode}\n{_tail(log)}")

    def _answers(self) -> bool:
        try:
            with _without_proxy().open(f"{self.endpoint_url}/_ministack/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _server_environment(port: int, folder: Path) -> dict[str, str]:
    """No port but this one, no file but in `folder`, and the Docker daemon of the machine left alone."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MINISTACK_"))}
    return inherited | {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "kinesis,s3,sts,monitoring,glue,elasticmapreduce",
        "IOT_MTLS_ENABLED": "0",  # else it listens on 0.0.0.0:8883 too
        "SFTP_ENABLED": "0",
        "USE_SSL": "0",
        "AUTH": "false",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "LOCALSTACK_PERSISTENCE": "0",
        "STATE_DIR": str(folder / "state"),
        "S3_DATA_DIR": str(folder / "s3"),
        "TMPDIR": str(folder),  # for its PID file
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",  # else it removes containers that another ministack left
        "LOG_LEVEL": "WARNING",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def end_with_parent() -> None:
    """Where the kernel can: a parent that is killed, and so cannot stop the server, takes it along."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _without_proxy() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
