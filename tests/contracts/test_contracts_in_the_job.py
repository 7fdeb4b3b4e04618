"""The job with contracts: what breaks one is set aside or counted, exactly, also where a kill and a change meet."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract_texts import contract, contract_set
from pyspark.sql import SparkSession

from event_lake.errors import ConfigError
from event_lake.metrics import Counts
from event_lake.parse import parse
from event_lake.source import parsed_records
from kinesis_server import KinesisServer
from lake import LakeHouse, event
from records import event_bytes, raw_frame, raw_records, rows

TITLED = contract({"title": {"type": "string"}})


@pytest.fixture
def house(tmp_path: Path) -> Iterator[LakeHouse]:
    with KinesisServer() as server:
        server.create_stream("events", 1)
        house = LakeHouse(tmp_path, server)
        (tmp_path / "contracts").mkdir()
        agree(house, TITLED)
        house.settings["contracts.path"] = (tmp_path / "contracts").as_uri()
        yield house


def agree(house: LakeHouse, schema: object) -> None:
    (house.folder / "contracts" / "lesson%3Astarted.json").write_text(json.dumps(schema))


def put(house: LakeHouse, *events: bytes) -> None:
    for data in events:
        house.server.put("events", data, partition_key="k")


def test_an_event_that_breaks_its_contract_is_set_aside_or_only_counted(
    spark: SparkSession, house: LakeHouse, caplog: pytest.LogCaptureFixture
) -> None:
    # Longer than what Java's own writeUTF takes, as hundreds of contracts are.
    agree(house, {**TITLED, "description": "x" * 1_000_000})
    put(house, event(1), event("1-broken", title=7), event("1-free", event_name="a", title=7))
    assert house.run(spark) == Counts(received=3, stored=2, quarantined=1)
    (row,) = house.quarantine()
    assert (row["problem"], row["detail"]) == ("breaks_contract", "$.title must be string")
    assert (row["event_uuid"], row["data"]) == ("u-1-broken", event("1-broken", title=7))

    put(house, event(2), event("2-broken", title=7), event("2-free", event_name="a", title=7))
    with caplog.at_level(logging.WARNING):
        counts = house.run(spark, contracts_mode="count")
    assert counts == Counts(received=3, stored=3, contract_broken=1)
    assert "contract_broken=1 batch=1 event_name=lesson:started detail='$.title must be string'" in caplog.text
    assert house.uuids() == ["u-1", "u-1-free", "u-2", "u-2-broken", "u-2-free"]

    agree(house, contract({"title": {"type": "integer"}}))
    put(house, event(3))
    with pytest.raises(ConfigError, match=r"lesson:started \$\.title: was string, is bigint"):
        house.run(spark)
    assert len(house.uuids()) == 5


@pytest.mark.parametrize(("before", "after"), [("off", "quarantine"), ("quarantine", "off")])
def test_killed_between_its_tables_a_micro_batch_is_finished_by_the_contracts_that_it_was_begun_with(
    spark: SparkSession, house: LakeHouse, before: str, after: str
) -> None:
    early, late = event("early", title=7), event("late", title=7)
    put(house, event(1), early, b"{")
    house.run(spark, contracts_mode=before)
    house.forget_events_of_first_batch()

    put(house, event(2), late)
    assert house.run(spark, contracts_mode=after) == Counts(received=5, stored=3, quarantined=2)
    stored, set_aside = (early, late) if before == "off" else (late, early)
    assert sorted(row["payload"].encode() for row in house.events()) == sorted([event(1), event(2), stored])
    assert sorted(row["data"] for row in house.quarantine()) == sorted([b"{", set_aside])


def test_a_micro_batch_that_no_table_has_a_part_of_is_judged_by_the_newest_contracts(
    spark: SparkSession, house: LakeHouse
) -> None:
    put(house, event(1), event(2, title=7))
    assert house.run(spark, contracts_mode="off") == Counts(received=2, stored=2)
    house.forget_events_of_first_batch()
    assert house.run(spark) == Counts(received=2, stored=1, quarantined=1)
    assert (house.uuids(), [row["event_uuid"] for row in house.quarantine()]) == (["u-1"], ["u-2"])


def test_contracts_are_in_no_plan(spark: SparkSession, house: LakeHouse) -> None:
    """A plan with hundreds of them would stand in Spark's event log once a micro-batch."""
    asked = contract_set({**TITLED, "description": "no plan has this"})
    planned = parsed_records(spark, house.config(), contracts=asked)._jdf.queryExecution().toString()
    assert "event-lake-kinesis" in planned
    assert "no plan has this" not in planned


def test_events_from_files_are_held_against_their_contracts_too(spark: SparkSession) -> None:
    raw = raw_frame(spark, raw_records([event_bytes(title="t"), event_bytes(title=7)]))
    found = rows(parse(raw, contracts=contract_set(TITLED)))
    assert [row["problem"] for row in found] == [None, "breaks_contract"]


def test_what_contracts_need_reaches_the_workers_with_the_job(spark: SparkSession) -> None:
    one = spark.sparkContext.parallelize([0], 1)
    (place,) = one.map(lambda _: str(__import__("fastjsonschema").__file__)).collect()
    assert "event_lake_packages.zip/fastjsonschema" in place
