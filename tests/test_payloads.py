"""Packed and compressed records through the whole path: each event is one, each bad record keeps its place."""

from __future__ import annotations

import gzip

import pytest
from pyspark.sql import SparkSession

from event_lake.metrics import Counts
from event_lake.source import parsed_records
from lake import LakeHouse, event
from packing import packed


def test_every_record_packed_into_one_is_accounted_for_on_its_own(spark: SparkSession, house: LakeHouse) -> None:
    broken = gzip.compress(event(4))[:-1]
    place = house.server.put(
        "events", packed(event(1), b"broken", gzip.compress(event(2)), b"broken", event(1), broken, b"")
    )
    house.server.put("events", gzip.compress(event(3)))
    assert house.run(spark) == Counts(received=8, stored=3, duplicates=1, quarantined=4)
    assert house.uuids() == ["u-1", "u-2", "u-3"]
    payloads = {row["event_uuid"]: row["payload"].encode() for row in house.events()}
    assert payloads == {f"u-{number}": event(number) for number in (1, 2, 3)}
    found = sorted((row["sub_sequence_number"], row["problem"], row["data"]) for row in house.quarantine())
    assert found == [
        (1, "not_json", b"broken"),
        (3, "not_json", b"broken"),
        (5, "compressed_corrupt", broken),
        (6, "empty", b""),
    ]
    assert {row["sequence_number"] for row in house.quarantine()} == {place["SequenceNumber"]}


def test_no_key_stands_in_the_plan(spark: SparkSession, house: LakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "RECOGNISABLE-KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "RECOGNISABLE-SECRET")
    frame = parsed_records(spark, house.config(source_role_arn="arn:aws:iam::123456789012:role/reader"))
    plan = frame._jdf.queryExecution().toString()
    assert "role/reader" in plan
    assert "RECOGNISABLE" not in plan
