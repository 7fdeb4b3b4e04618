"""The job as people run it, through spark-submit: its exit codes, being stopped, and plain files after kill -9.

What Delta tables hold after kill -9 is the business of test_chaos.py.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from lake import LakeHouse, event, uuids
from terminal import Terminal

# Of the job, of Spark, and of Java itself.
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ (INFO|WARN|WARNING|ERROR) |WARNING: ")


def put(house: LakeHouse, numbers: range) -> None:
    for number in numbers:
        house.server.put("events", event(number, event_name=f"type{number % 3}:x"), partition_key=str(number))


def test_drained_stopped_and_drained_again_everything_is_stored_once(house: LakeHouse) -> None:
    put(house, range(100))
    house.server.put("events", b"broken", partition_key="b")
    report = house.folder / "report.json"
    with house.submit("--until-caught-up", "--report", str(report), "--JOB_NAME", "glue-adds-this") as job:
        assert job.wait() == 0, job.output()
    totals = json.loads(report.read_text())
    assert {key: totals[key] for key in ("received", "stored", "duplicates", "quarantined", "late_dropped")} == {
        "received": 101,
        "stored": 100,
        "duplicates": 0,
        "quarantined": 1,
        "late_dropped": 0,
    }
    assert "received=101 stored=100 duplicates=0 quarantined=1 late_dropped=0" in job.output()

    # Runs until it is asked to stop: by a signal ...
    put(house, range(90, 150))
    with house.submit() as job:
        job.until(lambda: len(house.uuids()) == 150, every=0.2)
        job.terminate()
        assert job.wait() == 0, job.output()
    assert sum(batch[0] for batch in job.batches()) == 60
    assert sum(batch[2] for batch in job.batches()) == 10

    # ... or by a marker under the checkpoint, which is gone afterwards.
    put(house, range(150, 160))
    with house.submit() as job:
        job.until(lambda: len(house.uuids()) == 160, every=0.2)
        marker = house.checkpoint_path / "stop"
        marker.touch()
        assert job.wait() == 0, job.output()
    assert not marker.exists()

    # On a terminal there is a line that tells how far it has come; the lines of the job are above it, as elsewhere.
    put(house, range(160, 170))
    with Terminal() as terminal:
        with house.submit("--until-caught-up", terminal=terminal) as job:
            assert job.wait() == 0, terminal.written()
        terminal.close()
        *above, last = terminal.lines()
        assert last == ""
        assert [line for line in above if line.startswith("received=10 stored=10 ")] == above[-1:]
        assert [line for line in above if not LOG_LINE.match(line)] == above[-1:]
        assert any(line.startswith("no micro-batch yet, ") for line in terminal.shown())
        assert any(line.startswith("10 records, ") for line in terminal.shown())
    assert house.uuids() == uuids(range(170))


def test_asked_to_stop_in_a_micro_batch_it_finishes_it_and_begins_no_other(house: LakeHouse) -> None:
    now = time.time()
    for number in range(600):
        house.server.put("events", event(number), partition_key=str(number), arrival=now - 600 + number)
    # 60 micro-batches of 10 s of arrivals each, one right after the other
    with house.submit("--until-caught-up", source_slice="10 seconds") as job:
        job.until(lambda: len(job.batches()) >= 2)
        job.terminate()
        assert job.wait() == 0, job.output()
    stored = len(house.uuids())
    assert sum(batch[1] for batch in job.batches()) == stored < 600
    assert len(list((house.checkpoint_path / "commits").glob("[0-9]*"))) == len(job.batches())
    with house.submit("--until-caught-up") as job:
        assert job.wait() == 0, job.output()
    assert house.uuids() == uuids(range(600))


@pytest.mark.parametrize("file_format", ["parquet", "json"])
def test_killed_while_it_moves_plain_files_every_event_is_there_once_after_a_restart(
    spark: SparkSession, house: LakeHouse, file_format: str
) -> None:
    def moved() -> list[Path]:
        return list(house.events_path.glob("event_type=*/date=*/[!.]*"))

    for number in range(300):
        house.server.put("events", event(number, event_name=f"type{number}:x"), partition_key=str(number))
    house.run_killed("event_lake.storage:Storage.move", nth=100, lake_format=file_format)
    assert 50 < len(moved()) < 100
    house.run(spark, lake_format=file_format)
    found = (
        [json.loads(line)["event_uuid"] for path in moved() for line in path.read_text().splitlines()]
        if (file_format == "json")
        else _parquet_uuids(moved())
    )
    assert sorted(found) == uuids(range(300))


def _parquet_uuids(files: list[Path]) -> list[str]:
    return [uuid for file in files for uuid in pq.ParquetFile(file).read(["event_uuid"]).column(0).to_pylist()]


def test_an_older_checkpoint_ends_with_exit_code_3_and_says_what_to_do(house: LakeHouse) -> None:
    put(house, range(10))
    with house.submit("--until-caught-up") as job:
        assert job.wait() == 0, job.output()
    copy = house.folder / "copy"
    shutil.copytree(house.checkpoint_path, copy)
    put(house, range(10, 20))
    with house.submit("--until-caught-up") as job:
        assert job.wait() == 0, job.output()
    shutil.rmtree(house.checkpoint_path)
    shutil.copytree(copy, house.checkpoint_path)
    put(house, range(20, 30))
    with house.submit("--until-caught-up") as job:
        assert job.wait() == 3, job.output()
    assert "the checkpoint is older than the table" in job.output()
    assert house.uuids() == uuids(range(20))


def test_a_driver_that_stood_still_is_followed_by_another_and_commits_nothing_when_it_goes_on(house: LakeHouse) -> None:
    put(house, range(40))
    # Longer than this machine may keep a living driver's thread waiting.
    with house.submit(lease_time="4 seconds") as stopped, ExitStack() as later:
        stopped.until(lambda: len(house.uuids()) == 40, every=0.2)
        next_one = later.enter_context(house.submit("--until-caught-up", lease_time="4 seconds"))
        next_one.until(lambda: "waiting for=lease" in next_one.output(), every=0.2)
        stopped.send(signal.SIGSTOP)
        put(house, range(20, 80))
        assert next_one.wait() == 0, next_one.output()
        assert house.uuids() == uuids(range(80))
        put(house, range(80, 100))
        stopped.send(signal.SIGCONT)
        assert stopped.wait() == 1, stopped.output()
    assert "does not hold the lease" in stopped.output()
    assert "Traceback" not in stopped.output().partition("failed exit_code=1")[2]
    with house.submit("--until-caught-up") as job:
        assert job.wait() == 0, job.output()
    assert house.uuids() == uuids(range(100))
    if house.lists_duplicates:
        assert sorted(row["event_uuid"] for row in house.duplicates()) == uuids(range(20, 40))


def test_records_lost_to_retention_end_with_exit_code_3_and_name_the_shard(house: LakeHouse) -> None:
    shard = house.server.shards("events")[0]["ShardId"]
    now = time.time()
    places = [
        house.server.put("events", event(n), shard=shard, arrival=now - 1000 + n)["SequenceNumber"] for n in range(900)
    ]
    house.run_killed("event_lake.batch:BatchWriter._process", nth=2, source_slice="100 seconds")
    house.server.trim("events", shard, before_sequence_number=places[-2])
    with house.submit("--until-caught-up") as job:
        assert job.wait() == 3, job.output()
    assert f"DATA LOSS in shard {shard}" in job.output()


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"lake_format": "delat"}, "did you mean delta?"),
        ({"source_streem": "x"}, "did you mean source.stream?"),
        ({"source_kind": "glue-kinesis"}, "source.hold_back"),
        ({"checkpoint_path": ""}, "checkpoint.path"),
    ],
)
def test_a_wrong_configuration_ends_with_exit_code_2_and_names_the_key(
    house: LakeHouse, overrides: dict[str, str], named: str
) -> None:
    with house.submit(**overrides) as job:
        assert job.wait() == 2
    assert named in job.output()


def test_a_missing_stream_ends_with_exit_code_1_and_is_named(house: LakeHouse) -> None:
    with house.submit("--until-caught-up", source_stream="nowhere") as job:
        assert job.wait() == 1
    assert "nowhere" in job.output()


def test_job_output_holds_no_traceback_for_an_expected_end(house: LakeHouse) -> None:
    with house.submit(lake_format="delat") as job:
        job.wait()
    assert "Traceback" not in job.output()
