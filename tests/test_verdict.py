"""What a good event is, rule by rule, and what becomes of everything else; no Spark in here."""

from __future__ import annotations

import json
import time
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from event_lake.verdict import UNIQUE_KEYS, Verdict, judge
from records import ABSENT, ARRIVED_MICROS, event, event_bytes

ARRIVED_SECONDS = ARRIVED_MICROS // 1_000_000
DAY = 86_400
FIRST_SECOND = 946_684_800  # 2000-01-01T00:00:00Z
MIB = 1024 * 1024


def verdict(data: bytes) -> Verdict:
    return judge(data, ARRIVED_MICROS)


def verdict_of(**overrides: object) -> Verdict:
    return verdict(event_bytes(**overrides))


def with_created_at(json_text: str) -> bytes:
    """For numbers that a serialiser would write in another way."""
    return b'{"event_uuid":"1","event_name":"lesson:started","created_at":%s}' % json_text.encode()


def ending_in(more: str, **overrides: object) -> bytes:
    """An event with further members, given as JSON text."""
    return event_bytes(**overrides)[:-1] + b"," + more.encode() + b"}"


# A good event


def test_a_good_event_has_no_problem_and_all_its_columns() -> None:
    assert verdict_of() == Verdict(
        problem=None,
        detail=None,
        event_uuid="1234567890",
        event_name="lesson:started",
        event_type="lesson",
        event_subtype="started",
        created_at=1644839990,
        created_micros=1644839990_000_000,
    )


@pytest.mark.parametrize(
    ("name", "event_type", "subtype"),
    [
        ("lesson", "lesson", None),
        ("lesson:", "lesson", None),
        ("lesson::started", "lesson", None),
        ("lesson:started", "lesson", "started"),
        ("payment:order:completed", "payment", "order"),
        ("lesson: ", "lesson", " "),
        ("lesson:über/..\x00", "lesson", "über/..\x00"),
        ("Az09_-.", "Az09_-.", None),
        ("__hive_default_partition__:x", "__hive_default_partition__", "x"),
    ],
)
def test_type_and_subtype_are_the_first_two_parts_of_the_name(name: str, event_type: str, subtype: str | None) -> None:
    found = verdict_of(event_name=name)
    assert (found.problem, found.event_name, found.event_type, found.event_subtype) == (None, name, event_type, subtype)


@pytest.mark.parametrize("uuid", ["1", " ", "\x00", "u" * 256, "\N{SPARKLES}" * 256, "g:1", "\N{ZERO WIDTH JOINER}"])
def test_an_event_uuid_is_any_string_of_1_to_256_characters(uuid: str) -> None:
    found = verdict_of(event_uuid=uuid)
    assert (found.problem, found.event_uuid) == (None, uuid)


@pytest.mark.parametrize("data", [b" \t\r\n%b\n\n", b"%b ", b"\n%b"])
def test_white_space_around_the_object_is_json(data: bytes) -> None:
    assert verdict(data % event_bytes()).problem is None


# Not an event at all


def test_a_record_of_zero_bytes_is_empty() -> None:
    assert verdict(b"").problem == "empty"


@pytest.mark.parametrize(
    "data",
    [
        b" ",
        b"\x00",
        b"lesson:started",
        event_bytes()[:-1],
        event_bytes() + b"x",
        event_bytes() + b"{}",
        event_bytes() + b"\n" + event_bytes(),
        event_bytes() + b"\x00",
        b"\xef\xbb\xbf" + event_bytes(),
        json.dumps(event()).encode("utf-16"),
        ending_in('"score":NaN'),
        ending_in('"score":Infinity'),
        ending_in('"score":1e400'),
        ending_in('"score":' + "9" * 400),
        ending_in('"score":+1'),
        ending_in('"score":01'),
        ending_in("\"title\":'single'"),
        ending_in('"title":"two\nlines"'),
        ending_in('"title":"\\ud83d"'),
        ending_in('"title":"\\udc00\\ud800"'),
        event_bytes()[:-1] + b',"title":"\xff"}',
        event_bytes()[:-1] + b',"title":"\xed\xa0\xbd"}',
        event_bytes()[:-1] + b',"title":"\x00"}',
        event_bytes()[:-1] + b",}",
        b'/**/{"a":1}',
    ],
)
def test_what_a_strict_reader_refuses_is_not_json(data: bytes) -> None:
    found = verdict(data)
    assert found.problem == "not_json"
    assert found.detail


