"""A lake in a temporary folder, a stream of our own Kinesis server, and the job between them, in this process or by
spark-submit; read back with delta-rs, which nobody here wrote."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from pyspark.sql import SparkSession

import class_archive
from event_lake.config import Config
from event_lake.config_file import read_config
from event_lake.metrics import Counts
from event_lake.pipeline import run
from event_lake.stop import StopRequest
from event_lake.storage import Storage
from kinesis_server import KinesisServer
from lanes import LANE, ROOT
from stream_table import StreamTable
from terminal import Terminal

UNTIL_CAUGHT_UP = "--until-caught-up"
ENGINE_VARIABLE = "EVENT_LAKE_TEST_ENGINE"  # set by conftest.py: the engine of tests that do not choose one
CLASSES_VARIABLE = "EVENT_LAKE_TEST_CLASSES"  # a folder of classes for `small_session` of another process
ACCOUNTING = re.compile(
    r"received=(\d+) stored=(\d+) duplicates=(\d+) quarantined=(\d+) late_dropped=(\d+) batch=(\d+)"
)


class LakeHouse:
    """Folders and a configuration for one test."""

    def __init__(self, folder: Path, server: KinesisServer, stream: str = "events") -> None:
        self.folder = folder
        self.server = server
        self.stream = stream
        self.events_path = folder / "events"
        self.quarantine_path = folder / "quarantine"
        self.duplicates_path = folder / "events_duplicates"
        self.gaps_path = folder / "events_gaps"
        self.checkpoint_path = folder / "checkpoint"
        self.settings = {
            "source.stream": stream,
            "source.region": "us-east-1",
            "source.endpoint_url": server.endpoint_url,
            "source.hold_back": "0 ms",
            "source.retry_for": "20 seconds",
            "lake.path": self.events_path.as_uri(),
            "lake.quarantine_path": self.quarantine_path.as_uri(),
            "checkpoint.path": self.checkpoint_path.as_uri(),
            "trigger.interval": "1 second",
            "dedup.engine": os.environ.get(ENGINE_VARIABLE, "index"),
            "lease.time": "1 second",
        }
        self._table = StreamTable(folder / "stream", server, stream) if LANE == "3.5" else None
        if self._table:
            self.settings |= {"source.kind": "delta", "source.path": self._table.folder.as_uri()}

    def config(self, **overrides: str) -> Config:
        return read_config("", self._overrides(overrides))

    @property
    def lists_duplicates(self) -> bool:
        """Spark's operator only counts them."""
        return self.settings["dedup.engine"] == "index"

    def run(self, spark: SparkSession, recover: bool = False, **overrides: str) -> Counts:
        """The job in this process, until caught up; keyword arguments are settings, `lake_format="json"`."""
        self.carry()
        config = self.config(**overrides)
        stop = StopRequest(Storage.of_session(spark), config.checkpoint.path)
        return run(spark, config, stop, until_caught_up=True, recover=recover)

    def submit(self, *arguments: str, script: str = "run", terminal: Terminal | None = None, **overrides: str) -> Job:
        """The job by spark-submit, through scripts/run; or another one, through its script. With a terminal that is
        where its output goes, and only there."""
        self.carry()
        config = self.folder / "job.toml"
        config.write_text(
            '[spark]\nmaster = "local[2]"\nsql.shuffle.partitions = 2\ndatabricks.delta.snapshotPartitions = 1\n'
        )
        options = [word for text in self._overrides(overrides) for word in ("--set", text)]
        command = [str(ROOT / "scripts" / script), "--config", str(config), *options, *arguments]
        return Job(command, self.folder, terminal=terminal)

    def run_killed(self, moment: str, nth: int = 1, kind: str = "job", **overrides: str) -> None:
        """A job or "backfill" in a process of its own, until kill -9 hits it as it is about to call a method for the
        n-th time."""
        self.carry()
        program = str(ROOT / "tests" / "killed_run.py")
        command = [sys.executable, program, kind, moment, str(nth), *self._overrides(overrides)]
        own = {"PYTHONPATH": f"{ROOT / 'jobs'}:{ROOT / 'tests'}", "TMPDIR": str(self.folder)}
        with Job(command, self.folder, os.environ | own) as job:
            assert job.wait() == -signal.SIGKILL, job.output()

    def events(self) -> list[dict[str, Any]]:
        return rows(self.events_path)

    def quarantine(self) -> list[dict[str, Any]]:
        return rows(self.quarantine_path)

    def duplicates(self) -> list[dict[str, Any]]:
        return rows(self.duplicates_path)

    def gaps(self) -> list[dict[str, Any]]:
        return rows(self.gaps_path)

    def uuids(self) -> list[str]:
        return sorted(row["event_uuid"] for row in self.events())

    def forget_events_of_first_batch(self) -> None:
        """What a kill -9 leaves behind that comes between the first micro-batch's commits of quarantine and events."""
        _forget(self.checkpoint_path / "commits", "0")
        _forget(self.checkpoint_path / "seen", "0.json")
        for row in self.events_path.glob("event_type=*"):
            shutil.rmtree(row)
        _forget(self.events_path / "_delta_log", f"{1:020}.json")
        assert self.events() == []

    def carry(self) -> None:
        """What was put comes to where the job reads, with each start of it, or here while it runs; only on Spark 3.5
        is that another place."""
        if self._table:
            self._table.carry()

    def _overrides(self, changed: dict[str, str]) -> list[str]:
        renamed = {name.replace("_", ".", 1): value for name, value in changed.items()}
        return [f"{key}={value}" for key, value in {**self.settings, **renamed}.items()]


