"""Which records a condition means, whatever became of them."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_lake.deletion.condition import MATCHES, SUSPECTED, UNREADABLE, Condition, Search
from event_lake.errors import ConfigError
from gzipped import gzipped


def judged(condition: str, data: bytes | None) -> str | None:
    return Search([Condition.parse(condition, "--where number 1")]).judge(data)


@pytest.mark.parametrize(
    ("condition", "data"),
    [
        ("$.account_id=42", b'{"account_id": 42}'),
        ("$.account_id=42", b'{"account_id": 42.0}'),
        ("$.account_id=42", b'{"account_id": "42"}'),
        ("$.account_id=007", b'{"account_id": "007"}'),
        ('$.account_id="42"', b'{"account_id": "42"}'),
        ("$.user.mail=a@b.c", b'{"user": {"mail": "a@b.c"}}'),
        ("$.user.name=J\u00fcrgen", rb'{"user": {"name": "J\u00fcrgen"}}'),
        ("$.items[1].id=7", b'{"items": [{"id": 1}, {"id": 7}]}'),
        ("$.items[*].id=7", b'{"items": [{"id": 1}, {}, 3, {"id": 7}]}'),
        ("$['odd name'].x=1", b'{"odd name": {"x": 1}}'),
        ('$["a.b"]=1', b'{"a.b": 1}'),
        ("$.is_test=true", b'{"is_test": true}'),
        ("$.a=x=y", b'{"a": "x=y"}'),
        # A name that is there twice: parsers take one of the two.
        ("$.account_id=42", b'{"account_id": 42, "account_id": 43}'),
        ("$.account_id=42", rb'{"account_id": 43, "account_\u0069d": 42}'),
        # More than orjson takes exactly, or takes at all.
        ("$.id=123456789012345678901234", b'{"id": 123456789012345678901234}'),
        ("$.account_id=42", b'{"account_id": 42, "score": NaN}'),
        ("$.account_id=42", gzipped(b'{"account_id": 42}')),
    ],
)
def test_a_record_with_the_value_at_the_path_matches(condition: str, data: bytes) -> None:
    assert judged(condition, data) == MATCHES


@pytest.mark.parametrize(
    ("condition", "data"),
    [
        ("$.account_id=42", b'{"account_id": 43}'),
        ("$.account_id=42", b'{"account_id": 421}'),
        ("$.account_id=42", b'{"account_id": "42 "}'),
        ("$.account_id=42", b'{"account_id": [42]}'),
        ("$.account_id=42", b'{"user": {"account_id": 42}}'),
        ("$.account_id=42", b'{"note": "account_id 42"}'),
        ("$.account_id=42", b'[{"account_id": 42}]'),
        ("$.account_id=1", b'{"account_id": true}'),
        ("$.account_id=true", b'{"account_id": 1}'),
        ('$.account_id="42"', b'{"account_id": 42}'),
        ("$.items[0].id=7", b'{"items": [{"id": 1}, {"id": 7}]}'),
        ("$.items[0]=i", b'{"items": "id"}'),
        ("$.id=123456789012345678901234", b'{"id": 123456789012345678901235}'),
        ("$.account_id=42", None),
        ("$.account_id=42", b""),
    ],
)
def test_a_record_without_it_does_not(condition: str, data: bytes | None) -> None:
    assert judged(condition, data) is None


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (b'{"event_uuid": "1", "account_id": 42, "cut of', SUSPECTED),
        (b"{'account_id': 42}", SUSPECTED),
        (b'{"account_id": 42}{"account_id": 43}', SUSPECTED),
        (b"<account_id>42</account_id>", SUSPECTED),
        (b"account_id=42&x=y", SUSPECTED),
        (b'{"account_id": 421, "cut of', UNREADABLE),
        (b'{"account_id_2": 42, "cut of', UNREADABLE),
        (b"42,lesson", UNREADABLE),
        (b"\xff\xfe\x00noise", UNREADABLE),
        (gzipped(b'{"account_id": 42}' * 50)[:-9], UNREADABLE),
    ],
)
def test_what_cannot_be_parsed_is_suspected_where_the_name_and_the_value_are_words_in_it(
    data: bytes, verdict: str
) -> None:
    assert judged("$.account_id=42", data) == verdict


def test_any_of_several_conditions_is_enough() -> None:
    search = Search([Condition.parse(text, "x") for text in ("$.account_id=42", "$.mail=a@b.c")])
    assert [search.judge(data) for data in (b'{"mail": "a@b.c"}', b'{"account_id": 42}', b'{"mail": 42}')] == [
        MATCHES,
        MATCHES,
        None,
    ]


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "id=secret",
        "$=secret",
        "$.=secret",
        "$.secret",
        "$.a=",
        "$.a=null",
        '$.a=["secret"]',
        "$.a =secret",
        "$[0]=1",
    ],
)
def test_a_condition_that_cannot_be_read_is_refused_by_its_place_and_not_repeated(condition: str) -> None:
    with pytest.raises(ConfigError, match="--where number 3") as refused:
        Condition.parse(condition, "--where number 3")
    assert "secret" not in str(refused.value)


scalars = st.one_of(st.integers(), st.booleans(), st.text(min_size=1), st.floats(allow_nan=False, allow_infinity=False))
names = st.from_regex(r"[a-z]{1,3}", fullmatch=True)


@given(st.dictionaries(names, st.dictionaries(names, scalars, min_size=1), min_size=1), st.data())
def test_every_value_of_an_object_is_found_by_its_own_path_and_no_other_value_is(
    value: dict[str, dict[str, object]], data: st.DataObject
) -> None:
    outer = data.draw(st.sampled_from(sorted(value)))
    inner = data.draw(st.sampled_from(sorted(value[outer])))
    leaf = value[outer][inner]
    payload = json.dumps(value).encode()
    assert judged(f"$.{outer}.{inner}={json.dumps(leaf)}", payload) == MATCHES
    value[outer][inner] = "\x00another"
    assert judged(f"$.{outer}.{inner}={json.dumps(leaf)}", json.dumps(value).encode()) is None


@given(st.binary(max_size=200))
def test_no_bytes_make_the_search_fail(data: bytes) -> None:
    verdict = judged("$.a.b=1", data)
    assert verdict in (None, MATCHES, SUSPECTED, UNREADABLE)
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    assert verdict in (None, MATCHES)