@pytest.mark.parametrize("data", [b"[]", b"null", b"true", b"1644838800", b'"lesson:started"', b"[%b]" % event_bytes()])
def test_json_other_than_an_object_is_not_an_object(data: bytes) -> None:
    assert verdict(data).problem == "not_an_object"


# event_uuid and event_name


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("event_uuid", ABSENT, "event_uuid_missing"),
        ("event_uuid", None, "event_uuid_missing"),
        ("event_uuid", 1234567890, "event_uuid_not_string"),
        ("event_uuid", 0, "event_uuid_not_string"),
        ("event_uuid", 1.5, "event_uuid_not_string"),
        ("event_uuid", False, "event_uuid_not_string"),
        ("event_uuid", [], "event_uuid_not_string"),
        ("event_uuid", {}, "event_uuid_not_string"),
        ("event_uuid", "", "event_uuid_empty"),
        ("event_uuid", "u" * 257, "event_uuid_too_long"),
        ("event_uuid", "\N{SPARKLES}" * 257, "event_uuid_too_long"),
        ("event_name", ABSENT, "event_name_missing"),
        ("event_name", None, "event_name_missing"),
        ("event_name", 404, "event_name_not_string"),
        ("event_name", True, "event_name_not_string"),
        ("event_name", ["lesson"], "event_name_not_string"),
        ("event_name", {"type": "lesson"}, "event_name_not_string"),
        ("event_name", "", "event_type_invalid"),
        ("event_name", ":", "event_type_invalid"),
        ("event_name", ":started", "event_type_invalid"),
        ("event_name", "t" * 129, "event_type_invalid"),
        ("event_name", "t" * 129 + ":started", "event_type_invalid"),
        ("event_name", "lesson\n:started", "event_type_invalid"),
        ("event_name", "lesson\n", "event_type_invalid"),
        ("event_name", "lesson\x00", "event_type_invalid"),
        ("event_name", "lesson=1", "event_type_invalid"),
        ("event_name", "../lesson", "event_type_invalid"),
        ("event_name", "übung", "event_type_invalid"),
        ("event_name", "lesson٣", "event_type_invalid"),
        ("event_name", "１", "event_type_invalid"),
        ("event_name", "__HIVE_DEFAULT_PARTITION__", "event_type_invalid"),
        ("event_name", "__HIVE_DEFAULT_PARTITION__:x", "event_type_invalid"),
    ],
)
def test_each_way_to_break_uuid_or_name_has_its_code(field: str, value: object, problem: str) -> None:
    found = verdict_of(**{field: value})
    assert found.problem == problem
    assert field in (found.detail or "")
    assert found.created_at is None
    assert found.event_type is None


@pytest.mark.parametrize("name", ["t" * 128, "t" * 128 + ":started", "lesson:" + "s" * 10_000])
def test_a_type_may_have_128_characters_and_the_rest_of_the_name_any(name: str) -> None:
    assert verdict_of(event_name=name).problem is None


def test_keys_are_told_apart_by_case() -> None:
    assert verdict(b'{"Event_UUID":"1","event_name":"a","created_at":1644839990}').problem == "event_uuid_missing"


def test_what_is_readable_of_a_bad_record_is_kept_in_its_columns() -> None:
    found = verdict_of(created_at="soon")
    assert (found.event_uuid, found.event_name) == ("1234567890", "lesson:started")


