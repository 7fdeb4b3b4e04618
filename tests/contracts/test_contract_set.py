"""An event is held against its contract: what breaks it is named, what has none passes, and nothing can throw."""

from __future__ import annotations

import copy
import gzip
import json
import pickle
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from contract_texts import contract, contract_set, parsed_by, shipped
from hypothesis import given
from hypothesis import strategies as st

from event_lake.contracts.contract_set import ContractSet
from event_lake.contracts.language import check
from odd_events import BROKEN, PACKED, UNUSUAL
from records import event, event_bytes
from traffic import SAMPLE_EVENTS

AFTER_THE_SAMPLES = datetime(2022, 2, 16, tzinfo=UTC)
PAYMENT = json.loads(SAMPLE_EVENTS[2])
ASKED = contract_set(contract({"title": {"type": "string"}}))
NEVER = contract({}, required=["never"])


def test_the_samples_keep_the_contracts_that_are_shipped() -> None:
    contracts = shipped()
    assert sorted(contracts.texts) == sorted(json.loads(data)["event_name"] for data in SAMPLE_EVENTS)
    for text in contracts.texts.values():
        check(json.loads(text))
    found = parsed_by(contracts, *SAMPLE_EVENTS, arrived=AFTER_THE_SAMPLES)
    assert [(row["problem"], row["detail"]) for row in found] == [(None, None)] * 4


BREACHES: list[tuple[dict[str, Any], str]] = [
    ({"amount": "49.99"}, "$.amount must be number"),
    ({"amount": -1}, "$.amount must be bigger than or equal to 0"),
    ({"amount": True}, "$.amount must be number"),
    ({"currency": "eur"}, "$.currency must match pattern ^[A-Z]{3}$"),
    ({"currency": "EUR\n"}, "$.currency must match pattern ^[A-Z]{3}$"),
    ({"order_id": ""}, "$.order_id must be longer than or equal to 1 characters"),
    ({"order_id": None}, "$.order_id must be string"),
]


@pytest.mark.parametrize(("changed", "detail"), BREACHES, ids=[detail for _, detail in BREACHES])
def test_a_broken_contract_is_a_problem_with_path_and_reason(changed: dict[str, Any], detail: str) -> None:
    data = orjson.dumps({**PAYMENT, **changed})
    (row,) = parsed_by(shipped(), data, arrived=AFTER_THE_SAMPLES)
    assert (row["problem"], row["detail"], row["data"]) == ("breaks_contract", detail, data)
    assert (row["event_uuid"], row["event_name"]) == (PAYMENT["event_uuid"], PAYMENT["event_name"])
    nothing = ("event_type", "event_subtype", "created_at", "created_datetime", "key_hi", "key_lo")
    assert {row[name] for name in nothing} == {None}


def test_a_property_that_is_missing_is_named() -> None:
    data = orjson.dumps({name: value for name, value in PAYMENT.items() if name != "currency"})
    (row,) = parsed_by(shipped(), data, arrived=AFTER_THE_SAMPLES)
    assert row["detail"] == "$ must contain ['currency'] properties"


def test_where_it_is_broken_is_told_as_far_down_as_it_is() -> None:
    items = contract({"items": {"type": "array", "items": contract({"sku": {"type": "string"}})}})
    (row,) = parsed_by(contract_set(items), event_bytes(items=[{"sku": "a"}, {"sku": 7}]))
    assert row["detail"] == "$.items[1].sku must be string"


def test_records_that_are_no_events_and_events_without_a_contract_pass_as_before() -> None:
    names = ("lesson:ended", "lesson", "lesson:started:late", "lesson:startedx")
    data = [*(event_bytes(event_name=name) for name in names), b"", None]
    data += [build(event(event_name="a:b")) for _, build in (*BROKEN, *PACKED)]
    data += [build(event(event_name="a:b")) for build in UNUSUAL]
    assert parsed_by(contract_set(NEVER), *data) == parsed_by(None, *data)


def test_another_problem_goes_before_a_broken_contract() -> None:
    (row,) = parsed_by(contract_set(NEVER), event_bytes(event_uuid=""))
    assert row["problem"] == "event_uuid_empty"


def test_among_others_only_those_that_break_theirs_change() -> None:
    data = [event_bytes(title=title) for title in ("t", 3, "u")]
    data += [event_bytes(title=3, event_name="a"), b"{", event_bytes(title=4)]
    found = parsed_by(ASKED, *data)
    assert [row["problem"] for row in found] == [None, "breaks_contract", None, None, "not_json", "breaks_contract"]
    before = parsed_by(None, *data)
    for number in (0, 2, 3, 4):
        assert found[number] == before[number]


def test_a_contract_that_is_only_counted_leaves_the_event_good_and_says_why() -> None:
    counted = ContractSet(ASKED.texts, only_count=True)
    for data in (event_bytes(title=3), gzip.compress(event_bytes(title=3))):
        (before,) = parsed_by(None, data)
        assert parsed_by(counted, data) == [{**before, "detail": "$.title must be string"}]


def test_a_compressed_event_is_held_against_its_contract_and_kept_as_it_came_where_it_breaks_it() -> None:
    good, bad = event_bytes(title="t"), event_bytes(title=3)
    found = parsed_by(ASKED, gzip.compress(good), gzip.compress(bad))
    assert [row["problem"] for row in found] == [None, "breaks_contract"]
    assert [row["data"] for row in found] == [good, gzip.compress(bad)]


def test_contracts_reach_the_workers_as_they_are() -> None:
    for there in (pickle.loads(pickle.dumps(shipped())), ContractSet.from_text(shipped().to_text())):
        assert there == shipped()
        assert there.broken("lesson:started", {"lesson_id": 1}) is not None
    assert not ContractSet({})
    assert shipped()


def test_a_default_does_not_change_the_event() -> None:
    asked = contract({"title": {"default": "none"}, "list": {"items": {"default": 1}}})
    given_event = event(list=[])
    before = copy.deepcopy(given_event)
    assert contract_set(asked).broken("lesson:started", given_event) is None
    assert given_event == before


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
TREE = contract({"below": {"type": "array", "items": {"$ref": "#/definitions/tree"}}})
AWKWARD = contract_set(
    contract(
        {
            "a": {"multipleOf": 0.1},
            "b": {"uniqueItems": True},
            "c": {"$ref": "#/definitions/tree"},
            "d": {"oneOf": [{"type": "number"}, {"const": {}}, {"enum": [[1], "x{y}"]}]},
            "e {f} %s": {"additionalProperties": {"type": "string", "format": "date-time"}},
        },
        definitions={"tree": TREE},
        patternProperties={"^x": {"items": {"maxLength": 1}}},
    )
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e {f} %s", "x{0}", "xy"]), JSON_VALUES))
def test_no_event_can_make_a_contract_throw(fields: dict[str, Any]) -> None:
    found = AWKWARD.broken("lesson:started", fields)
    assert found is None or found.startswith("$")


def test_an_event_that_the_contract_cannot_judge_breaks_it() -> None:
    deep: dict[str, Any] = {}
    for _ in range(3000):
        deep = {"below": [deep]}
    assert str(AWKWARD.broken("lesson:started", {"c": deep})).startswith("$ cannot be judged: RecursionError")
    assert AWKWARD.broken("lesson:started", {"a": 1.7e308}) is not None
