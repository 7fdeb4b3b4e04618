"""An executor that is lost in the middle of a micro-batch: Spark counts again what it reads again."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from event_lake.metrics import Counts
from lake import Job, LakeHouse, event, family, uuids
from local_cluster import spark_home

QUICK, SLOW = range(2)


class Ui:
    """What Spark's own interface says of the only application."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def get(self, path: str) -> Any:
        root = f"http://127.0.0.1:{self.port}/api/v1/applications"
        with urllib.request.urlopen(root, timeout=10) as answer:
            (application,) = json.load(answer)
        with urllib.request.urlopen(f"{root}/{application['id']}/{path}", timeout=10) as answer:
            return json.load(answer)

    def executor_that_is_done(self) -> str | None:
        """The executor that has read its shard, while the other one still reads."""
        for stage in self.get("stages?status=active&details=true"):
            tasks = {task["status"]: task["executorId"] for task in stage["tasks"].values()}
            if stage["numTasks"] == 2 and tasks.keys() == {"SUCCESS", "RUNNING"}:
                return str(tasks["SUCCESS"])
        return None


def executor(job: Job, number: str) -> int:
    """Its process."""
    for pid in family(job.process.pid):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"--executor-id" in words and words[words.index(b"--executor-id") + 1] == number.encode():
            return pid
    raise AssertionError(f"no executor {number}")


def test_a_micro_batch_that_lost_an_executor_is_not_taken_for_a_wrong_one_and_replayed(
    spark: SparkSession, house: LakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_HOME", str(spark_home(house.folder / "spark")))
    shards = [shard["ShardId"] for shard in house.server.shards("events")]
    for number in range(20):
        house.server.put("events", event(number), shard=shards[number % 2])
    ui = Ui()
    settings = {
        "spark_master": "local-cluster[2,1,1024]",
        "spark_executor.memory": "700m",
        "spark_ui.enabled": "true",
        "spark_ui.port": str(ui.port),
    }
    with house.submit("--until-caught-up", **settings) as job:
        job.until((house.checkpoint_path / "offsets" / "0").exists)
        # Planned; nothing is read yet, for the executors have no Python running.
        house.server.fail_next("GetRecords", "slow", count=1, shard=shards[SLOW], seconds=20)
        done: list[str] = []
        job.until(lambda: done.extend(filter(None, [ui.executor_that_is_done()])) or done, every=0.1)
        os.kill(executor(job, done[0]), signal.SIGKILL)
        assert job.wait() == 1, job.output()
    assert re.search(
        r"micro-batch 0 lost 127\.0\.0\.1:\d+ while it ran.*counted 30 records in place of 20", job.output()
    )
    assert house.events() == []
    assert house.run(spark) == Counts(received=20, stored=20)
    assert house.uuids() == uuids(range(20))