def test_readable_columns_and_details_of_a_bad_record_stay_short() -> None:
    long = verdict_of(event_uuid="u" * 100_000, event_name="n" * 100_000)
    assert len(long.event_uuid or "") == len(long.event_name or "") == 256
    for broken in (long, verdict_of(event_name="é" * 100_000), verdict_of(created_at="1" * 100_000)):
        assert len(broken.detail or "") <= 200


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"event_name":7,"created_at":"soon"}', "event_uuid_missing"),
        (b'{"event_uuid":"","event_name":7,"created_at":"soon"}', "event_uuid_empty"),
        (b'{"event_uuid":"1","event_name":7,"created_at":"soon"}', "event_name_not_string"),
        (b'{"event_uuid":1,"created_at":1,"created_at":2}', "repeated_key"),
    ],
)
def test_of_several_problems_the_first_in_the_documented_order_counts(data: bytes, problem: str) -> None:
    assert verdict(data).problem == problem


# created_at


@pytest.mark.parametrize(
    ("json_text", "micros"),
    [
        ("1644839990", 1644839990_000_000),
        ("1644839990.0", 1644839990_000_000),
        ("1644839990.5", 1644839990_500_000),
        ("1644839990.123456", 1644839990_123_456),
        ("1644839990.1234567", 1644839990_123_456),
        ("1.64483999e9", 1644839990_000_000),
        ("16448399900E-1", 1644839990_000_000),
        ('"1644839990"', 1644839990_000_000),
        ('"1644839990.999999"', 1644839990_999_999),
        ('"1644839990.999999999999999"', 1644839990_999_999),
        ('"1.64483999e9"', 1644839990_000_000),
        ('"1.64483999E+9"', 1644839990_000_000),
        ('"16448399900e-1"', 1644839990_000_000),
    ],
)
def test_a_fraction_is_kept_in_the_time_and_floored_in_the_seconds(json_text: str, micros: int) -> None:
    found = verdict(with_created_at(json_text))
    assert found.problem is None
    assert found.created_micros == micros
    assert found.created_at == 1644839990


@given(st.integers(FIRST_SECOND, ARRIVED_SECONDS - 1), st.text("0123456789", min_size=1, max_size=900))
@example(1644838800, "9999999999999999999999999")
@example(FIRST_SECOND - 1, "99999999999999999999999999")
def test_a_fraction_of_any_length_is_floored_not_rounded(seconds: int, digits: str) -> None:
    found = verdict_of(created_at=f"{seconds}.{digits}")
    if seconds < FIRST_SECOND:
        assert found.problem == "created_at_out_of_range"
    else:
        assert found.created_micros == seconds * 1_000_000 + int(digits[:6].ljust(6, "0"))
        assert found.created_at == seconds


@given(st.floats(FIRST_SECOND, ARRIVED_SECONDS))
def test_a_float_means_the_decimal_number_that_stands_in_the_json(seconds: float) -> None:
    text = orjson.dumps(seconds).decode()
    exact = Context(prec=400).multiply(Decimal(text), 1_000_000)
    assert verdict(with_created_at(text)).created_micros == int(exact.to_integral_value(ROUND_FLOOR))


@pytest.mark.parametrize(
    ("created_at", "good"),
    [
        (FIRST_SECOND, True),
        (float(FIRST_SECOND), True),
        (f"{FIRST_SECOND}", True),
        (f"{FIRST_SECOND}.000000", True),
        (FIRST_SECOND - 1, False),
        (f"{FIRST_SECOND - 1}.999999", False),
        (FIRST_SECOND - 0.000001, False),
        (ARRIVED_SECONDS + DAY, True),
        (f"{ARRIVED_SECONDS + DAY}.000000", True),
        (f"{ARRIVED_SECONDS + DAY}.000001", False),
        (ARRIVED_SECONDS + DAY + 0.000001, False),
        (ARRIVED_SECONDS + DAY + 1, False),
    ],
)
def test_both_ends_of_the_allowed_time_are_included_to_the_microsecond(created_at: object, good: bool) -> None:
    assert verdict_of(created_at=created_at).problem == (None if good else "created_at_out_of_range")


def test_the_day_after_arrival_counts_from_the_records_own_arrival() -> None:
    data = event_bytes(created_at=f"{ARRIVED_SECONDS + DAY}.000001")
    assert judge(data, ARRIVED_MICROS).problem == "created_at_out_of_range"
    assert judge(data, ARRIVED_MICROS + 1).problem is None


