"""Compaction while the job runs: between micro-batches, bounded, by whoever may write; and the vacuum beside it."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from event_lake.deduplicate.verdicts import STORED
from event_lake.errors import LeaseError
from event_lake.storage import Storage
from event_lake.upkeep import keeper as keeper_module
from event_lake.upkeep.keeper import LOOK_EVERY, Keeper
from event_lake.upkeep.vacuum import BackgroundVacuum
from kinesis_server import KinesisServer
from lake import LakeHouse, event


def keeper_of(lake: Any, pause: timedelta = timedelta(seconds=60), most: int = 3, **arguments: Any) -> Keeper:
    maintenance = dataclasses.replace(lake.maintenance, longest_pause=pause, most_small_files=most)
    paths = [str(path) for path in lake.paths.values()]
    never = BackgroundVacuum(lake.spark, lake.storage, paths, timedelta(0))
    return Keeper(lake.spark, paths, maintenance, never, **arguments)


def test_many_small_files_are_put_together_after_some_micro_batches(make_lake: Callable[[int], Any]) -> None:
    lake = make_lake(3)
    before = {table: lake.rows(table) for table in lake.paths}
    keeper = keeper_of(lake, most=50, clock=lambda: datetime.now(UTC) + timedelta(hours=2))  # their day is over
    keeper.after_batch(LOOK_EVERY - 2)
    assert len(lake.files()) == 6
    for later in range(len(lake.paths)):  # a table a pass
        keeper.after_batch(LOOK_EVERY - 1 + later)
    assert {table: len(lake.files(table)) for table in lake.paths} == {
        "events": 2,
        "quarantine": 1,
        "events_duplicates": 1,
    }
    assert {table: lake.rows(table) for table in lake.paths} == before


def test_where_two_small_files_are_too_many_it_looks_after_each_micro_batch(make_lake: Callable[[int], Any]) -> None:
    lake = make_lake(2)
    keeper_of(lake, most=2).after_batch(0)
    assert len(lake.files("quarantine")) == 1


def test_the_commit_of_a_micro_batch_is_told_from_that_of_a_compaction_behind_it(
    make_lake: Callable[[int], Any],
) -> None:
    lake = make_lake(3)
    writer = lake.sink.tables[STORED]
    last = writer.newest_mark()
    before = writer.commit(last)
    keeper = keeper_of(lake)
    for number in range(len(lake.paths)):
        keeper.after_batch(LOOK_EVERY - 1 + number)
    assert (writer.newest_mark(), len(lake.commits())) == (last, before.version + 2), "it was put together"
    assert writer.commit(last) == before


def test_what_takes_longer_than_it_may_is_cancelled_and_changes_nothing(
    make_lake: Callable[[int], Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "CANCEL_SECONDS", 0.005)  # no job of Spark's is so short as to slip through
    lake = make_lake(3)
    version = len(lake.commits())
    keeper = keeper_of(lake, timedelta(milliseconds=1))
    with caplog.at_level(logging.WARNING, logger=keeper_module.__name__):
        keeper.after_batch(LOOK_EVERY - 1)
    assert "left as they are: not done within 0.001 s" in caplog.text
    assert len(lake.commits()) == version
    assert len(lake.rows()) == 12
    lake.write(3)  # the thread that writes micro-batches is not cancelled with it
    assert len(lake.rows()) == 16


def test_a_driver_that_may_no_longer_write_compacts_nothing(make_lake: Callable[[int], Any]) -> None:
    lake = make_lake(3)

    def refuse() -> None:
        raise LeaseError("another driver holds the lake")

    keeper = keeper_of(lake, may_write=refuse)
    with pytest.raises(LeaseError):
        keeper.after_batch(LOOK_EVERY - 1)
    assert len(lake.files()) == 6


def test_a_pause_of_nothing_means_no_maintenance(make_lake: Callable[[int], Any]) -> None:
    lake = make_lake(3)
    keeper = keeper_of(lake, timedelta(0))
    keeper.after_batch(LOOK_EVERY - 1)
    assert len(lake.files()) == 6


def test_the_vacuum_beside_the_stream_deletes_what_no_version_needs_and_makes_no_commit(
    make_lake: Callable[[int], Any],
) -> None:
    lake = make_lake(3)
    folder = lake.paths["events"] / "event_type=lesson" / "date=2022-02-14"
    live = set(folder.iterdir())
    left, fresh = folder / "part-left-by-a-crash.parquet", folder / "part-being-written.parquet"
    for file in (left, fresh):
        file.write_bytes(b"x")
    two_days_ago = time.time() - 2 * 24 * 3600
    for file in (*live, left):
        os.utime(file, (two_days_ago, two_days_ago))
    commits = len(lake.commits())
    vacuum = BackgroundVacuum(lake.spark, lake.storage, [lake.events], timedelta(hours=24))
    now = datetime.now(UTC)
    vacuum.start_if_due(now)
    assert vacuum._thread is None, "the table is younger than the time between two"
    vacuum.start_if_due(now + timedelta(hours=25))
    assert vacuum._thread is not None
    vacuum._thread.join(60)
    assert set(folder.iterdir()) == {*live, fresh}
    assert len(lake.commits()) == commits
    again = BackgroundVacuum(lake.spark, lake.storage, [lake.events], timedelta(hours=24))
    again.start_if_due(datetime.now(UTC))
    assert again._thread is None, "a restart forgets that there has been one"


def test_a_stream_whose_files_are_put_together_between_its_micro_batches_stores_every_event_once(
    spark: SparkSession, tmp_path: Path
) -> None:
    with KinesisServer() as server:
        server.create_stream("events", 1)
        house = LakeHouse(tmp_path, server)
        now = time.time()
        for number in range(140):
            server.put("events", event(number, event_name=f"type{number % 2}:x"), arrival=now - 1400 + 10 * number)
        counts = house.run(spark, source_slice="100 seconds", maintenance_most_small_files="4")
    assert (counts.received, counts.stored) == (140, 140)
    assert house.uuids() == sorted(f"u-{number}" for number in range(140))
    commits = [path.read_text() for path in (house.events_path / "_delta_log").glob("[0-9]*.json")]
    assert any('"operation":"OPTIMIZE"' in text for text in commits)
    assert Storage.of_session(spark).exists(str(house.checkpoint_path / "commits" / "10"))
