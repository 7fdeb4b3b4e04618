"""Whether what the job tells of its micro-batches, in the metrics table, is what the tables hold."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from .truth import LakeTables

EXAMPLES = 5
TOLD = {"events": "stored", "duplicates": "duplicates", "quarantine": "quarantined"}


def told_wrongly(tables: LakeTables, engine: str, last: int | None) -> list[str]:
    """In words; `last` is the number of the last micro-batch of a job that ended well, which must be told of.

    A micro-batch is held against the rows that its commits wrote, by their versions, and of events also against the
    rows with its time of storing.
    """
    rows = _by_name(tables, "SELECT * FROM metrics ORDER BY query_id, batch_id")
    found = list(islice(_differences(tables, rows, engine), EXAMPLES))
    if last is not None and last not in {row["batch_id"] for row in rows}:
        found.append(f"metrics: nothing of micro-batch {last}, the last one of a job that ended well")
    return found


def _differences(tables: LakeTables, rows: list[dict[str, Any]], engine: str) -> Iterator[str]:
    at = dict(tables.rows("SELECT stored_at, count(*) FROM events GROUP BY stored_at"))
    before = None
    for row in rows:
        name = f"metrics: micro-batch {row['batch_id']}"
        if (row["query_id"], row["batch_id"]) == before:
            yield f"{name} is there twice"
        before = (row["query_id"], row["batch_id"])
        if row["received"] != sum(row[count] for count in TOLD.values()) or row["late_dropped"]:
            yield f"{name} does not add up"
        for table, count in TOLD.items():
            if table == "duplicates" and engine == "spark":
                continue  # it lists none
            version = row[f"{table}_version"]
            written = 0 if version is None else tables.written[table].get(version, 0)
            if row[count] != written:
                yield f"{name} tells of {row[count]} {count}; version {version} of {table} wrote {written} rows"
        if row["stored"] != at.get(row["stored_at"], 0):
            yield f"{name} tells of {row['stored']} stored; {at.get(row['stored_at'], 0)} have its time"


def _by_name(tables: LakeTables, query: str) -> list[dict[str, Any]]:
    found = tables.duckdb.execute(query)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
