"""The audit against lakes that are right, and against lakes that were broken on purpose."""

from __future__ import annotations

import gzip
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

import audit_events
import traffic
from event_lake.audit import Asked, Audit, Repaired, Report
from event_lake.errors import ConfigError, EventLakeError, LeaseError
from event_lake.lease import lease_of
from event_lake.storage import Storage
from kinesis_server import KinesisServer
from lake import ROOT, Job, LakeHouse, event
from packing import packed

EVERYTHING = "trim_horizon"


def audited(spark: SparkSession, house: LakeHouse, since: str | None = EVERYTHING, **overrides: str) -> Report:
    with Audit(spark, house.config(**overrides), Asked(since)) as audit:
        return audit.report(audit.find())


def repaired(
    spark: SparkSession, house: LakeHouse, may_write: Callable[[], None] = lambda: None, **overrides: str
) -> Repaired:
    with Audit(spark, house.config(**overrides), Asked(EVERYTHING)) as audit:
        return audit.repair(may_write)


def counted(report: Report) -> Counter[str]:
    """The numbers that are not 0."""
    return +Counter(report.numbers)


def is_right(report: Report) -> bool:
    parts = sum(report.numbers[name] for name in ("stored", "duplicates", "quarantined"))
    return report.exit_code == 0 and report.numbers["received"] == parts and not report.findings


@pytest.fixture(scope="module")
def traffic_house(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LakeHouse, list[Any]]]:
    """Mixed traffic in a stream and the lake that the job made of it."""
    with KinesisServer() as server:
        server.create_stream("events", 2)
        house = LakeHouse(tmp_path_factory.mktemp("audited"), server)
        puts = list(traffic.generate(1500, duplicates=0.1, broken=0.1, seed=5, now=time.time()))
        for put in puts:
            server.put("events", put.data, partition_key=put.partition_key)
        house.run(spark)
        yield house, puts


@pytest.mark.index_only("a list of duplicates")
def test_a_right_lake_is_found_to_be_right(spark: SparkSession, traffic_house: tuple[LakeHouse, list[Any]]) -> None:
    house, puts = traffic_house
    report = audited(spark, house)
    copies = sum(put.copy_of_earlier for put in puts)
    broken = sum(put.problem is not None for put in puts)
    assert counted(report) == Counter(
        received=len(puts), stored=len(puts) - copies - broken, duplicates=copies, quarantined=broken
    )
    assert is_right(report)
    assert report.copies["listed"] == copies
    assert report.copies["byte_for_byte"] == sum(row["same_payload"] for row in house.duplicates())


def copied(house: LakeHouse, folder: Path) -> LakeHouse:
    """The same lake in another folder, to be broken."""
    for name in ("events", "events_duplicates", "quarantine"):
        shutil.copytree(house.folder / name, folder / name)
    return LakeHouse(folder, house.server)


class Broken:
    """One table to be broken, by another engine than the audit reads it with."""

    def __init__(self, table: Path) -> None:
        self._path = str(table)

    def rows(self) -> pa.Table:
        return DeltaTable(self._path).to_pyarrow_table()

    def take(self, place: tuple[str, str]) -> pa.Table:
        """Deletes the row of this shard and sequence number; gives it."""
        chosen = f"shard_id = '{place[0]}' AND sequence_number = '{place[1]}'"
        rows = self.rows()
        is_it = [(row["shard_id"], row["sequence_number"]) == place for row in rows.to_pylist()]
        DeltaTable(self._path).delete(chosen)
        return rows.filter(pa.array(is_it))

    def add(self, rows: pa.Table, **changed: Any) -> None:
        for name, value in changed.items():
            at = rows.schema.get_field_index(name)
            rows = rows.set_column(at, rows.schema.field(at), pa.array([value] * len(rows), rows.schema.field(at).type))
        write_deltalake(self._path, rows, mode="append")


def place_of(row: dict[str, Any]) -> tuple[str, str]:
    return row["shard_id"], row["sequence_number"]


