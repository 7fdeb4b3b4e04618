"""A contract that would not ask for what its author meant is refused, by its place; none is half understood."""

from __future__ import annotations

from typing import Any

import pytest
from contract_texts import contract

from event_lake.contracts.language import DRAFT, NotAContract, check

REFUSED: list[tuple[Any, str]] = [
    ([], "$ must be object"),
    (True, '$.type must be "object"'),
    ({"properties": {}}, '$.type must be "object"'),
    ({"type": "object", "requried": ["a"]}, "$ must not contain {'requried'} properties"),
    ({"type": "object", "$schema": "http://json-schema.org/draft-04/schema#"}, f"$.$schema .*{DRAFT}"),
    ({"type": "object", "required": ["a", "a"]}, "$.required must contain unique items"),
    (contract({"a": {"type": "strnig"}}), "$.properties.a.type must be one of"),
    (contract({"a": {"type": ["string", "nul"]}}), "$.properties.a.type[1] must be one of"),
    (contract({"a": {"minLength": "3"}}), "$.properties.a.minLength must be integer"),
    (contract({"a": {"pattern": "("}}), "$.properties.a.pattern must be a valid regex"),
    (contract({"a": {"format": "e-mail"}}), "$.properties.a.format must be one of"),
    (contract({"a": {"items": [{"type": "string"}]}}), "$.properties.a.items must be object"),
    (contract({"a": {"anyOf": [{"minimum": None}]}}), "$.properties.a.anyOf[0].minimum must be number"),
    (contract({"a": {"multipleOf": 0}}), "$.properties.a.multipleOf must be bigger than 0"),
    (contract({"a": {"contentEncoding": "base64"}}), "$.properties.a must not contain {'contentEncoding'} properties"),
    (contract({"a": {"$ref": "https://example.com/a.json"}}), "$.properties.a.$ref must match pattern"),
    (contract({"a": {"$ref": "#/definitions/b"}}), "$.properties.a.$ref names b, which is not in $.definitions"),
    (
        contract({"a": {"$ref": "#/definitions/b", "minimum": 1}}, definitions={"b": {}}),
        "$.properties.a has minimum beside $ref",
    ),
    (contract({}, definitions={"A-b": {}}), "$.definitions must be named by"),
]


@pytest.mark.parametrize(("schema", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_a_contract_with_a_slip_is_refused_by_its_place(schema: Any, reason: str) -> None:
    with pytest.raises(NotAContract) as raised:
        check(schema)
    place, _, rest = reason.partition(" .*")
    assert str(raised.value).startswith(place)
    assert rest in str(raised.value)


def test_every_keyword_that_is_allowed_can_be_used() -> None:
    check(
        contract(
            {
                "text": {"type": "string", "minLength": 1, "maxLength": 9, "pattern": "^a", "format": "date"},
                "number": {"type": ["number", "null"], "minimum": 0, "exclusiveMaximum": 9, "multipleOf": 0.5},
                "list": {"type": "array", "items": {"const": 1}, "contains": True, "uniqueItems": True, "minItems": 1},
                "map": {"patternProperties": {"^x": {"enum": [1, None]}}, "additionalProperties": False},
                "tree": {"$ref": "#/definitions/tree", "title": "of trees"},
                "either": {"anyOf": [{"type": "string"}, {"not": {"type": "null"}}], "default": "x"},
                "anything": True,
            },
            definitions={"tree": contract({"below": {"items": {"$ref": "#/definitions/tree"}}})},
            required=["text"],
            propertyNames={"maxLength": 20},
            allOf=[{"if": {"required": ["list"]}, "then": {"required": ["map"]}, "else": False}],
            **{"$schema": DRAFT, "$comment": "all of them", "title": "t", "description": "d", "examples": [{}]},
        )
    )
