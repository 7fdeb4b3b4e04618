"""A person is deleted from the lake of a job that goes on: by the command, killed once. Audits and copies follow."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from event_lake.audit import Asked, Audit, Report
from event_lake.metrics import Counts
from kinesis_server import KinesisServer
from lake import ROOT, Job, LakeHouse, event


def audited(spark: SparkSession, house: LakeHouse, **overrides: str) -> Report:
    with Audit(spark, house.config(**overrides), Asked("trim_horizon")) as audit:
        return audit.report(audit.find())


def deletion(house: LakeHouse, *arguments: str) -> Job:
    config = house.folder / "deletion.toml"
    config.write_text(
        '[spark]\nmaster = "local[2]"\nsql.shuffle.partitions = 2\ndatabricks.delta.snapshotPartitions = 1\n'
    )
    options = [word for key, value in house.settings.items() for word in ("--set", f"{key}={value}")]
    return Job([str(ROOT / "scripts" / "delete-events"), "--config", str(config), *options, *arguments], house.folder)


@pytest.mark.index_only("a checkpoint is recovered")
def test_after_kill_9_the_same_deletion_ends_the_audit_is_right_and_no_copy_brings_the_person_back(
    spark: SparkSession, tmp_path: Path
) -> None:
    with KinesisServer() as server:
        server.create_stream("events", 1)
        house = LakeHouse(tmp_path, server)
        now = time.time()
        person = [event(number, user={"id": 4711}) for number in range(3)]
        bad = json.dumps({"event_uuid": "u-9", "user": {"id": 4711}}).encode()
        for data in (*person, person[0], bad, event(5), event(6), event(5), b"broken"):
            server.put("events", data, arrival=now - 60)
        house.run(spark)
        before = audited(spark, house)
        assert +Counter(before.numbers) == Counter(received=9, stored=5, duplicates=2, quarantined=2)

        where = tmp_path / "where"
        where.write_text("$.user.id=4711\n")
        with deletion(house, "--where-from", str(where)) as job:
            job.until(lambda: "removed table=duplicates rows=1" in job.output())
            job.kill()
        report = tmp_path / "deleted.json"
        with deletion(house, "--where-from", str(where), "--report", str(report)) as job:
            assert job.wait() == 0, job.output()
            assert "4711" not in job.output() + report.read_text()
        told = {table["table"]: table for table in json.loads(report.read_text())["tables"]}
        assert (told["events"]["removed"], told["quarantine"]["unreadable"]) == (3, 1)
        assert house.uuids() == ["u-5", "u-6"]
        assert [row["event_uuid"] for row in house.duplicates()] == ["u-5"]
        assert [row["data"] for row in house.quarantine()] == [b"broken"]
        after = audited(spark, house)
        assert +Counter(after.numbers) == Counter(received=9, stored=2, duplicates=1, quarantined=1, deleted=5)
        assert after.exit_code == 0

        # A producer tries again: its copies are duplicates of what is not there any more, also to a new checkpoint.
        server.put("events", person[1])
        assert house.run(spark) == Counts(received=1, duplicates=1)
        server.put("events", person[2])
        new = (tmp_path / "checkpoint 2").as_uri()
        assert house.run(spark, recover=True, checkpoint_path=new) == Counts(received=1, duplicates=1)
        assert house.uuids() == ["u-5", "u-6"]
        last = audited(spark, house)
        assert +Counter(last.numbers) == Counter(received=11, stored=2, duplicates=3, quarantined=1, deleted=5)
        assert last.exit_code == 0
