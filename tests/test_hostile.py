"""The worst that a producer can send, through the whole path: each record ends stored or in quarantine, to the byte."""

from __future__ import annotations

import json
import os
from collections import Counter

from pyspark.sql import SparkSession

from event_lake.metrics import Counts
from gzipped import gzipped
from lake import LakeHouse, event

MIB = 1024 * 1024
LARGEST = 10 * MIB - 1024  # AWS takes records of 10 MiB, partition key included
FLOOD = int(os.environ.get("FLOOD", "30000"))  # distinct event types in one micro-batch
YEAR_1, YEAR_100_000 = -62_135_596_800, 3_093_527_980_800


def with_text(text: bytes, **fields: object) -> bytes:
    """A good event with more members, as JSON text."""
    return event("with-text", **fields)[:-1] + b"," + text + b"}"


def nested(depth: int) -> bytes:
    return b'"deep":' + b"[" * depth + b"]" * depth


BAD = [
    ("empty", b""),
    ("not_json", b"\x00" * 1000),
    ("not_json", b"\xff\xfe\xfd" * 1000),
    ("not_json", with_text(b'"text":"\xed\xa0\x80"')),  # a surrogate in UTF-8
    ("not_json", with_text(b'"text":"\\ud800"')),  # a surrogate alone
    ("not_json", with_text(b'"text":"\x00"')),
    ("not_json", with_text(nested(100_000))),
    ("not_json", b"[" * 100_000),
    ("not_json", b'{"event_uuid":' * 100_000),
    ("not_json", with_text(b'"number":' + b"9" * 400)),
    ("not_json", with_text(b'"number":NaN')),
    ("not_json", b"x" * LARGEST),
    ("not_json", b'"' + b"\\" * LARGEST),
    ("not_json", gzipped(gzipped(event(1)))),
    ("compressed_corrupt", gzipped(event(1))[:-4]),
    ("unpacked_too_large", gzipped(b" " * (65 * MIB), 9)),
    ("repeated_key", with_text(b'"event_uuid":"another"')),
    ("event_uuid_not_string", with_text(b'"x":1', event_uuid=["u-1"])),
    ("event_uuid_not_string", with_text(nested(900), event_uuid={"u": 1})),
    ("event_uuid_too_long", event("x" * MIB)),
    ("event_type_invalid", event(1, event_name="../../../etc:passwd")),
    ("event_type_invalid", event(1, event_name="event_type=a/date=2026-01-01")),
    ("event_type_invalid", event(1, event_name="%2e%2e%2f:x")),
    ("event_type_invalid", event(1, event_name="line\nbreak:x")),
    ("event_type_invalid", event(1, event_name="nul\x00:x")),
    ("event_type_invalid", event(1, event_name="\N{PILE OF POO}:x")),
    ("event_type_invalid", event(1, event_name="__HIVE_DEFAULT_PARTITION__")),
    ("event_type_invalid", event(1, event_name="t" * MIB)),
    ("created_at_out_of_range", event(1, created_at=YEAR_1)),
    ("created_at_out_of_range", event(1, created_at=YEAR_100_000)),
    ("created_at_out_of_range", event(1, created_at="1e999999999")),
    ("created_at_out_of_range", event(1, created_at="9" * 400)),
    ("created_at_not_number", event(1, created_at="9" * MIB)),
    ("created_at_not_number", event(1, created_at="NaN")),
]
GOOD = [
    event("lone-zero", text="\x00"),
    event("nul-\x00-in-the-uuid"),
    event("e" * 200, event_name="lesson:../..=%2F\n\t\x00\N{PILE OF POO}:" + "x" * 10_000),
    event("percent%20/=\\\"'\n\N{PILE OF POO}"),
    event("largest", text="x" * (LARGEST - 200)),
    event("quotes", text='"' * 100_000),
    with_text(nested(900)),
    event("dots", event_name=".."),
    event("dot", event_name="."),
    event("dashes", event_name="-._-:x"),
    event("hidden", event_name="_hidden:x"),
]


def test_each_hostile_record_is_stored_or_quarantined_to_the_byte(spark: SparkSession, house: LakeHouse) -> None:
    for number, data in enumerate([*(data for _, data in BAD), *GOOD]):
        house.server.put("events", data, partition_key=f"{number}\n\N{PILE OF POO}")
    assert house.run(spark) == Counts(received=len(BAD) + len(GOOD), stored=len(GOOD), quarantined=len(BAD))
    assert Counter((row["problem"], row["data"]) for row in house.quarantine()) == Counter(BAD)
    assert Counter(row["payload"].encode() for row in house.events()) == Counter(GOOD)
    names = {json.loads(data)["event_uuid"]: json.loads(data)["event_name"] for data in GOOD}
    assert {row["event_uuid"]: row["event_name"] for row in house.events()} == names
    of_the_job = {"checkpoint", "events", "events_duplicates", "events_lease", "quarantine"}
    assert {path.name for path in house.folder.iterdir()} == of_the_job

    house.server.put("events", event("after"))
    assert house.run(spark) == Counts(received=1, stored=1)


def test_a_flood_of_event_types_makes_no_more_partitions_than_are_allowed(
    spark: SparkSession, house: LakeHouse
) -> None:
    flood = [event(n, event_name=f"order-{n:07}:placed") for n in range(FLOOD)]
    house.server.fill("events", flood)
    counts = house.run(spark, lake_new_types_per_day="50")
    assert counts == Counts(received=FLOOD, stored=50, quarantined=FLOOD - 50)
    assert len(list(house.events_path.glob("event_type=*"))) == 50
    assert len(list(house.quarantine_path.glob("date=*/problem=*"))) == 1
    kept = [row["payload"].encode() for row in house.events()] + [row["data"] for row in house.quarantine()]
    assert sorted(kept) == sorted(flood)
