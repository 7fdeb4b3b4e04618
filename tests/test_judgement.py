"""The audit's judgement of records and the pipeline's: written apart, and they agree."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from event_lake.audit.judgement import JUDGED, judge_batches, read
from event_lake.compressed import MOST_UNPACKED
from event_lake.verdict import judge
from gzipped import gzipped
from odd_events import BROKEN, UNUSUAL
from records import ARRIVED, ARRIVED_MICROS, event, event_bytes

NUMBERS = st.one_of(
    st.integers(946_684_700, 1_644_930_000),
    st.floats(1_644_839_000, 1_644_930_000),
    st.sampled_from([946684800, 946684799.9999999, 1644926400, 1644926400.0000005, 1644926400.000001, 1644839990000]),
    st.sampled_from(
        ["1644839990", "1644839990.5e0", "16448399900e-1", "0x10", " 1", "1e99999999999999999999", "-0", "01"]
    ),
    st.text("0123456789.eE+-", max_size=12),
)
VALUES = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=5), st.just([1]), st.just({"a": [1]}))
NAMES = st.one_of(
    VALUES, st.sampled_from(["a:b", ":b", "__HIVE_DEFAULT_PARTITION__", "a/b:c", "é:x", "x" * 129, "a\n"])
)
KEYS = st.sampled_from(["event_uuid", "event_name", "created_at", "event_\\u0075uid", "other"])
MEMBERS = st.lists(st.tuples(KEYS, st.one_of(NAMES, VALUES)), max_size=3)


def text_of(members: list[tuple[str, Any]]) -> bytes:
    return ("{" + ",".join(f'"{key}":{json.dumps(value)}' for key, value in members) + "}").encode()


def agree(data: bytes, most: int = MOST_UNPACKED) -> None:
    verdict, reading = judge(data, ARRIVED_MICROS, most), read(data, ARRIVED_MICROS, most)
    assert (verdict.problem is None) == (reading.created_micros is not None), verdict
    if verdict.problem is None:
        assert (verdict.event_uuid, verdict.event_name) == (reading.event_uuid, reading.event_name)
        assert (verdict.created_micros, verdict.unpacked) == (reading.created_micros, reading.unpacked)


@given(MEMBERS)
def test_they_agree_on_events_with_any_values_and_keys_given_twice(more: list[tuple[str, Any]]) -> None:
    agree(text_of([*event().items(), *more]))
    agree(text_of([*more, *event().items()]))
    agree(text_of([*{**event(), **dict(more)}.items()]))


@given(st.binary(max_size=200))
@example(b"\x1f\x8b")
@example(b"\x28\xb5\x2f\xfd\0")
@example(b"\xef\xbb\xbf{}")
def test_they_agree_on_any_bytes(data: bytes) -> None:
    agree(data)
    agree(gzipped(data))


@pytest.mark.parametrize(
    "data",
    [
        gzipped(event_bytes()),
        gzipped(event_bytes())[:-1],
        gzipped(event_bytes()) + b"\0",
        gzipped(event_bytes()) + b"x",
        gzipped(event_bytes()[:20]) + gzipped(event_bytes()[20:]),
        gzipped(b" " * 2_000_000 + event_bytes()),
        pa.compress(event_bytes(), "zstd", asbytes=True),
        pa.compress(event_bytes(), "zstd", asbytes=True)[:-1],
        pa.compress(event_bytes(), "zstd", asbytes=True) + b"x",
        pa.compress(b" " * 2_000_000 + event_bytes(), "zstd", asbytes=True),
        gzipped(b""),
    ],
)
@pytest.mark.parametrize("most", [1024, MOST_UNPACKED])
def test_they_agree_on_compressed_records(data: bytes, most: int) -> None:
    agree(data, most)


def test_they_agree_on_everything_that_the_tests_traffic_knows() -> None:
    for make in [*(make for _, make in BROKEN), *UNUSUAL]:
        agree(make(event()))


def test_json_as_deep_as_it_may_be_is_read_where_keys_are_looked_at_one_by_one() -> None:
    deep = event_bytes()[:-1] + b',"other":' + b"[" * 1000 + b"]" * 1000 + b',"event_uuid":"1234567890"}'
    batch = pa.RecordBatch.from_pydict(
        {
            "shardId": ["s"],
            "sequenceNumber": ["1"],
            "subSequenceNumber": [0],
            "partitionKey": ["k"],
            "approximateArrivalTimestamp": pa.array([ARRIVED], pa.timestamp("us", tz="UTC")),
            "data": [deep],
        }
    )
    (judged,) = judge_batches(MOST_UNPACKED, [batch])
    assert judged.schema.names == JUDGED.fieldNames()
    assert judged.to_pylist()[0]["created_micros"] == 1644839990 * 1_000_000
