"""A contract may change where those who read the table can follow; else it is refused, and the difference shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from contract_texts import contract, contract_set

from event_lake.config import Lake
from event_lake.contracts.evolution import adopt, applied, differences
from event_lake.errors import ConfigError
from event_lake.storage import Storage

TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
DAY, TIME = {"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}


def many(of: Any) -> dict[str, Any]:
    return {"type": "array", "items": of}


CHANGES: list[tuple[Any, Any, list[str]]] = [
    # May change
    (contract({"a": TEXT}), contract({"a": TEXT, "b": WHOLE}), []),
    (contract({"a": WHOLE}), contract({"a": {"type": ["number", "null"]}}), []),
    (contract({"a": TEXT}, required=["a"]), contract({"a": {**TEXT, "maxLength": 9, "enum": ["x"]}}), []),
    (contract({"a": contract({"b": TEXT})}), contract({"a": contract({"c": TEXT, "b": TEXT})}), []),
    (
        contract({"a": TEXT}),
        contract({}, allOf=[{"$ref": "#/definitions/d"}], definitions={"d": contract({"a": TEXT})}),
        [],
    ),
    (contract({"a": {"enum": ["x", None]}}), contract({"a": TEXT}), []),
    # May not
    (contract({"a": TEXT}), contract({}), ["$.a: was string, is gone"]),
    (contract({"a": NUMBER}), contract({"a": WHOLE}), ["$.a: was double, is bigint"]),
    (contract({"a": NUMBER}), contract({"a": TEXT}), ["$.a: was double, is string"]),
    (contract({"a": TEXT}), contract({"a": TIME}), ["$.a: was string, is timestamp"]),
    (contract({"a": DAY}), contract({"a": {**DAY, "type": ["string", "integer"]}}), ["$.a: was date, is json"]),
    (contract({"a": TEXT}), contract({"a": many(TEXT)}), ["$.a: was string, is array of string"]),
    (
        contract({"a": many(contract({"b": WHOLE, "c": TEXT}))}),
        contract({"a": many(contract({"b": TEXT}))}),
        ["$.a[].b: was bigint, is string", "$.a[].c: was string, is gone"],
    ),
    (
        contract({"a": TEXT}),
        contract({"a": TEXT, "b": TEXT}, required=["a"], allOf=[{"required": ["b"]}]),
        [f"$.{name}: is required now, and rows that are stored may lack it" for name in "ab"],
    ),
]


@pytest.mark.parametrize(("old", "new", "found"), CHANGES)
def test_only_what_readers_cannot_follow_is_a_difference(old: Any, new: Any, found: list[str]) -> None:
    assert list(differences(old, new)) == found
    assert list(differences(new, new)) == []


def test_a_contract_that_contains_itself_has_columns_too() -> None:
    tree = contract({"name": TEXT, "below": many({"$ref": "#/definitions/tree"})})
    recursive = contract({"tree": {"$ref": "#/definitions/tree"}}, definitions={"tree": tree})
    (change,) = differences(recursive, contract({}))
    assert change == "$.tree: was object of name: string, below: array of json, is gone"


def test_contracts_are_compared_with_those_that_were_in_force_last(storage: Storage, tmp_path: Path) -> None:
    lake = Lake(path=(tmp_path / "events").as_uri())
    first, grown = contract({"a": WHOLE}), contract({"a": NUMBER, "b": TEXT})
    adopt(storage, lake, contract_set(first))
    adopt(storage, lake, contract_set(grown))
    assert applied(storage, lake) == {"lesson:started": grown}

    with pytest.raises(ConfigError) as raised:
        adopt(storage, lake, contract_set(first))
    assert "lesson:started $.a: was double, is bigint\n  lesson:started $.b: was string, is gone" in str(raised.value)
    assert raised.value.exit_code == 2
    assert applied(storage, lake) == {"lesson:started": grown}

    adopt(storage, lake, contract_set(first, name="lesson:ended"))
    assert applied(storage, lake) == {"lesson:started": grown, "lesson:ended": first}
    files = tmp_path.glob("events_contracts_applied/*.json")
    assert json.loads(min(files).read_text()) == first
