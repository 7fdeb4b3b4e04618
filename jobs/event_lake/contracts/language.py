"""What may stand in a contract: JSON Schema draft-07, less what would mean nothing here, or not what it says.

The validating library (fastjsonschema 2.22, drafts 04 to 07) passes over keywords and formats that it does not know, so
a slip of the pen would make a contract that asks for nothing. A contract is therefore itself judged by a JSON Schema,
this one, in which nothing else may stand. Left out on purpose: references to other files (the library would fetch them
over the network), `contentEncoding` and `contentMediaType` (it would change the value), lists of schemas in `items`,
`dependencies`, and what later drafts have brought.
"""

from __future__ import annotations

from typing import Any

import fastjsonschema

DRAFT = "http://json-schema.org/draft-07/schema#"
UUID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z"
FORMATS = {"uuid": UUID}  # the library has these by itself:
KNOWN_FORMATS = ["date-time", "date", "time", "email", "hostname", "ipv4", "ipv6", "uri", *FORMATS]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
# The library makes a function for each definition, and its name of these characters only: two names that differ in
# others would become one.
DEFINITION = "^[a-z0-9_]*[a-z0-9]$"

BESIDE_A_REFERENCE = {"$ref", "$comment", "title", "description", "definitions"}

_SCHEMA = {"$ref": "#"}
_ANY = True
_SCHEMAS = {"type": "array", "minItems": 1, "items": _SCHEMA}
_SCHEMA_BY_NAME = {"type": "object", "additionalProperties": _SCHEMA}
_TYPE = {"type": "string", "enum": TYPES}
_COUNT = {"type": "integer", "minimum": 0}
_NUMBER = {"type": "number"}
_TEXT = {"type": "string"}
_NAMES = {"type": "array", "items": _TEXT, "uniqueItems": True}
_EXPRESSION = {"type": "string", "format": "regex"}

KEYWORDS: dict[str, Any] = {
    # For people
    "$schema": {"const": DRAFT},
    "$comment": _TEXT,
    "title": _TEXT,
    "description": _TEXT,
    "examples": {"type": "array"},
    "default": _ANY,  # told, not filled in: a payload stays as it came
    # Of any value
    "type": {
        "if": {"type": "array"},
        "then": {"minItems": 1, "uniqueItems": True, "items": _TYPE},
        "else": _TYPE,
    },
    "enum": {"type": "array", "minItems": 1},
    "const": _ANY,
    "allOf": _SCHEMAS,
    "anyOf": _SCHEMAS,
    "oneOf": _SCHEMAS,
    "not": _SCHEMA,
    "if": _SCHEMA,
    "then": _SCHEMA,
    "else": _SCHEMA,
    "$ref": {"type": "string", "pattern": f"^#/definitions/{DEFINITION.lstrip('^')}"},
    "definitions": {**_SCHEMA_BY_NAME, "propertyNames": {"pattern": DEFINITION}},
    # Of strings
    "minLength": _COUNT,
    "maxLength": _COUNT,
    "pattern": _EXPRESSION,
    "format": {"type": "string", "enum": KNOWN_FORMATS},
    # Of numbers
    "minimum": _NUMBER,
    "maximum": _NUMBER,
    "exclusiveMinimum": _NUMBER,
    "exclusiveMaximum": _NUMBER,
    "multipleOf": {"type": "number", "exclusiveMinimum": 0},
    # Of arrays
    "items": _SCHEMA,
    "contains": _SCHEMA,
    "minItems": _COUNT,
    "maxItems": _COUNT,
    "uniqueItems": {"type": "boolean"},
    # Of objects
    "properties": _SCHEMA_BY_NAME,
    "required": _NAMES,
    "additionalProperties": _SCHEMA,
    "patternProperties": {**_SCHEMA_BY_NAME, "propertyNames": _EXPRESSION},
    "propertyNames": _SCHEMA,
    "minProperties": _COUNT,
    "maxProperties": _COUNT,
}

# A schema is an object of keywords, or true (anything), or false (nothing).
LANGUAGE = {
    "$schema": DRAFT,
    "if": {"type": "boolean"},
    "else": {"type": "object", "properties": KEYWORDS, "additionalProperties": False},
}

_check = fastjsonschema.compile(LANGUAGE, use_default=False)


class NotAContract(Exception):
    """Where in the contract, and what is wrong there: `$.properties.amount.minimum must be number`."""


def check(schema: Any) -> None:
    """Raises NotAContract unless this is the schema of an object, in this language."""
    try:
        _check(schema)
    except fastjsonschema.JsonSchemaValueException as error:
        raise NotAContract(told(error)) from None
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise NotAContract('$.type must be "object": an event is one')
    for place, node in _references(schema, "$"):
        name = node["$ref"].removeprefix("#/definitions/")
        if name not in schema.get("definitions", {}):
            raise NotAContract(f"{place}.$ref names {name}, which is not in $.definitions")
        if unheard := sorted(set(node) - BESIDE_A_REFERENCE):
            raise NotAContract(f"{place} has {', '.join(unheard)} beside $ref, where nothing is heard; use allOf")


def told(error: fastjsonschema.JsonSchemaValueException) -> str:
    """The JSON path and the reason, in one line."""
    path = f"${(error.name or '').removeprefix('data')}"
    return f"{path}{error.message.removeprefix(error.name or '')}"


def _references(schema: Any, place: str) -> list[tuple[str, dict[str, Any]]]:
    """Where the contract refers to a definition: JSON path and the object that does."""
    if isinstance(schema, list):
        return [found for n, one in enumerate(schema) for found in _references(one, f"{place}[{n}]")]
    if not isinstance(schema, dict):
        return []
    found = [(place, schema)] if isinstance(schema.get("$ref"), str) else []
    return found + [one for key, value in schema.items() for one in _references(value, f"{place}.{key}")]
