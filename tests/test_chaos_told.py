"""The check of the chaos runs finds metrics that tell of something else than the tables hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from chaos.told import told_wrongly
from chaos.truth import LakeTables
from test_lake_check import NOBODY

BEGAN = datetime(2026, 11, 27, tzinfo=UTC)
ANOTHER = BEGAN + timedelta(seconds=1)
Row = dict[str, Any]


def told(batch_id: int) -> Row:
    """A micro-batch of four events, one duplicate, two of quarantine."""
    counts = {"received": 7, "stored": 4, "duplicates": 1, "quarantined": 2, "late_dropped": 0}
    versions = {f"{table}_version": batch_id for table in ("events", "duplicates", "quarantine")}
    at = BEGAN + timedelta(minutes=batch_id)
    return {"query_id": "q", "batch_id": batch_id, "stored_at": at, **counts, **versions}


def found(folder: Path, rows: list[Row], engine: str = "index", last: int | None = None) -> list[str]:
    for table, count in {"events": 4, "duplicates": 1, "quarantine": 2}.items():
        for batch_id in range(3):
            stored_at = pa.array([told(batch_id)["stored_at"]] * count)
            write_deltalake(str(folder / table), pa.table({"stored_at": stored_at}), mode="append")
    write_deltalake(str(folder / "metrics"), pa.Table.from_pylist(rows))
    paths = {name: str(folder / name) for name in ("events", "duplicates", "quarantine", "metrics")}
    return told_wrongly(LakeTables(paths, "http://127.0.0.1:9", NOBODY), engine, last)


def test_metrics_that_are_as_the_tables_pass_although_a_killed_driver_told_nothing_of_one(tmp_path: Path) -> None:
    assert found(tmp_path, [told(0), told(2)], last=2) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.append(told(1)), "micro-batch 1 is there twice"),
        (lambda rows: rows[1].update(received=8), "micro-batch 1 does not add up"),
        (lambda rows: rows[1].update(stored=5, received=8), "tells of 5 stored; version 1 of events wrote 4 rows"),
        (lambda rows: rows[1].update(quarantine_version=None), "tells of 2 quarantined; version None of quarantine"),
        (lambda rows: rows[1].update(duplicates=0, received=6), "tells of 0 duplicates; version 1 of duplicates"),
        (
            lambda rows: rows[1].update(stored_at=ANOTHER),
            "micro-batch 1 tells of 4 stored; 0 have its time",
        ),
        (lambda rows: rows.pop(), "nothing of micro-batch 2, the last one"),
    ],
)
def test_the_check_of_metrics_finds(change: Callable[[list[Row]], Any], said: str, tmp_path: Path) -> None:
    rows = [told(number) for number in range(3)]
    change(rows)
    assert any(said in line for line in found(tmp_path, rows, last=2)), said


def test_with_sparks_engine_duplicates_are_only_counted(tmp_path: Path) -> None:
    assert found(tmp_path, [told(0) | {"duplicates_version": None}], engine="spark") == []
