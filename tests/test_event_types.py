"""A bounded number of new event types a day: what is over it is kept, exactly, and decided once."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from event_lake.checkpoint import CheckpointLog
from event_lake.errors import DataLossError
from event_lake.event_types import EventTypes
from event_lake.file_table import FileTableWriter
from event_lake.mark import BatchMark
from event_lake.metrics import Counts
from event_lake.schema import EVENTS, EVENTS_PARTITIONS
from event_lake.storage import Storage
from lake import LakeHouse, event

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
ENGINES = pytest.mark.parametrize("engine", ["index", "spark"])


def of_type(kind: str, number: int | str) -> bytes:
    return event(f"{kind}-{number}", event_name=f"{kind}:x")


def put(house: LakeHouse, *events: bytes) -> list[bytes]:
    for data in events:
        house.server.put("events", data)
    return list(events)


def opened(storage: Storage, folder: Path, most: int, of_table: frozenset[str] = frozenset()) -> EventTypes:
    types = EventTypes(storage, CheckpointLog(storage, folder.as_uri()), most)
    types.open(lambda: of_table)
    return types


def decide(types: EventTypes, batch_id: int, clock: datetime, begun: bool = False, **rows: int) -> set[str] | None:
    """The types of these rows that are refused; None where none is."""
    mark = BatchMark("query", batch_id, f"[{batch_id}]", None)
    admitted = types.admitted(mark, clock, rows, lambda: begun)
    return None if admitted is None else rows.keys() - admitted


# By itself


def test_a_day_takes_so_many_new_types_and_the_next_as_many_again(storage: Storage, tmp_path: Path) -> None:
    types = opened(storage, tmp_path, 2)
    assert decide(types, 0, NOON, a=1, b=1) is None
    assert decide(types, 1, NOON, a=1, c=1) == {"c"}
    assert decide(types, 2, NOON + timedelta(days=1), c=1, b=1, d=1, e=1) == {"e"}
    # A clock that steps back over midnight brings no second share of a day.
    assert decide(types, 3, NOON, f=1) == {"f"}


def test_those_with_the_most_events_are_taken_first(storage: Storage, tmp_path: Path) -> None:
    types = opened(storage, tmp_path, 2)
    assert decide(types, 0, NOON, a=1, b=7, c=1, z=9) == {"a", "c"}


def test_without_a_bound_every_type_is_taken(storage: Storage, tmp_path: Path) -> None:
    types = opened(storage, tmp_path, 0)
    assert decide(types, 0, NOON, **{f"t{n}": 1 for n in range(5000)}) is None


def test_what_is_known_is_remembered_over_a_restart(storage: Storage, tmp_path: Path) -> None:
    assert decide(opened(storage, tmp_path, 2), 0, NOON, a=1, b=1) is None
    (tmp_path / "offsets").mkdir()
    (tmp_path / "offsets" / "0").write_text('v1\n{"batchWatermarkMs":0,"batchTimestampMs":0}\n{}')
    assert decide(opened(storage, tmp_path, 2), 1, NOON, a=1, b=1, c=1) == {"c"}


def test_what_a_query_that_was_there_before_knew_is_forgotten(storage: Storage, tmp_path: Path) -> None:
    assert decide(opened(storage, tmp_path, 1), 0, NOON, a=1) is None
    types = opened(storage, tmp_path, 1, of_table=frozenset({"b"}))
    assert decide(types, 0, NOON, b=1, c=1) is None


def test_a_replay_of_what_no_table_holds_is_decided_from_where_the_first_run_was(
    storage: Storage, tmp_path: Path
) -> None:
    types = opened(storage, tmp_path, 1)
    assert decide(types, 0, NOON, a=1) is None
    for _ in range(3):
        assert decide(types, 1, NOON + timedelta(days=1), b=2, c=1) == {"c"}


def test_once_a_table_holds_a_micro_batch_its_decision_stays_whatever_is_configured(
    storage: Storage, tmp_path: Path
) -> None:
    assert decide(opened(storage, tmp_path, 1), 0, NOON, a=2, b=1) == {"b"}
    (tmp_path / "offsets").mkdir()
    (tmp_path / "offsets" / "0").write_text('v1\n{"batchWatermarkMs":0,"batchTimestampMs":0}\n{}')
    assert decide(opened(storage, tmp_path, 0), 0, NOON, begun=True, a=2, b=1) == {"b"}
    assert decide(opened(storage, tmp_path, 0), 0, NOON, begun=False, a=2, b=1) is None
    assert decide(opened(storage, tmp_path, 1), 0, NOON, begun=False, a=2, b=1) == {"b"}


def test_what_a_version_without_a_bound_began_is_finished_without_one(storage: Storage, tmp_path: Path) -> None:
    types = opened(storage, tmp_path, 1, of_table=frozenset({"a"}))
    assert decide(types, 0, NOON, begun=True, a=1, b=1, c=1) is None
    assert decide(types, 1, NOON, b=1, c=1) is None


def test_few_files_are_kept_and_none_is_written_where_no_type_is_new(storage: Storage, tmp_path: Path) -> None:
    types = opened(storage, tmp_path, 0)
    for batch in range(30):
        decide(types, batch, NOON, **{f"t{batch}": 1})
    kept = sorted(path.name for path in (tmp_path / "types").glob("[!.]*"))
    assert len(kept) == 10
    for batch in range(30, 60):
        decide(types, batch, NOON, t1=1, t7=1)
    assert sorted(path.name for path in (tmp_path / "types").glob("[!.]*")) == kept


def test_a_file_of_another_version_is_refused_and_says_what_to_do(storage: Storage, tmp_path: Path) -> None:
    types = opened(storage, tmp_path, 2)
    (tmp_path / "types" / "-1.json").write_text('{"version": 2}')
    (tmp_path / "types" / ".-1.json.crc").unlink(missing_ok=True)
    with pytest.raises(DataLossError, match=r"types/-1.json was written by another version.* delete the folder"):
        decide(types, 0, NOON, a=1)


# Through the whole path


@ENGINES
def test_events_of_types_over_the_bound_are_quarantined_exactly_and_of_known_ones_stored(
    spark: SparkSession, house: LakeHouse, engine: str
) -> None:
    kept = put(house, *(of_type(kind, n) for kind in ("a", "b") for n in range(5)))
    house.run(spark, dedup_engine=engine, lake_new_types_per_day="2")
    kept += put(house, *(of_type("a", n) for n in range(5, 8)))
    over = put(house, *(of_type(f"id{n}", 0) for n in range(40)), *(of_type("c", n) for n in range(3)))
    broken = put(house, b"broken")
    counts = house.run(spark, dedup_engine=engine, lake_new_types_per_day="2")
    assert counts == Counts(received=47, stored=3, quarantined=44)
    assert sorted(row["payload"].encode() for row in house.events()) == sorted(kept)
    found = {problem: [] for problem in ("not_json", "too_many_types")}
    for row in house.quarantine():
        found[row["problem"]].append(row["data"])
    assert {problem: sorted(data) for problem, data in found.items()} == {
        "not_json": broken,
        "too_many_types": sorted(over),
    }
    folders = {path.name for path in house.events_path.glob("event_type=*")}
    assert folders == {"event_type=a", "event_type=b"}


@pytest.mark.index_only("Spark's operator has remembered a key before its type is known to be one too many")
def test_what_was_refused_is_not_remembered_as_seen(spark: SparkSession, house: LakeHouse) -> None:
    put(house, of_type("a", 1), of_type("a", 1), event("shared", event_name="a:x"))
    # A new type: once, twice, and with the uuids of events of a known type, before and behind them.
    put(house, of_type("b", 1), of_type("b", 1), event("shared", event_name="b:x"))
    put(house, event("late", event_name="b:x"), event("late", event_name="a:x"))
    assert house.run(spark, lake_new_types_per_day="1") == Counts(received=8, stored=3, duplicates=1, quarantined=4)
    assert house.uuids() == ["u-a-1", "u-late", "u-shared"]
    segments = house.checkpoint_path / "seen" / "segments"
    named = (house.checkpoint_path / "seen" / "0.json").read_text()
    assert [path.name for path in segments.glob("[!.]*") if path.name not in named] == []

    put(house, of_type("b", 1), of_type("b", 1))
    assert house.run(spark, lake_new_types_per_day="0") == Counts(received=2, stored=1, duplicates=1)
    assert house.uuids() == ["u-a-1", "u-b-1", "u-late", "u-shared"]


def test_killed_between_its_tables_a_micro_batch_is_finished_as_it_was_decided(
    spark: SparkSession, house: LakeHouse
) -> None:
    put(house, of_type("a", 1), of_type("a", 2))
    over = put(house, of_type("b", 1), of_type("c", 1))
    house.run(spark, lake_new_types_per_day="1")
    house.forget_events_of_first_batch()

    counts = house.run(spark, lake_new_types_per_day="0")
    assert counts == Counts(received=4, stored=2, quarantined=2)
    assert house.uuids() == ["u-a-1", "u-a-2"]
    assert sorted(row["data"] for row in house.quarantine()) == sorted(over)


def test_a_lake_from_before_there_was_a_bound_knows_the_types_of_its_table(
    spark: SparkSession, house: LakeHouse
) -> None:
    put(house, of_type("a.b-c_d", 1), of_type("b", 1))
    house.run(spark)
    shutil.rmtree(house.checkpoint_path / "types")
    put(house, of_type("a.b-c_d", 2), of_type("b", 2), of_type("c", 1), of_type("d", 1))
    counts = house.run(spark, lake_new_types_per_day="1")
    assert counts == Counts(received=4, stored=3, quarantined=1)


def test_a_table_of_plain_files_tells_its_types_by_its_folders(storage: Storage, tmp_path: Path) -> None:
    for folder in ("_batches", "event_type=a.b-c_d/date=2026-11-27", "event_type=b/date=2026-11-27"):
        (tmp_path / folder).mkdir(parents=True)
    table = FileTableWriter(storage, tmp_path.as_uri(), "json", EVENTS, EVENTS_PARTITIONS)
    assert table.values("event_type") == {"a.b-c_d", "b"}
