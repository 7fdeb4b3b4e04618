"""A column of records gets the verdicts that `judge` gives one by one, whatever the records are."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_lake.good_events import LONGEST_NAME, MOST_NAMES, good_events
from event_lake.verdict import Verdict, judge
from odd_events import BROKEN, PACKED, UNUSUAL, UNUSUAL_UUIDS
from records import ARRIVED_MICROS, event, event_bytes

ODD = [build(event()) for _, build in (*BROKEN, *PACKED)] + [build(event()) for build in UNUSUAL]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=300),
    st.sampled_from(["lesson:started", "lesson", "lesson:", ":", "übung", "1644839990", "1644839990.5", "1e9", "01"]),
    st.integers(ARRIVED_MICROS // 1_000_000 - 10, ARRIVED_MICROS // 1_000_000 + 86_410),
    st.lists(st.booleans(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.booleans(), max_size=2),
)
EVENTS = st.builds(event_bytes, event_uuid=VALUES, event_name=VALUES, created_at=VALUES)
ENDINGS = st.sampled_from(
    [b"}", b',"event_uuid":"2"}', b',"\\u0065vent_name":"b"}', b',"note":"created_at"}', b',"note":"\\n"}', b"", b"}}"]
)


def assert_as_judged(records: list[bytes | None]) -> int:
    """That what is found to be good is so, with the same columns; how many good ones were left to `judge`."""
    found = good_events(pa.array(records, pa.binary()), [ARRIVED_MICROS] * len(records))
    columns = (found.event_uuid, found.event_name, found.event_type, found.event_subtype, found.created_micros)
    others = set(found.others)
    left = 0
    for number, record in enumerate(records):
        one, verdict = tuple(column[number] for column in columns), judge(record or b"", ARRIVED_MICROS)
        if number in others:
            assert one == (None,) * 5
            left += verdict.problem is None
        else:
            assert (verdict.problem, verdict.detail, verdict.unpacked) == (None, None, None)
            assert one == (*verdict[2:6], verdict.created_micros)
    return left


@given(st.lists(st.tuples(EVENTS, ENDINGS).map(lambda parts: parts[0][:-1] + parts[1]), max_size=8))
def test_events_of_any_values(records: list[bytes]) -> None:
    assert_as_judged(list(records))


@given(st.lists(st.one_of(st.none(), st.binary(max_size=40), st.sampled_from(ODD)), max_size=8))
def test_any_bytes_and_none(records: list[bytes | None]) -> None:
    assert_as_judged(records)


def test_nearly_all_that_is_good_is_found_at_once() -> None:
    ordinary = [event_bytes(event_uuid=str(n), created_at=at) for n, at in enumerate([1644839990, 1.6e9, "1644839990"])]
    unusual = [event_bytes(event_uuid=build("1")) for build in UNUSUAL_UUIDS]
    assert assert_as_judged([*ordinary, *unusual]) == 0


@pytest.mark.parametrize("name", ["n" * LONGEST_NAME, "n:" + "s" * LONGEST_NAME])
def test_names_without_end_are_told_apart_and_not_all_kept(name: str) -> None:
    assert assert_as_judged([event_bytes(event_name=f"t-{n}:{name[:3]}") for n in range(MOST_NAMES + 5)]) == 0
    assert assert_as_judged([event_bytes(event_name=name), event_bytes(event_name=name)]) in (0, 2)


def test_what_was_found_of_another_record_takes_its_place() -> None:
    found = good_events(pa.array([b"{", event_bytes()]), [ARRIVED_MICROS] * 2)
    found.put(0, Verdict("problem", "detail", "uuid", "name"))
    assert (found.event_uuid, found.event_name) == (["uuid", "1234567890"], ["name", "lesson:started"])