@pytest.mark.parametrize(
    ("created_at", "problem"),
    [
        (ABSENT, "created_at_missing"),
        (None, "created_at_missing"),
        (True, "created_at_not_number"),
        (False, "created_at_not_number"),
        ([1644839990], "created_at_not_number"),
        ({"seconds": 1644839990}, "created_at_not_number"),
        ("", "created_at_not_number"),
        (" 1644839990", "created_at_not_number"),
        ("1644839990 ", "created_at_not_number"),
        ("1644839990\n", "created_at_not_number"),
        ("+1644839990", "created_at_not_number"),
        ("01644839990", "created_at_not_number"),
        ("1644839990.", "created_at_not_number"),
        (".5", "created_at_not_number"),
        ("1_644_839_990", "created_at_not_number"),
        ("0x620a4050", "created_at_not_number"),
        ("１６４４８３９９９０", "created_at_not_number"),
        ("١٦٤٤٨٣٩٩٩٠", "created_at_not_number"),
        ("NaN", "created_at_not_number"),
        ("Infinity", "created_at_not_number"),
        ("true", "created_at_not_number"),
        ("1,5", "created_at_not_number"),
        ("2022-02-14T12:00:00Z", "created_at_not_number"),
        (0, "created_at_out_of_range"),
        (-1644839990, "created_at_out_of_range"),
        (-0.0, "created_at_out_of_range"),
        ("-1", "created_at_out_of_range"),
        (1e300, "created_at_out_of_range"),
        (-1e300, "created_at_out_of_range"),
        (5e-324, "created_at_out_of_range"),
        (2**64 - 1, "created_at_out_of_range"),
        (-(2**63), "created_at_out_of_range"),
        (1644839990_000_000, "created_at_out_of_range"),
    ],
)
def test_each_way_to_break_created_at_has_its_code(created_at: object, problem: str) -> None:
    found = verdict_of(created_at=created_at)
    assert found.problem == problem
    assert "created_at" in (found.detail or "")


@pytest.mark.parametrize(
    "text",
    [
        "1e400",
        "-1e400",
        "1e999999999",
        "1e-999999999",
        "0e999999999",
        "1e999999999999999999",
        "1e9999999999999999999",
        "-1e99999999999999999999",
        "0e99999999999999999999",
        "1e-99999999999999999999",
        "0." + "0" * 900 + "1",
        "9" * 900,
        "9" * 900 + "e-9999",
        "-" + "9" * 900 + "e9999",
        "-0",
    ],
)
def test_a_number_in_a_string_of_any_size_gets_a_verdict(text: str) -> None:
    began = time.process_time()
    assert verdict_of(created_at=text).problem == "created_at_out_of_range"
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("created_at", "problem"),
    [
        (1644839990_000, "created_at_in_milliseconds"),
        (1644839990_123.5, "created_at_in_milliseconds"),
        ("1644839990123", "created_at_in_milliseconds"),
        (FIRST_SECOND * 1000, "created_at_in_milliseconds"),
        (FIRST_SECOND * 1000 - 1, "created_at_out_of_range"),
        ((ARRIVED_SECONDS + DAY) * 1000, "created_at_in_milliseconds"),
        ((ARRIVED_SECONDS + DAY) * 1000 + 1, "created_at_out_of_range"),
    ],
)
def test_a_time_in_milliseconds_is_told_from_other_wrong_times(created_at: object, problem: str) -> None:
    assert verdict_of(created_at=created_at).problem == problem


# Repeated keys


@pytest.mark.parametrize(
    "more",
    [
        '"event_uuid":"another"',
        '"event_uuid":null',
        '"event_name":"another:name"',
        '"created_at":1644839991',
        '"created_at":1644839990.0',
        '"created_at":"1644839990"',
        '"created_at":1644839991,"created_at":1644839990',
        r'"\u0065vent_uuid":"another"',
        r'"event\u005fuuid":"another"',
        r'"\u0065\u0076\u0065\u006E\u0074\u005F\u006E\u0061\u006D\u0065":"another:name"',
        '"created_at" \n:\t1',
        '"event_uuid":{"event_uuid":"1234567890"}',
        '"event_uuid":["1234567890"]',
        r'"note":"\\","event_uuid":"another"',
        r'"note":"\\\"","event_uuid":"another"',
        '"note":"{[","event_uuid":"another"',
        '"note":[{"a":[{}]},"]}"],"event_uuid":"another"',
    ],
)
def test_a_key_given_twice_with_different_values_is_a_problem(more: str) -> None:
    found = verdict(ending_in(more))
    assert found.problem == "repeated_key"
    assert found.detail in {f"{key} is given twice with different values" for key in UNIQUE_KEYS}


