"""Which typed columns the events of a contract have: one for each property of the event, in the contract's order.

string -> string; with format date-time -> timestamp, with format date -> date; integer -> bigint; number -> double;
boolean -> boolean; an object with properties -> a struct, an array -> an array, of the same kinds but for times, which
stay strings there. Null is allowed in every column, whatever the contract says: one that is only counted may be
broken. What has several types, or none, is a string with its JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

# Of every event; the table has them already.
ENVELOPE_PROPERTIES = ("event_uuid", "event_name", "created_at")


@dataclass(frozen=True)
class Scalar:
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Array:
    of: Kind

    def __str__(self) -> str:
        return f"array of {self.of}"


@dataclass(frozen=True)
class Struct:
    fields: tuple[tuple[str, Kind], ...]

    def __str__(self) -> str:
        return f"object of {', '.join(f'{name}: {kind}' for name, kind in self.fields)}"


Kind: TypeAlias = Scalar | Array | Struct

STRING, BIGINT, DOUBLE, BOOLEAN = Scalar("string"), Scalar("bigint"), Scalar("double"), Scalar("boolean")
TIMESTAMP, DATE = Scalar("timestamp"), Scalar("date")
JSON = Scalar("json")  # a string: the value's JSON

SCALARS = {frozenset({"string"}): STRING, frozenset({"integer"}): BIGINT, frozenset({"number"}): DOUBLE}
SCALARS |= {frozenset({"integer", "number"}): DOUBLE, frozenset({"boolean"}): BOOLEAN}
TIMES = {"date-time": TIMESTAMP, "date": DATE}
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def columns(contract: Mapping[str, Any]) -> dict[str, Kind]:
    """The properties of the event by name; those in `allOf` count too, those in conditions do not."""
    reader = _Reader(contract.get("definitions", {}))
    found = reader.properties(contract, frozenset())
    return {
        name: TIMES.get(reader.time_format(schema), reader.kind(schema, frozenset()))
        for name, schema in found.items()
        if name not in ENVELOPE_PROPERTIES
    }


def required(contract: Mapping[str, Any]) -> set[str]:
    """The properties that no event may lack."""
    return set(contract.get("required", ())).union(*(required(one) for one in _parts(contract)))


def _parts(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in schema.get("allOf", ()) if isinstance(one, dict)]


@dataclass(frozen=True)
class _Reader:
    definitions: Mapping[str, Any]

    def properties(self, schema: Mapping[str, Any], within: frozenset[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part in _parts(schema):
            referred, seen = self._referred(part, within)
            if isinstance(referred, dict):
                found |= self.properties(referred, seen)
        return {**found, **schema.get("properties", {})}

    def time_format(self, schema: Any) -> str:
        referred, _ = self._referred(schema, frozenset())
        return referred.get("format", "") if _types(referred) == {"string"} else ""

    def kind(self, schema: Any, within: frozenset[str]) -> Kind:
        """`within`: the definitions that this one is a part of; what contains itself has no kind but JSON."""
        schema, within = self._referred(schema, within)
        types = _types(schema)
        if types == {"array"}:
            return Array(self.kind(schema.get("items", True), within))
        if types == {"object"}:
            found = self.properties(schema, within)
            return Struct(tuple((name, self.kind(one, within)) for name, one in found.items())) if found else JSON
        return SCALARS.get(frozenset(types), JSON)

    def _referred(self, schema: Any, within: frozenset[str]) -> tuple[Any, frozenset[str]]:
        while isinstance(schema, dict) and "$ref" in schema:
            name = schema["$ref"].removeprefix("#/definitions/")
            if name in within:
                return True, within
            schema, within = self.definitions[name], within | {name}
        return schema, within


def _types(schema: Any) -> set[str]:
    """The JSON types that a value can have, null apart; none where the schema does not tell."""
    if not isinstance(schema, dict):
        return set()
    if "type" in schema:
        told = schema["type"]
        return ({told} if isinstance(told, str) else set(told)) - {"null"}
    values = [schema["const"]] if "const" in schema else schema.get("enum", ())
    return {TYPES[type(value)] for value in values if value is not None}