@pytest.mark.index_only("a list of duplicates, which is broken too")
def test_every_way_of_being_wrong_is_found_and_explained(
    spark: SparkSession, traffic_house: tuple[LakeHouse, list[Any]], tmp_path: Path
) -> None:
    whole, _ = traffic_house
    house = copied(whole, tmp_path)
    events, duplicates, quarantine = (
        Broken(path) for path in (house.events_path, house.duplicates_path, house.quarantine_path)
    )
    copied_uuids = {row["event_uuid"] for row in house.duplicates()}
    lone = [place_of(row) for row in house.events() if row["event_uuid"] not in copied_uuids]
    once = [
        row
        for row in house.duplicates()
        if Counter(r["event_uuid"] for r in house.duplicates())[row["event_uuid"]] == 1
    ]
    deleted, twice, altered, moved, unknown, redated = lone[:6]
    listed, first_gone, misjudged = (place_of(row) for row in once[:3])
    gone_first = next(place_of(row) for row in house.events() if row["event_uuid"] == once[1]["event_uuid"])
    bad, bad_altered = [place_of(row) for row in house.quarantine()][:2]

    events.take(deleted)
    row = events.take(twice)
    events.add(row)
    events.add(row)
    events.add(events.take(altered), payload='{"event_uuid":"another"}')
    row = events.take(moved).to_pylist()[0]
    duplicates.add(pa.Table.from_pylist([{**row, "date": row["arrived_at"].date()}], schema=duplicates.rows().schema))
    row = events.take(unknown)
    events.add(row)
    events.add(row, sequence_number=unknown[1] + "7")
    events.add(events.take(redated), event_subtype="another")
    duplicates.take(listed)
    events.take(gone_first)
    duplicates.add(duplicates.take(misjudged), same_payload=not once[2]["same_payload"])
    record_gap(house, deleted, "trimmed before it was read")
    quarantine.take(bad)
    quarantine.add(quarantine.take(bad_altered), data=b"something else")

    report = audited(spark, house)
    found = {
        (finding["shard_id"], finding["sequence_number"]): (finding["kind"], finding["should_be_in"], finding["is_in"])
        for finding in report.findings
    }
    assert found == {
        deleted: ("missing", "events", "nowhere"),
        twice: ("extra", "events", "events 2 times"),
        altered: ("altered", "events", "events"),
        moved: ("missing", "events", "duplicates"),
        (unknown[0], unknown[1] + "7"): ("extra", "nowhere", "events"),
        redated: ("altered", "events", "events"),
        listed: ("missing", "duplicates", "nowhere"),
        gone_first: ("missing", "events", "nowhere"),
        first_gone: ("missing", "events", "duplicates"),
        misjudged: ("altered", "duplicates", "duplicates"),
        bad: ("missing", "quarantine", "nowhere"),
        bad_altered: ("altered", "quarantine", "quarantine"),
    }
    numbers = report.numbers
    assert (numbers["missing"], numbers["extra"], numbers["altered"], numbers["misplaced"]) == (6, 2, 4, 0)
    assert report.exit_code == 3
    explained = {place_of(dict(finding)): finding["lost_because"] for finding in report.findings}
    assert {place: why for place, why in explained.items() if why} == {deleted: "trimmed before it was read"}
    assert (numbers["missing_in_gaps"], numbers["gaps"]) == (1, 1)
    assert all(finding["event_uuid"] for finding in report.findings if finding["should_be_in"] != "quarantine")
    assert not any("payload" in finding or "data" in finding for finding in report.findings)


def record_gap(house: LakeHouse, place: tuple[str, str], why: str) -> None:
    """As the job would have written it, of this one record."""
    now = datetime.now(UTC)
    row = {
        "shard_id": place[0],
        "from_position": f"at:{place[1]}",
        "to_position": f"at:{int(place[1]) + 1}",
        "from_time": now - timedelta(hours=1),
        "to_time": now,
        "why": why,
        "stored_at": now,
        "date": now.date(),
    }
    times = pa.timestamp("us", tz="UTC")
    kinds = {"from_time": times, "to_time": times, "stored_at": times, "date": pa.date32()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in row])
    write_deltalake(str(house.gaps_path), pa.Table.from_pylist([row], schema=schema))


def test_a_good_event_in_quarantine_and_a_bad_record_in_events_are_misplaced_unless_the_lake_asks_for_more(
    spark: SparkSession, traffic_house: tuple[LakeHouse, list[Any]], tmp_path: Path
) -> None:
    house = copied(traffic_house[0], tmp_path)
    events, quarantine = Broken(house.events_path), Broken(house.quarantine_path)
    copied_uuids = {row["event_uuid"] for row in house.duplicates()}
    good, limited = [row for row in house.events() if row["event_uuid"] not in copied_uuids][:2]
    bad = house.quarantine()[0]
    events.take(place_of(good))
    events.take(place_of(limited))
    quarantine.take(place_of(bad))
    for row, problem in ((good, "not_json"), (limited, "too_many_types")):
        own = {"problem": problem, "data": row["payload"].encode(), "date": row["arrived_at"].date()}
        quarantine.add(pa.Table.from_pylist([{**row, **own}], schema=quarantine.rows().schema))
    own = {"event_type": "other", "payload": "", "date": bad["date"]}
    events.add(pa.Table.from_pylist([{**bad, **own}], schema=events.rows().schema))
    report = audited(spark, house)
    found = {place_of(dict(each)): (each["kind"], each["should_be_in"], each["is_in"]) for each in report.findings}
    assert found == {
        place_of(good): ("misplaced", "events, or duplicates", "quarantine"),
        place_of(bad): ("misplaced", "quarantine", "events"),
    }
    assert report.exit_code == 4


