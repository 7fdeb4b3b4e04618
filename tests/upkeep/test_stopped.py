"""Maintenance while the job is stopped, and what it says of the partitioning."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import class_archive
from event_lake.config import Lease
from event_lake.errors import ConfigError, LeaseError
from event_lake.lease import lease_of
from event_lake.upkeep.advice import advice
from event_lake.upkeep.partitions import Partition
from event_lake.upkeep.stopped import StoppedLake, maintain, portions

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024


def stopped(lake: Any, said: list[str], **arguments: Any) -> StoppedLake:
    return StoppedLake(lake.spark, lake.config, said.append, **{"may_write": lambda: None, **arguments})


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(make_lake: Callable[[int], Any]) -> None:
    lake = make_lake(2)
    before = {table: (lake.files(table), len(lake.commits(table))) for table in lake.paths}
    said: list[str] = []
    stopped(lake, said).maintain(dry_run=True)
    assert {table: (lake.files(table), len(lake.commits(table))) for table in lake.paths} == before
    events = [line for line in said if line.startswith(f"table=file:{lake.events} ")]
    assert events[0].endswith("partitions=2 files=4 due_partitions=2 due_files=4")
    assert events[1].endswith("would_compact=event_type=account/date=2022-02-14 small_files=2")


def test_closed_days_are_left_with_one_file_a_partition_in_every_table(make_lake: Callable[[int], Any]) -> None:
    lake = make_lake(2)
    before = {table: lake.rows(table) for table in lake.paths}
    said: list[str] = []
    stopped(lake, said).maintain(dry_run=False)
    assert {table: len(lake.files(table)) for table in lake.paths} == {
        "events": 2,
        "quarantine": 1,
        "events_duplicates": 1,
    }
    assert {table: lake.rows(table) for table in lake.paths} == before
    assert sum("compacted partitions=" in line for line in said) == 3
    said.clear()
    stopped(lake, said).maintain(dry_run=False)
    assert not any("compacted" in line for line in said), "what is done is done again"


def test_while_another_driver_holds_the_lake_nothing_is_done(make_lake: Callable[[int], Any]) -> None:
    lake = make_lake(2)
    config = dataclasses.replace(lake.config, lease=Lease(timedelta(seconds=2)))
    said: list[str] = []
    other = lease_of(lake.storage, config)
    assert other.acquire(lambda: False)
    with other:
        with pytest.raises(LeaseError, match="stop it first"):
            maintain(lake.spark, config, dry_run=False, say=said.append)
        assert said == []
        maintain(lake.spark, config, dry_run=True, say=said.append)
        assert len(lake.files()) == 4
        other.check()
    maintain(lake.spark, config, dry_run=False, say=said.append)
    assert len(lake.files()) == 2


def test_a_lease_that_is_lost_in_the_middle_ends_it(make_lake: Callable[[int], Any]) -> None:
    lake = make_lake(2)

    def refuse() -> None:
        raise LeaseError("another driver holds the lake")

    with pytest.raises(LeaseError):
        stopped(lake, [], may_write=refuse).maintain(dry_run=False)
    assert len(lake.files()) == 4


@pytest.mark.parametrize("file_format", ["parquet", "json"])
def test_plain_files_are_refused_with_the_reason(make_lake: Callable[[int], Any], file_format: str) -> None:
    lake = make_lake(0)
    lake.config = dataclasses.replace(lake.config, lake=dataclasses.replace(lake.config.lake, format=file_format))
    with pytest.raises(ConfigError, match=r"lake\.format is .*no transactions"):
        stopped(lake, []).maintain(dry_run=False)


def test_a_path_without_a_table_is_named_and_no_table_is_made_there(
    make_lake: Callable[[int], Any], tmp_path: Path
) -> None:
    lake = make_lake(0)
    wrong = tmp_path / "event"
    lake.config = dataclasses.replace(lake.config, lake=dataclasses.replace(lake.config.lake, path=str(wrong)))
    with pytest.raises(ConfigError, match=f"lake.path: there is no Delta table at {wrong};"):
        stopped(lake, []).maintain(dry_run=False)
    assert not wrong.exists()


def day(kind: str, data_bytes: int, *, closed: bool = True, small_bytes: int = 0) -> Partition:
    newest = datetime(2022, 2, 14, tzinfo=UTC)
    values = (("event_type", kind), ("date", "2022-02-14"))
    return Partition(values, closed, 3, data_bytes, 1, 64 * MIB if closed else MIB, 3, small_bytes, newest)


def test_a_commit_takes_a_bounded_part_of_the_work_and_never_open_and_closed_partitions_together() -> None:
    chosen = [day(f"{n}", 0, closed=n % 2 == 0, small_bytes=10 * MIB) for n in range(300)]
    found = list(portions(chosen, 128 * MIB))
    assert sorted(part.name for portion in found for part in portion) == sorted(part.name for part in chosen)
    for portion in found:
        assert len({part.closed for part in portion}) == 1
        assert len(portion) <= 100
    big = list(portions([day(f"{n}", 0, small_bytes=1024 * MIB) for n in range(8)], 128 * MIB))
    assert [len(portion) for portion in big] == [2, 2, 2, 2]


def test_advice_names_types_whose_days_are_huge_and_counts_those_that_are_tiny() -> None:
    found = [day("busy", 20_000 * MIB), day("open", 90_000 * MIB, closed=False), day("usual", 500 * MIB)]
    (line,) = advice(found, 128 * MIB)
    assert line.startswith("event_type=busy has 19.5 GB a day, 156 files of 128.0 MB")
    tiny = [day(f"rare{n}", 40_000) for n in range(300)]
    lines = advice([*found, *tiny], 128 * MIB)
    assert lines[1].startswith("300 of 302 closed partitions hold under 1.3 MB (11.4 MB together, 300 kinds)")
    assert advice([day("usual", 500 * MIB), *tiny[:1]], 128 * MIB) == []


def test_the_command_ends_with_exit_code_2_where_it_cannot_maintain_what_it_is_given(tmp_path: Path) -> None:
    settings = {
        "source.stream": "s",
        "lake.path": tmp_path / "events",
        "lake.quarantine_path": tmp_path / "quarantine",
        "checkpoint.path": tmp_path / "checkpoint",
        "spark.master": "local[1]",
    }
    (tmp_path / "job.toml").touch()
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    command = [str(ROOT / "scripts" / "maintain-tables"), "--config", str(tmp_path / "job.toml"), *options]
    environment = {**os.environ, "SPARK_SUBMIT_OPTS": class_archive.java_options()}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"lake.path: there is no Delta table at {tmp_path / 'events'}" in done.stdout
    assert "Traceback" not in done.stdout
