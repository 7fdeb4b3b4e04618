"""The audit against lakes that are right, and against lakes that were broken on purpose."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

import traffic
from event_lake.audit import Asked, Audit, Report
from kinesis_server import KinesisServer
from lake import LakeHouse

EVERYTHING = "trim_horizon"


def audited(spark: SparkSession, house: LakeHouse, since: str | None = EVERYTHING, **overrides: str) -> Report:
    with Audit(spark, house.config(**overrides), Asked(since)) as audit:
        return audit.report(audit.find())


def right(report: Report) -> bool:
    sums = report.stored + report.duplicates + report.quarantined
    return report.exit_code == 0 and report.received == sums and not report.findings


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


def test_a_right_lake_is_found_to_be_right(spark: SparkSession, traffic_house: tuple[LakeHouse, list[Any]]) -> None:
    house, puts = traffic_house
    report = audited(spark, house)
    assert right(report), report
    assert report.received == len(puts)
    assert report.quarantined == sum(put.problem is not None for put in puts)
    assert (report.stored, report.duplicates) == (len(house.events()), len(house.duplicates()))
    assert report.copies["listed"] == report.duplicates == sum(put.copy_of_earlier for put in puts)
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


def test_every_way_of_being_wrong_is_found_and_explained(
    spark: SparkSession, traffic_house: tuple[LakeHouse, list[Any]], tmp_path: Path
) -> None:
    whole, _ = traffic_house
    before = audited(spark, whole)
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
    assert report.received == before.received
    assert (report.missing, report.extra, report.altered, report.misplaced) == (6, 2, 4, 0)
    assert report.exit_code == 3
    named = {place_of(dict(finding)): finding["event_uuid"] for finding in report.findings}
    assert all(uuid for place, uuid in named.items() if place not in (bad, bad_altered))