def _forget(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / f".{name}.crc").unlink(missing_ok=True)
    if name.endswith(".json"):
        (folder / f"{name[:-5]}.crc").unlink(missing_ok=True)


def rows(table: Path) -> list[dict[str, Any]]:
    """A Delta table's rows; none where there is no table yet, not even its first commit in whole."""
    if not any((table / "_delta_log").glob("[0-9]*.json")):
        return []
    return DeltaTable(str(table)).to_pyarrow_table().to_pylist()


class Job:
    """scripts/run as a process of its own; ends with the `with` block."""

    def __init__(
        self,
        command: list[str],
        folder: Path,
        environment: Mapping[str, str] = os.environ,
        terminal: Terminal | None = None,
    ) -> None:
        self.log = folder / f"job-{time.monotonic_ns()}.log"
        self._learned = self.log.with_suffix(".jsa")
        options = class_archive.java_options(self._learned if UNTIL_CAUGHT_UP in command else None)
        environment = {"SPARK_SUBMIT_OPTS": options, **environment, **(terminal.environment if terminal else {})}
        with self.log.open("w") as log:
            output = terminal.device if terminal else log
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def wait(self, seconds: float = 180) -> int:
        code = self.process.wait(seconds)
        if code == 0:
            class_archive.keep(self._learned)
        return code

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9 of everything that belongs to the job: spark-submit, its Python, its workers."""
        self.send(signal.SIGKILL)
        self.process.wait(30)

    def send(self, number: signal.Signals) -> None:
        """A signal to everything that belongs to the job."""
        for pid in family(self.process.pid) if self.process.poll() is None else []:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def until(self, condition: Callable[[], Any], seconds: float = 120, every: float = 0.002) -> None:
        """Waits for a condition while the job runs. Fails with the job's output where it ends before, or in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                raise AssertionError(f"the job ended with {self.process.returncode} before:\n{self.output()[-5000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s:\n{self.output()[-5000:]}")
            time.sleep(every)

    def output(self) -> str:
        return self.log.read_text()

    def batches(self) -> list[tuple[int, ...]]:
        """received, stored, duplicates, quarantined, late and number of each micro-batch, as the job printed them."""
        return [tuple(int(number) for number in found) for found in ACCOUNTING.findall(self.output())]


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Waits for a condition. Fails where it does not come about in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


def family(pid: int) -> list[int]:
    """A process and all its descendants, the youngest last."""
    members = [pid]
    for member in members:
        for thread in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                members += [int(child) for child in thread.read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
    return members


def event(number: int | str, **fields: object) -> bytes:
    """A good event with the uuid `number`."""
    return json.dumps(
        {"event_uuid": f"u-{number}", "event_name": "lesson:started", "created_at": 1644842400, **fields}
    ).encode()


def uuids(numbers: Iterable[int]) -> list[str]:
    """Those of events of these numbers, as `LakeHouse.uuids` gives them."""
    return sorted(f"u-{number}" for number in numbers)