@pytest.mark.index_only("Spark's operator forgets a key one micro-batch later")
def test_an_event_stored_again_beyond_the_window_is_found_and_moved_once_whenever_the_repair_is_killed(
    spark: SparkSession, house: LakeHouse
) -> None:
    settings = {"dedup_window": "1 second", "lake_duplicate_payloads": "true"}
    now = time.time()
    house.server.put("events", event(0), arrival=now - 20 * 3600, partition_key="one")
    house.server.put("events", packed(event(1), gzip.compress(event(2)), b"broken"), arrival=now - 20 * 3600)
    house.run(spark, **settings)
    house.server.put("events", event(9), arrival=now - 10 * 3600)
    house.run(spark, **settings)  # and so the first keys are forgotten
    # Beside an event that is not stored twice, in one record.
    house.server.put("events", packed(event(0, note="again"), event(3)), arrival=now - 60)
    house.run(spark, **settings)
    assert house.uuids() == ["u-0", "u-0", "u-1", "u-2", "u-3", "u-9"]
    report = audited(spark, house, **settings)
    assert counted(report) == Counter(received=7, stored=6, quarantined=1, stored_twice=1)
    (found,) = report.findings
    assert (found["kind"], found["event_uuid"], found["should_be_in"], found["is_in"]) == (
        "stored_twice",
        "u-0",
        "duplicates",
        "events",
    )
    assert report.exit_code == 4

    asked = iter([None, RuntimeError("killed between the two commits")])

    def killed() -> None:
        error = next(asked)
        if error:
            raise error

    with pytest.raises(RuntimeError, match="between the two commits"):
        repaired(spark, house, killed, **settings)
    assert house.uuids().count("u-0") == 2
    (row,) = house.duplicates()
    assert repaired(spark, house, **settings) == Repaired(listed=1, removed=1)
    assert house.duplicates() == [row], "listed anew"
    assert (row["event_uuid"], row["sub_sequence_number"], row["same_payload"]) == ("u-0", 0, False)
    assert house.uuids() == ["u-0", "u-1", "u-2", "u-3", "u-9"]
    assert row["payload"].encode() == event(0, note="again")
    assert row["gap_seconds"] == pytest.approx(20 * 3600 - 60, abs=1)
    # The job goes on with tables that were repaired.
    house.server.put("events", event(4))
    assert house.run(spark, **settings).stored == 1
    report = audited(spark, house, **settings)
    assert is_right(report)
    assert counted(report) == Counter(received=8, stored=6, duplicates=1, quarantined=1)
    assert report.copies["within_a_day"] == 1


def test_while_a_driver_holds_the_lake_nothing_is_repaired(spark: SparkSession, house: LakeHouse) -> None:
    house.server.put("events", event(0))
    house.run(spark)
    config = house.config(lease_time="2 seconds")
    holder = lease_of(Storage.of_session(spark), config)
    assert holder.acquire(lambda: False)
    with holder:
        with pytest.raises(LeaseError, match="stop it first"):
            audit_events._repair(spark, config, Asked(EVERYTHING))
        holder.check()
    assert audit_events._repair(spark, config, Asked(EVERYTHING)) == {"listed": 0, "removed": 0}


