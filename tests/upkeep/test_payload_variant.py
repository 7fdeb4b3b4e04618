"""Payloads as VARIANT beside their bytes: what is in it, who reads such a table, and what is refused."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pyspark.sql.types
import pytest
from delta.tables import DeltaTable as SparkTable
from deltalake import DeltaTable
from deltalake.exceptions import DeltaProtocolError
from pyspark.sql import SparkSession

from event_lake.audit import Asked, Audit
from event_lake.belonging import check_layout
from event_lake.config import Lake
from event_lake.config_file import read_config
from event_lake.deduplicate.verdicts import STORED
from event_lake.errors import ConfigError
from event_lake.events_layout import layout_of
from event_lake.sink import EventSink
from event_lake.upkeep.stopped import StoppedLake
from kinesis_server import KinesisServer
from lake import LakeHouse, event
from records import event_bytes, raw_records

FORMS = ("plain", "shredded")
# What a VARIANT is not, or Spark does not make: the event's JSON is `{..., "x": TEXT}`, and what payload_variant:x is.
HARD = {
    "spaced": ('{"b":  1, "a": 2}', '{"a":2,"b":1}'),
    "38 digits": ("0." + "123456789" * 4, "0." + "123456789" * 4),
    "45 digits": ("123456789" * 5, "1.2345678912345679E44"),
    "repeated": ('{"a":1,"a":2}', '{"a":2}'),
    "1,000 levels": ("[" * 999 + "]" * 999, "[" * 999 + "]" * 999),
    "1,001 levels": ("[" * 1000 + "]" * 1000, None),
    "long name": (f'{{"{"k" * 50_001}":1}}', None),
    "many digits": (f"0.{'1' * 1001}", None),
    "NUL": ('"\\u0000"', "\0"),
}


def by_uuid(lake: Any) -> dict[str, Any]:
    rows = lake.spark.read.format("delta").load(lake.events)
    chosen = rows.selectExpr(
        "event_uuid", "payload", "payload_variant:x::string AS x", "payload_variant IS NULL AS none"
    )
    return {row["event_uuid"]: row for row in chosen.collect()}


def hard_event(name: str) -> bytes:
    return event_bytes(event_uuid=name).removesuffix(b"}") + f', "x": {HARD[name][0]}}}'.encode()


@pytest.mark.parametrize("form", FORMS)
def test_every_payload_is_stored_to_the_byte_and_what_spark_can_make_a_variant_of_as_one(
    lake_with: Callable[..., Any], form: str
) -> None:
    lake = lake_with(f"lake.payload_variant={form}")
    sent = {name: hard_event(name) for name in HARD}
    lake.write(0, raw_records(list(sent.values())))
    lake.write(1, raw_records([event_bytes(event_uuid=f"{n}", x=n) for n in range(4)], shardId="shardId-1"))
    version = DeltaTable(lake.events).version()
    lake.write(1, raw_records([event_bytes(event_uuid=f"{n}", x=n) for n in range(4)], shardId="shardId-1"))  # a replay
    assert DeltaTable(lake.events).version() == version

    def as_it_should_be(found: dict[str, Any]) -> None:
        assert len(found) == len(HARD) + 4
        for name, (_, value) in HARD.items():
            assert found[name]["payload"].encode() == sent[name]
            assert (found[name]["x"], found[name]["none"]) == (value, value is None), name
        assert [found[f"{n}"]["x"] for n in range(4)] == ["0", "1", "2", "3"]

    as_it_should_be(by_uuid(lake))
    SparkTable.forPath(lake.spark, lake.events).optimize().executeCompaction()
    (file,) = lake.files()
    as_it_should_be(by_uuid(lake))
    assert ("payload_variant.typed_value.event_uuid.typed_value" in _columns(file)) == (form == "shredded")
    adds = [action["add"] for commit in lake.commits() for action in commit if "add" in action]
    assert not any("payload" in add["stats"] for add in adds)


def _columns(file: str) -> set[str]:
    schema = pq.ParquetFile(file.removeprefix("file://")).schema
    return {schema.column(number).path for number in range(len(schema))}


@pytest.mark.parametrize("form", FORMS)
def test_duckdb_reads_either_form_and_delta_rs_the_plain_one_and_says_that_it_does_not_know_the_other(
    lake_with: Callable[..., Any], form: str
) -> None:
    lake = lake_with(f"lake.payload_variant={form}")
    lake.write(0)
    files = duckdb.read_parquet(lake.files())
    found = duckdb.sql("SELECT typeof(payload_variant), (payload_variant::JSON)->>'event_uuid' = event_uuid FROM files")
    assert found.fetchall() == [("VARIANT", True)] * 4
    del files
    if form == "plain":
        assert json.loads(lake.rows()[0]["payload"])["event_uuid"] == lake.rows()[0]["event_uuid"]
        assert len(lake.rows()) == 4
    else:
        with pytest.raises(DeltaProtocolError, match="variantShredding"):
            lake.rows()


def test_a_table_that_was_made_without_is_refused_and_is_written_anew_with_it_and_back(
    make_lake: Callable[[int], Any],
) -> None:
    lake = make_lake(2)
    before = lake.rows()

    def changed_to(form: str) -> None:
        lake.config = read_config("", [*_settings(lake), f"lake.payload_variant={form}"])
        lake.sink = EventSink(lake.spark, lake.storage, lake.config.lake)
        with pytest.raises(ConfigError, match=rf'lake\.payload_variant is "{form}", but .*--repartition'):
            check_layout(lake.sink)
        StoppedLake(lake.spark, lake.config, lambda line: None, lambda: None).maintain(dry_run=False, anew=True)
        check_layout(lake.sink)

    changed_to("plain")
    assert [{k: v for k, v in row.items() if k != "payload_variant"} for row in lake.rows()] == before
    named = (
        lake.spark.read.format("delta").load(lake.events).selectExpr("payload_variant:event_uuid::string = event_uuid")
    )
    assert [row[0] for row in named.collect()] == [True] * 8
    lake.write(1)  # a replay of the last one
    assert len(lake.rows()) == 8
    changed_to("shredded")
    assert lake.sink.tables[STORED].payload_variant() == "shredded"
    lake.write(2)
    assert (
        lake.spark.read.format("delta").load(lake.events).where("payload_variant:event_uuid IS NOT NULL").count() == 12
    )
    changed_to("off")
    assert "payload_variant" not in lake.spark.read.format("delta").load(lake.events).columns


def _settings(lake: Any) -> list[str]:
    home = lake.paths["events"].parent
    paths = {"path": lake.events, "quarantine_path": lake.paths["quarantine"]}
    return ["source.stream=s", f"checkpoint.path={home / 'c'}", *(f"lake.{key}={path}" for key, path in paths.items())]


def test_a_stream_into_a_table_with_variant_is_stored_once_and_an_audit_finds_nothing_wrong(
    spark: SparkSession, tmp_path: Path
) -> None:
    with KinesisServer() as server:
        server.create_stream("events", 1)
        house = LakeHouse(tmp_path, server)
        for number in (*range(4), 0):
            server.put("events", event(number), arrival=time.time() - 60)
        house.run(spark, lake_payload_variant="plain")
        assert house.uuids() == [f"u-{number}" for number in range(4)]
        with Audit(spark, house.config(lake_payload_variant="plain"), Asked("trim_horizon")) as audit:
            assert +Counter(audit.report(audit.find()).numbers) == Counter(received=5, stored=4, duplicates=1)
        with pytest.raises(ConfigError, match='Set it back to "plain"'):
            house.run(spark)


@pytest.mark.parametrize("file_format", ["parquet", "json"])
def test_formats_that_cannot_hold_a_variant_are_refused(file_format: str) -> None:
    paths = ["lake.path=/e", "lake.quarantine_path=/q", "checkpoint.path=/c", "source.stream=s"]
    with pytest.raises(ConfigError, match=rf"lake\.payload_variant is 'plain', which lake\.format '{file_format}'"):
        read_config("", [*paths, "lake.payload_variant=plain", f"lake.format={file_format}"])


def test_a_spark_without_variant_refuses_it_and_does_without_where_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pyspark.sql.types, "VariantType", raising=False)  # Spark 3.5 is without
    with pytest.raises(ConfigError, match=r"lake\.payload_variant .* has no VARIANT"):
        layout_of(Lake(payload_variant="shredded"))
    assert layout_of(Lake()).variant == "off"