@pytest.mark.parametrize(
    "more",
    [
        '"event_uuid":"1234567890"',
        r'"event_uuid":"\u00312345\u0036789\u0030"',
        r'"\u0065vent_uuid" : "1234567890"',
        '"event_name":"lesson:started","event_name":"lesson:started"',
        '"created_at": 1644839990 ',
        '"title":"first","title":"second"',
        '"":1,"":2',
        '"order":{"event_uuid":"nested","event_name":"nested","created_at":1}',
        '"history":[{"event_uuid":"a"},{"event_uuid":"b"},[{"created_at":1},{"created_at":2}]]',
        '"order":{"event_uuid":"one","event_uuid":"two"}',
        r'"note":"\"event_uuid\":\"quoted\",\"created_at\":1}"',
        r'"note":"\\\",\"event_uuid\":\"quoted\""',
        '"note":"event_uuid, event_name and created_at","tags":["event_uuid","event_name"]',
        '"event_uuid2":"x","my_event_uuid":"y","event_uuid ":"z"',
        r'"event_uuid\u0000":"x"',
    ],
)
def test_the_same_value_twice_nested_keys_and_mere_text_are_no_problem(more: str) -> None:
    assert verdict(ending_in(more)).problem is None


@pytest.mark.parametrize("depth", [10, 400, 900, 1000, 1020])
@pytest.mark.parametrize("key", UNIQUE_KEYS)
def test_a_key_repeated_with_a_deeply_nested_value_gets_a_verdict(depth: int, key: str) -> None:
    value = "[" * depth + "]" * depth
    assert verdict(ending_in(f'"{key}":{value},"{key}":{value}', **{key: ABSENT})).problem is not None
    value = '{"a":' * depth + "1" + "}" * depth
    assert verdict(ending_in(f'"{key}":{value},"{key}":{value}', **{key: ABSENT})).problem is not None


def repeats_with_different_values(data: bytes) -> bool:
    """What the rule says, by another parser: its own list of every object's members, repeated ones too."""
    members: tuple[tuple[str, object], ...] = json.loads(data, object_pairs_hook=tuple)
    return any(len({repr(value) for key, value in members if key == unique}) > 1 for unique in UNIQUE_KEYS)


# Few and alike, so that repeated values are often the same and often nearly.
VALUES = st.recursive(
    st.sampled_from(
        [None, True, 0, 1, 1.0, 1644839990, "", "1", "lesson:started", 'event_uuid":"', '\\",{[', "\\", "]},"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*UNIQUE_KEYS, "a"]), inner),
    max_leaves=6,
)
KEYS = st.sampled_from([*UNIQUE_KEYS, *UNIQUE_KEYS, "a", "", '"', "\\", "event_uui", "event_uuid:"])
SPACE = st.text(" \t\r\n", max_size=2)


@st.composite
def key_texts(draw: st.DrawFn) -> str:
    """A key as JSON text, some of its characters escaped."""
    key = draw(KEYS)
    escaped = draw(st.sets(st.integers(0, len(key)), max_size=3))
    parts = [f"\\u{ord(c):04x}" if n in escaped else json.dumps(c)[1:-1] for n, c in enumerate(key)]
    return '"' + "".join(parts) + '"'


@st.composite
def object_texts(draw: st.DrawFn) -> bytes:
    members = [
        draw(SPACE) + draw(key_texts()) + draw(SPACE) + ":" + draw(SPACE) + json.dumps(draw(VALUES)) + draw(SPACE)
        for _ in range(draw(st.integers(0, 6)))
    ]
    return ("{" + ",".join(members) + "}").encode()


