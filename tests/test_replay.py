"""Replays of quarantine: what has been fixed is stored, each record once; what fails again stays open."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from event_lake.audit import Asked, Audit
from event_lake.deletion.condition import Condition
from event_lake.deletion.deletion import delete
from event_lake.lease import stopped_lake
from event_lake.metrics import Counts
from event_lake.pipeline import run_beside
from event_lake.replay import Trail, replay, replay_of
from event_lake.stop import StopRequest
from event_lake.storage import Storage
from kinesis_server import KinesisServer
from lake import LakeHouse, event, rows

pytestmark = pytest.mark.index_only("only it can be told what others have stored")

OVER = "too_many_types"


@pytest.fixture
def house(spark: SparkSession, tmp_path: Path) -> Iterator[LakeHouse]:
    """A lake with events 0 to 2, and in quarantine 3 to 5 for having types too many, 4 twice, and one broken record."""
    with KinesisServer() as server:
        server.create_stream("events", 2)
        house = LakeHouse(tmp_path, server)
        for number in range(3):
            server.put("events", event(number))
        for number in (3, 4, 4, 5):
            server.put("events", of_a_kind(number))
        server.put("events", b"{broken")
        assert house.run(spark, lake_new_types_per_day="1") == Counts(received=8, stored=3, quarantined=5)
        yield house


def of_a_kind(number: int) -> bytes:
    """An event of a type of its own; packed, as a producer may send it."""
    return gzip.compress(event(number, event_name=f"kind{number}:happened"))


def replayed(spark: SparkSession, house: LakeHouse, problems: Sequence[str], **overrides: str) -> Counts:
    config = house.config(**overrides)
    return replay(spark, config, problems, StopRequest(Storage.of_session(spark), replay_of(config).checkpoint.path))


def trail(house: LakeHouse) -> list[dict[str, Any]]:
    return rows(house.folder / "quarantine_replayed")


def problems(found: Iterable[dict[str, Any]]) -> list[str]:
    return sorted(row["problem"] for row in found)


def test_what_was_fixed_is_stored_once_what_was_not_stays_open_and_a_second_replay_finds_nothing(
    spark: SparkSession, house: LakeHouse
) -> None:
    before = house.quarantine()
    (broken,) = (row for row in before if row["problem"] == "not_json")
    counts = replayed(spark, house, [OVER, "not_json"])
    assert counts == Counts(received=5, stored=3, duplicates=1, quarantined=1)
    assert house.uuids() == [f"u-{number}" for number in range(6)]
    (open_still,) = house.quarantine()
    same = broken.keys() - {"stored_at"}
    assert {name: open_still[name] for name in same} == {name: broken[name] for name in same}
    assert open_still["stored_at"] > broken["stored_at"]
    assert [{name: row[name] for name in broken} for row in sorted(trail(house), key=str)] == sorted(before, key=str)

    assert replayed(spark, house, [OVER]) == Counts()
    assert problems(house.quarantine()) == ["not_json"]

    # Each is where it came from, and the job knows them.
    with Audit(spark, house.config(), Asked("trim_horizon")) as audit:
        report = audit.report(audit.find())
    assert (report.exit_code, report.numbers["stored"], report.numbers["duplicates"]) == (0, 6, 1)
    house.server.put("events", of_a_kind(3))
    assert house.run(spark) == Counts(received=1, duplicates=1)

    # The trail has the bytes of what was replayed, too.
    found = delete(spark, house.config(), [Condition.parse("$.event_uuid=u-4", "test")], suspected=False, dry_run=False)
    assert {table.table: table.removed for table in found.tables} == {
        "duplicates": 1,
        "quarantine": 0,
        "replayed": 2,
        "events": 1,
    }


def test_a_replay_that_was_killed_is_finished_by_the_next_one_and_reads_no_record_twice(
    spark: SparkSession, house: LakeHouse
) -> None:
    for moment in ("2026-11-01", "2026-11-02"):  # as from a file that two backfills have read
        values = f"'{OVER}', 'then', x'{of_a_kind(9).hex()}', null, null, timestamp'{moment}', timestamp'{moment}'"
        spark.sql(
            f"INSERT INTO delta.`{house.quarantine_path}` SELECT {values}, null, 'file:/a.json:1', 0L, date'{moment}'"
        )
    storage, config = Storage.of_session(spark), house.config()
    own = replay_of(config)

    def killed(problem: str, read: bool) -> int:
        """Either before it has read anything of what it chose, or before that leaves quarantine."""
        with stopped_lake(storage, config) as lease:
            trail = Trail(spark, storage, config.lake.quarantine_path, own.source.path, lease.check)
            chosen = trail.choose([problem], datetime.now(UTC))
            if read:
                run_beside(spark, own, StopRequest(storage, own.checkpoint.path), lease)
        return chosen

    assert killed(OVER, read=False) == 5  # of one place one
    assert len(house.quarantine()) == 7  # nothing has left it
    assert replayed(spark, house, [OVER]) == Counts(received=6, stored=4, duplicates=2)
    assert (problems(house.quarantine()), len(trail(house))) == (["not_json"], 6)

    assert killed("not_json", read=True) == 1
    assert problems(house.quarantine()) == ["not_json", "not_json"]
    assert replayed(spark, house, [OVER]) == Counts()
    assert problems(house.quarantine()) == ["not_json"]
    assert house.uuids() == [*(f"u-{number}" for number in range(6)), "u-9"]
