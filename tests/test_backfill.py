"""Backfills: files and Delta tables come into the lake of a stopped job, each event once, whatever is killed."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from event_lake.audit import Asked, Audit
from event_lake.beside import backfill, backfill_of
from event_lake.deletion.condition import Condition
from event_lake.deletion.deletion import delete
from event_lake.errors import ConfigError, EventLakeError, LeaseError
from event_lake.lease import lease_of
from event_lake.metrics import Counts
from event_lake.stop import StopRequest
from event_lake.storage import Storage
from kinesis_server import KinesisServer
from lake import LakeHouse, event

pytestmark = pytest.mark.index_only("only it can be told what others have stored")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[LakeHouse]:
    """A lake whose job has stored events 0 to 9, and is stopped."""
    with KinesisServer() as server:
        server.create_stream("events", 2)
        house = LakeHouse(tmp_path, server)
        put(house, range(10))
        yield house


def put(house: LakeHouse, numbers: Iterable[int]) -> None:
    for number in numbers:
        house.server.put("events", event(number), partition_key=str(number))


def archive(house: LakeHouse, name: str, numbers: Iterable[int], also: bytes = b"") -> None:
    """A file as Firehose delivers it: packed, and nothing between two events."""
    path = house.folder / "archive" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}")
    hidden.write_bytes(gzip.compress(b"".join(event(number) for number in numbers) + also))
    os.rename(hidden, path)


def source_of(house: LakeHouse, kind: str = "files", name: str = "archive") -> dict[str, str]:
    return {"source_kind": kind, "source_path": (house.folder / name).as_uri()}


def filled(spark: SparkSession, house: LakeHouse, **overrides: str) -> Counts:
    """A backfill in this process."""
    config = house.config(**{**source_of(house), **overrides})
    storage = Storage.of_session(spark)
    return backfill(spark, config, StopRequest(storage, backfill_of(config).checkpoint.path))


def uuids(numbers: Iterable[int | str]) -> list[str]:
    return sorted(f"u-{number}" for number in numbers)


def duplicates(house: LakeHouse) -> Counter[str]:
    return Counter(row["event_uuid"] for row in house.duplicates())


def commits(table: Path) -> int:
    return sum('"txn"' in path.read_text() for path in (table / "_delta_log").glob("[0-9]*.json"))


def manifests(house: LakeHouse) -> list[str]:
    return sorted(path.name for path in (house.checkpoint_path / "seen").glob("[0-9]*.json"))


def test_after_kill_9_in_a_backfill_it_goes_on_and_everything_is_there_once(
    spark: SparkSession, house: LakeHouse
) -> None:
    house.run(spark)
    archive(house, "1.gz", range(5, 50), also=b"{broken")
    archive(house, "2.gz", range(40, 80))
    first = house.folder / "archive" / "1.gz"
    os.utime(first, (first.stat().st_mtime - 60,) * 2)  # the older file comes first
    small = {**source_of(house), "source_max_bytes": "1 B"}  # a file is a micro-batch
    # Quarantine and duplicates have their parts, events has not.
    house.run_killed("event_lake.delta_table:DeltaTableWriter.append", nth=3, kind="backfill", **small)
    assert [commits(path) for path in (house.quarantine_path, house.duplicates_path, house.events_path)] == [1, 1, 1]

    # What the job stored now, the backfill would store again.
    with pytest.raises(EventLakeError, match=r"another query .* was killed in its micro-batch 0.*Start the other one"):
        house.run(spark)
    counts = filled(spark, house, **small)
    assert counts == Counts(received=45 + 40 + 1, stored=40 + 30, duplicates=5 + 10, quarantined=1)
    assert house.uuids() == uuids(range(80))
    assert duplicates(house) == Counter([*uuids(range(5, 10)), *uuids(range(40, 50))])
    assert [row["data"] for row in house.quarantine()] == [b"{broken"]

    # The job knows them, although they came behind its back; so does an audit.
    put(house, range(70, 90))
    assert house.run(spark) == Counts(received=20, stored=10, duplicates=10)
    assert house.uuids() == uuids(range(90))
    with Audit(spark, house.config(), Asked("trim_horizon")) as audit:
        report = audit.report(audit.find())
    assert (report.exit_code, report.numbers["received"], report.numbers["duplicates"]) == (0, 30, 10)
    assert manifests(house) == ["0.1.json", "0.json", "1.json"]


def test_job_and_backfill_take_turns_and_each_knows_what_the_other_has_stored(
    spark: SparkSession, house: LakeHouse
) -> None:
    house.run(spark)
    archive(house, "1.gz", range(5, 20), also=event("old", event_name="old:kind"))
    assert filled(spark, house) == Counts(received=16, stored=11, duplicates=5)
    put(house, range(15, 30))
    # A type that a backfill has brought is not new to the job, either.
    for kind in ("old", "new"):
        house.server.put("events", event(f"of {kind} kind", event_name=f"{kind}:kind"))
    assert house.run(spark, lake_new_types_per_day="2") == Counts(received=17, stored=12, duplicates=5)
    archive(house, "2.gz", range(25, 40))
    assert filled(spark, house) == Counts(received=15, stored=10, duplicates=5)
    put(house, range(40))
    assert house.run(spark) == Counts(received=40, duplicates=40)
    assert house.uuids() == uuids([*range(40), "old", "of old kind", "of new kind"])


def test_a_micro_batch_of_the_job_that_is_stored_but_not_committed_is_no_hindrance_and_finds_no_copies_of_itself(
    spark: SparkSession, house: LakeHouse
) -> None:
    house.run(spark)
    put(house, range(10, 20))
    house.run(spark)
    for name in ("commits/1", "commits/.1.crc", "seen/1.json", "seen/.1.json.crc"):  # as kill -9 leaves it
        (house.checkpoint_path / name).unlink(missing_ok=True)
    archive(house, "1.gz", range(15, 25))
    assert filled(spark, house) == Counts(received=10, stored=5, duplicates=5)
    assert house.run(spark) == Counts(received=10, stored=10)  # the replay, which writes nothing
    put(house, range(30))
    assert house.run(spark) == Counts(received=30, stored=5, duplicates=25)
    assert house.uuids() == uuids(range(30))


def test_what_was_deleted_is_not_brought_back_by_an_archive_nor_by_the_stream_after_it(
    spark: SparkSession, house: LakeHouse
) -> None:
    house.run(spark)
    archive(house, "1.gz", range(20, 30), also=event("person", account_id=7))
    assert filled(spark, house).stored == 11
    delete(spark, house.config(), [Condition.parse("$.account_id=7", "test")], suspected=False, dry_run=False)
    assert house.uuids() == uuids([*range(10), *range(20, 30)])
    # Another backfill begins with an index of its own, and the job has not heard of the event yet.
    archive(house, "again/1.gz", range(30, 32), also=event("person", account_id=7))
    assert filled(spark, house, **source_of(house, name="archive/again")) == Counts(received=3, stored=2, duplicates=1)
    house.server.put("events", event("person", account_id=7))
    assert house.run(spark) == Counts(received=1, duplicates=1)
    assert house.uuids() == uuids([*range(10), *range(20, 32)])


def test_an_archive_in_a_delta_table_comes_in_once_although_it_holds_records_twice(
    spark: SparkSession, house: LakeHouse, caplog: pytest.LogCaptureFixture
) -> None:
    house.run(spark)
    arrived = datetime.now(UTC) - timedelta(days=400)
    raw = {"data": [event(number) for number in (1, 20, 20, 21)], "sequenceNumber": ["7", "8", "8", "9"]}
    write_deltalake(str(house.folder / "raw"), pa.table({**raw, "approximateArrivalTimestamp": [arrived] * 4}))
    stored = DeltaTable(str(house.events_path)).to_pyarrow_table()
    write_deltalake(str(house.folder / "copy_of_events"), stored)

    with caplog.at_level("INFO", logger="event_lake.batch"):
        assert filled(spark, house, **source_of(house, "delta", "raw")) == Counts(received=4, stored=2, duplicates=2)
    (line,) = (line for line in caplog.messages if " batch=0 " in line)
    assert line.endswith(" lag_seconds=unknown")  # nothing says how much of an archive is left
    assert filled(spark, house, **source_of(house, "delta", "copy_of_events")) == Counts(received=10, duplicates=10)
    assert house.uuids() == uuids([*range(10), 20, 21])
    assert {row["arrived_at"] for row in house.events() if row["event_uuid"] == "u-20"} == {arrived}


@pytest.fixture(scope="module")
def idle(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeHouse]:
    """A lake that nothing changes."""
    with KinesisServer() as server:
        server.create_stream("events", 1)
        house = LakeHouse(tmp_path_factory.mktemp("idle"), server)
        put(house, range(3))
        house.run(spark)
        archive(house, "1.gz", range(3))
        write_deltalake(str(house.folder / "other"), pa.table({"payload": ["{}"], "when": [1]}))
        yield house


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"source_kind": "kinesis"}, r"a backfill reads files or a Delta table"),
        ({"source_path": "file:/nowhere/*.gz"}, r"there is nothing at file:/nowhere"),
        ({"source_kind": "delta"}, r"there is no Delta table at .*archive"),
        ({"source_kind": "delta", "source_path": "other"}, r"no column approximateArrivalTimestamp or arrived_at"),
        ({"lake_format": "parquet"}, r"needs Delta tables"),
        ({"dedup_engine": "spark"}, r"needs dedup.engine = \"index\""),
        ({"checkpoint_path": "file:/nowhere/checkpoint"}, r"has stored nothing yet"),
        ({"source_kind": "delta", "source_path": "quarantine"}, r"the job would read what it writes"),
    ],
)
def test_what_cannot_be_done_exactly_is_refused_and_changes_nothing(
    spark: SparkSession, idle: LakeHouse, settings: dict[str, str], said: str
) -> None:
    path = settings.get("source_path", "")
    if path and ":" not in path:
        settings = {**settings, "source_path": (idle.folder / path).as_uri()}
    with pytest.raises(ConfigError, match=said):
        filled(spark, idle, **settings)
    assert len(idle.events()) == 3
    assert not idle.duplicates()


def test_while_the_job_lives_a_backfill_is_refused(spark: SparkSession, idle: LakeHouse) -> None:
    lease = lease_of(Storage.of_session(spark), idle.config())
    assert lease.acquire(lambda: False)
    with lease, pytest.raises(LeaseError, match="is alive; stop it first"):
        filled(spark, idle)