@given(object_texts())
def test_repeated_keys_are_found_exactly_where_pythons_own_parser_finds_them(data: bytes) -> None:
    assert (verdict(data).problem == "repeated_key") == repeats_with_different_values(data)


# Nothing raises, nothing takes long

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
FIELD_VALUES = JSON_VALUES | st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,25})?", fullmatch=True)


def assert_is_a_verdict(found: Verdict) -> None:
    if found.problem is None:
        assert found.detail is None
        assert found.event_uuid
        assert found.event_name
        assert found.event_type
        assert found.created_micros is not None
        assert found.created_at == found.created_micros // 1_000_000
    else:
        assert found.detail
        assert (found.event_type, found.created_at, found.created_micros) == (None, None, None)


@given(st.binary(), st.integers(-(2**63), 2**63 - 1))
@example(b"", 0)
def test_arbitrary_bytes_get_a_verdict(data: bytes, arrived_micros: int) -> None:
    assert_is_a_verdict(judge(data, arrived_micros))


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(UNIQUE_KEYS, FIELD_VALUES)), st.booleans())
def test_arbitrary_json_gets_a_verdict(fields: dict[str, Any], ascii_only: bool) -> None:
    data = json.dumps(event(**fields), ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert_is_a_verdict(verdict(data))
    assert_is_a_verdict(verdict(data[:-1] + b"," + data[1:]))


@given(st.binary(max_size=6), st.integers(0, len(event_bytes())))
def test_a_good_event_with_bytes_put_into_it_gets_a_verdict(noise: bytes, place: int) -> None:
    data = event_bytes()
    assert_is_a_verdict(verdict(data[:place] + noise + data[place:]))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"[" * 100_000, "not_json"),
        (b"[" * 100_000 + b"]" * 100_000, "not_json"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not_json"),
        (ending_in('"deep":' + "[" * 100_000 + "]" * 100_000), "not_json"),
        (with_created_at("9" * 400), "not_json"),
        (with_created_at("9" * 300), "created_at_out_of_range"),
        (with_created_at('"' + "9" * 400 + '"'), "created_at_out_of_range"),
        (with_created_at('"' + "9" * MIB + '"'), "created_at_not_number"),
        (event_bytes(event_name="\ufeff"), "event_type_invalid"),
        (b"\xff" * MIB, "not_json"),
        (b'"' * MIB, "not_json"),
        (b"\\" * MIB, "not_json"),
        (b'{"event_uuid":"' + b"\\u0000" * MIB + b'"}', "event_uuid_too_long"),
    ],
)
def test_hostile_records_get_a_verdict(data: bytes, problem: str) -> None:
    found = verdict(data)
    assert found.problem == problem
    assert_is_a_verdict(found)


def many_keys(count: int) -> bytes:
    return ending_in(",".join(f'"key{n}":"\\u0065{n}"' for n in range(count)))


def the_same_key_often(count: int) -> bytes:
    return ending_in(",".join(['"event_uuid":"1234567890"'] * count))


def names_in_one_value(count: int) -> bytes:
    return ending_in('"text":"' + "event_uuid \\\\ created_at " * count + '"')


def many_empty_lists(count: int) -> bytes:
    return ending_in('"event_uuid":"1234567890","lists":[' + ",".join(["[]"] * count) + "]")


@pytest.mark.parametrize("build", [many_keys, the_same_key_often, names_in_one_value, many_empty_lists])
def test_time_grows_with_the_size_of_the_record_and_no_faster(build: Any) -> None:
    def fastest(data: bytes) -> float:
        times = []
        for _ in range(3):
            began = time.process_time()
            assert verdict(data).problem is None
            times.append(time.process_time() - began)
        return min(times)

    small, large = fastest(build(6_000)), fastest(build(96_000))
    assert large < 5
    assert large / small < 16 * 6  # quadratic would be 256


def test_a_record_of_10_mib_gets_its_verdict_in_seconds() -> None:
    began = time.process_time()
    text = "x" * (10 * MIB - 500)
    assert verdict(ending_in(f'"text":"{text}"')).problem is None
    assert verdict(ending_in(f'"text":"{text}","event_uuid":"another"')).problem == "repeated_key"
    assert time.process_time() - began < 5
