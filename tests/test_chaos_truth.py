"""The check of the chaos runs finds what is lost, twice, or elsewhere than where it was put, record by record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from chaos.producers import Book
from chaos.truth import LakeTables, differences
from test_lake_check import NOBODY, PUTS, duplicate_row, event_row, quarantine_row

SHARD = "shardId-000000000000"
Tables = dict[str, list[dict[str, Any]]]


def checked(folder: Path, engine: str = "index", change: Callable[[Tables], None] = lambda tables: None) -> list[str]:
    """What the check says of the tables as the job should write them, but for what `change` does to them."""
    book, tables = Book(), Tables(events=[], quarantine=[], duplicates=[])
    for number, put in enumerate(PUTS[:600]):
        place = {"shard_id": SHARD, "sequence_number": str(number)}
        book.note(put, {"ShardId": SHARD, "SequenceNumber": str(number)})
        if put.problem:
            tables["quarantine"].append(quarantine_row(put) | place)
        elif put.copy_of_earlier:
            tables["duplicates"].append(duplicate_row(put) | place)
        else:
            tables["events"].append(event_row(put) | place)
    change(tables)
    for name, rows in tables.items():
        schema = pa.Table.from_pylist(rows or [duplicate_row(PUTS[0]) | place]).schema
        write_deltalake(str(folder / name), pa.Table.from_pylist(rows, schema=schema))
    paths = {name: str(folder / name) for name in tables}
    return list(differences(LakeTables(paths, "http://127.0.0.1:9", NOBODY), book, engine))


def list_no_duplicates(tables: Tables) -> None:
    tables["duplicates"].clear()


def lose_a_copy(tables: Tables) -> None:
    del tables["duplicates"][3]


def store_a_copy_too(tables: Tables) -> None:
    copy = tables["duplicates"][3]
    (first,) = [row for row in tables["events"] if row["event_uuid"] == copy["event_uuid"]]
    tables["events"].append(first | {"sequence_number": copy["sequence_number"]})


def list_an_event_as_a_copy_too(tables: Tables) -> None:
    place = {key: tables["events"][9][key] for key in ("shard_id", "sequence_number")}
    tables["duplicates"].append(tables["duplicates"][3] | place)


def come_from_nowhere(tables: Tables) -> None:
    tables["quarantine"][2]["sequence_number"] = "7000"


def change_places(tables: Tables) -> None:
    one, other = tables["events"][9], tables["events"][10]
    one["sequence_number"], other["sequence_number"] = other["sequence_number"], one["sequence_number"]


def lose_an_event(tables: Tables) -> None:
    del tables["events"][400]


@pytest.mark.parametrize("engine", ["index", "spark"])
def test_tables_that_hold_each_record_once_pass(tmp_path: Path, engine: str) -> None:
    assert checked(tmp_path, engine, list_no_duplicates if engine == "spark" else lambda tables: None) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lose_an_event, "lost: in no table"),
        (lose_a_copy, "lost: in no table"),
        (list_no_duplicates, "lost: in no table"),
        (store_a_copy_too, "twice: in more than one row"),
        (list_an_event_as_a_copy_too, "twice: in more than one row"),
        (come_from_nowhere, "never put"),
        (change_places, "not the bytes that were put there"),
    ],
)
def test_the_check_of_places_finds(change: Callable[[Tables], None], said: str, tmp_path: Path) -> None:
    found = checked(tmp_path, change=change)
    assert any(line.startswith(said) for line in found), found


def test_with_sparks_engine_a_lost_event_is_found_though_no_duplicates_are_listed(tmp_path: Path) -> None:
    def lose_both(tables: Tables) -> None:
        list_no_duplicates(tables)
        lose_an_event(tables)

    assert any("lost" in line or "missing in events" in line for line in checked(tmp_path, "spark", lose_both))