def test_duplicates_that_the_engine_only_counts_are_found_and_listed_where_that_is_asked_for(
    spark: SparkSession, house: LakeHouse
) -> None:
    now = time.time()
    for number, copies in enumerate((3, 1, 2)):
        for copy in range(copies):
            house.server.put("events", event(number), arrival=now - 100 + copy, partition_key=f"k-{copy}")
    house.run(spark, dedup_engine="spark")
    report = audited(spark, house, dedup_engine="spark")
    assert is_right(report)
    assert counted(report) == Counter(received=6, stored=3, duplicates=3)
    assert (report.copies["only_counted"], report.copies["listed"]) == (3, 0)
    assert report.copies["most_copied"][0]["event_uuid"] == "u-0"

    def meddle() -> None:
        table = Broken(house.duplicates_path)
        table.add(table.rows())

    with pytest.raises(EventLakeError, match="another writer is at work"):
        repaired(spark, house, meddle, dedup_engine="spark")
    assert house.duplicates() == []
    assert repaired(spark, house, dedup_engine="spark") == Repaired(listed=3, removed=0)
    kept = {row["event_uuid"]: row["arrived_at"] for row in house.events()}
    for row in house.duplicates():
        assert row["first_arrived_at"] == kept[row["event_uuid"]]
        assert row["gap_seconds"] == (row["arrived_at"] - row["first_arrived_at"]).total_seconds()
    report = audited(spark, house, dedup_engine="spark")
    assert is_right(report)
    assert (report.copies["only_counted"], report.copies["listed"]) == (0, 3)


def test_ranges_that_follow_each_other_find_each_record_once_also_where_arrival_times_go_back(
    spark: SparkSession, house: LakeHouse
) -> None:
    (first, _) = (shard["ShardId"] for shard in house.server.shards("events"))
    now = time.time()
    arrivals = [now - 3600, now - 1800, now - 1801, now - 1799, now - 1802, now - 900]
    for number, arrived in enumerate(arrivals):
        house.server.put("events", event(number), arrival=arrived, shard=first)
    house.server.put("events", event(0), arrival=now - 1700)  # its first copy lies before the second range
    house.run(spark)
    border = datetime.fromtimestamp(now - 1800, UTC).isoformat()
    reports = []
    for since, until in ((EVERYTHING, border), (border, None)):
        with Audit(spark, house.config(), Asked(since, until)) as audit:
            reports.append(audit.report(audit.find()))
    assert [counted(report) for report in reports] == [
        Counter(received=1, stored=1),
        Counter(received=6, stored=5, duplicates=1),
    ]
    assert all(is_right(report) for report in reports)


@pytest.mark.parametrize("file_format", ["parquet", "json"])
def test_lakes_of_plain_files_are_audited_but_not_repaired(
    spark: SparkSession, house: LakeHouse, file_format: str
) -> None:
    for data in (event(0), event(1, note="ü"), event(1), b"\xffbroken", b"", *traffic.SAMPLE_EVENTS):
        house.server.put("events", data)
    house.run(spark, lake_format=file_format)
    report = audited(spark, house, lake_format=file_format)
    assert counted(report) == Counter(received=9, stored=6, duplicates=1, quarantined=2)
    assert is_right(report)
    with pytest.raises(ConfigError, match="--repair needs"):
        repaired(spark, house, lake_format=file_format)


def test_an_empty_lake_and_another_source_are_refused(spark: SparkSession, house: LakeHouse) -> None:
    with pytest.raises(ConfigError, match="holds no micro-batch of this job"):
        Audit(spark, house.config(), Asked())
    with pytest.raises(ConfigError, match="an audit reads a Kinesis stream"):
        Audit(spark, house.config(source_kind="files", source_path="/nowhere"), Asked())


def test_the_job_says_what_is_missing_and_writes_it_down(
    traffic_house: tuple[LakeHouse, list[Any]], tmp_path: Path
) -> None:
    house = copied(traffic_house[0], tmp_path)
    copied_uuids = {row["event_uuid"] for row in house.duplicates()}
    gone = next(row for row in house.events() if row["event_uuid"] not in copied_uuids)
    Broken(house.events_path).take(place_of(gone))
    (tmp_path / "audit.toml").write_text('[spark]\nmaster = "local[2]"\nsql.shuffle.partitions = 2\n')
    settings = [word for key, value in house.settings.items() for word in ("--set", f"{key}={value}")]
    command = [str(ROOT / "scripts" / "audit"), "--config", str(tmp_path / "audit.toml"), *settings]
    report = tmp_path / "report.json"
    with Job([*command, "--from", EVERYTHING, "--report", report.as_uri()], tmp_path) as job:
        assert job.wait() == 3, job.output()
    numbers = json.loads(report.read_text())
    assert (numbers["missing"], numbers["extra"], numbers["exit_code"]) == (1, 0, 3)
    assert f"missing record={gone['shard_id']}/{gone['sequence_number']}/0" in job.output()
    assert f"received={numbers['received']} stored={numbers['stored']}" in job.output()
    (line,) = "".join(path.read_text() for path in Path(f"{report}.findings").glob("*.json")).splitlines()
    assert json.loads(line)["sequence_number"] == gone["sequence_number"]
    assert gone["payload"] not in job.output() + report.read_text() + line
