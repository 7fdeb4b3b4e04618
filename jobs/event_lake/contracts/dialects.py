"""The SELECT of a typed view, as Spark, DuckDB and Athena (Trino) write it; names have no quotes in them (`views`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from event_lake.config import Lake
from event_lake.contracts.columns import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    JSON,
    STRING,
    TIMESTAMP,
    Array,
    Kind,
    Scalar,
    Struct,
)
from event_lake.contracts.views import ENVELOPE, TypedView

TYPES: dict[Kind, str] = {
    STRING: "VARCHAR",
    JSON: "VARCHAR",
    BIGINT: "BIGINT",
    DOUBLE: "DOUBLE",
    BOOLEAN: "BOOLEAN",
    DATE: "DATE",
}
SPARK: dict[Kind, str] = {**TYPES, STRING: "STRING", JSON: "STRING", TIMESTAMP: "TIMESTAMP"}
DUCKDB: dict[Kind, str] = {**TYPES, TIMESTAMP: "TIMESTAMPTZ"}
ATHENA: dict[Kind, str] = {kind: name.lower() for kind, name in TYPES.items()}


def spark(view: TypedView, events: str) -> str:
    """`events`: the table, by name or as delta.`path`. The payload is read once for all columns."""
    schema = _spark_type(Struct(tuple(view.columns.values())))
    parsed = f"from_json(payload, '{schema}', map('allowNonNumericNumbers', 'false')) AS p"
    read = [f"p.`{name}` AS `{column}`" for column, (name, _) in view.columns.items()]
    with_payload = " ".join(("(SELECT *,", parsed, "FROM", events, "WHERE", _of_type(view) + ")"))
    return _select(read, with_payload)


def duckdb(view: TypedView, events: str) -> str:
    """`events`: the table, as delta_scan('path') or any other relation."""
    read = [f'{_duckdb_value(name, kind)} AS "{column}"' for column, (name, kind) in view.columns.items()]
    return _select(read, f"{events} WHERE {_of_type(view)}")


def athena(view: TypedView, events: str) -> str:
    """`events`: the table as the Glue catalog knows it."""
    read = [f'{_athena_value(name, kind)} AS "{column}"' for column, (name, kind) in view.columns.items()]
    return _select(read, f"{events} WHERE {_of_type(view)}")


DIALECTS: Mapping[str, Callable[[TypedView, str], str]] = {"spark": spark, "duckdb": duckdb, "athena": athena}


# How a dialect names a table by its path; Athena knows none but those of its catalog.
BY_PATH = {"spark": "{format}.`{path}`", "duckdb": "{reader}('{path}')", "athena": "events"}
READERS = {"delta": "delta_scan", "parquet": "read_parquet", "json": "read_json"}


def statement(view: TypedView, dialect: str, lake: Lake, table: str | None, prefix: str = "") -> str:
    """CREATE VIEW for the lake's events table, or for the table of this name."""
    at_path = BY_PATH[dialect].format(format=lake.format, reader=READERS[lake.format], path=lake.path)
    return f"CREATE OR REPLACE VIEW {prefix}{view.name} AS\n{DIALECTS[dialect](view, table or at_path)};"


def _select(read: list[str], source: str) -> str:
    columns = ",\n  ".join([", ".join(ENVELOPE), *read])
    return "\n".join(("SELECT", f"  {columns}", f"FROM {source}"))


def _of_type(view: TypedView) -> str:
    return f"event_type = '{view.event_type}'"


def _spark_type(kind: Kind) -> str:
    if isinstance(kind, Array):
        return f"ARRAY<{_spark_type(kind.of)}>"
    if isinstance(kind, Struct):
        return f"STRUCT<{', '.join(f'`{name}`: {_spark_type(field)}' for name, field in kind.fields)}>"
    return SPARK[kind]


def _duckdb_value(name: str, kind: Kind) -> str:
    if isinstance(kind, Scalar):
        return f"TRY_CAST(payload->>'$.\"{name}\"' AS {DUCKDB[kind]})"
    return f"json_transform(payload->'$.\"{name}\"', '{json.dumps(_duckdb_structure(kind), ensure_ascii=False)}')"


def _duckdb_structure(kind: Kind) -> Any:
    if isinstance(kind, Array):
        return [_duckdb_structure(kind.of)]
    if isinstance(kind, Struct):
        return {name: _duckdb_structure(field) for name, field in kind.fields}
    return DUCKDB[kind]


def _athena_value(name: str, kind: Kind) -> str:
    place = f"payload, '$[\"{name}\"]'"
    if kind == JSON:
        return f"coalesce(json_extract_scalar({place}), json_format(json_extract({place})))"
    if kind == TIMESTAMP:
        return f"try(from_iso8601_timestamp(json_extract_scalar({place})))"
    if isinstance(kind, Scalar):
        return f"try_cast(json_extract_scalar({place}) AS {ATHENA[kind]})"
    return f"try(cast(json_extract({place}) AS {_athena_type(kind)}))"


def _athena_type(kind: Kind) -> str:
    if isinstance(kind, Array):
        return f"array({_athena_type(kind.of)})"
    if isinstance(kind, Struct):
        fields = (f'"{name}" {_athena_type(field)}' for name, field in kind.fields)
        return f"row({', '.join(fields)})"
    return ATHENA[kind]
