"""Files of a plain format's folder are replaced whole, whenever it is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from event_lake.storage import Storage
from event_lake.swap import Swap


class Killed(Exception):
    pass


class Dying:
    """A storage that ends after so many changes."""

    def __init__(self, storage: Storage, changes: int) -> None:
        self._storage, self._left = storage, changes

    def __getattr__(self, name: str) -> Any:
        if name in ("delete", "move", "write_text", "write_whole"):
            if not self._left:
                raise Killed
            self._left -= 1
        return getattr(self._storage, name)


def swapped(storage: Any, table: Path) -> None:
    """Of three files one gets a successor and one is to go."""
    swap = Swap(storage, str(table))
    swap.begin()
    new = Path(swap.staging) / "new"
    new.parent.mkdir(parents=True)
    new.write_text("b without the person")
    swap.decide({f"{table}/date=1/b": str(new), f"{table}/date=2/c": None})
    swap.finish()


def contents(table: Path) -> dict[str, str]:
    return {str(file.relative_to(table)): file.read_text() for file in table.rglob("*") if file.is_file()}


BEFORE = {"date=1/a": "a", "date=1/b": "b with the person", "date=2/c": "the person"}
AFTER = {"date=1/a": "a", "date=1/b": "b without the person"}


@pytest.mark.parametrize("changes", range(9))
def test_a_swap_that_is_killed_is_finished_by_the_next_or_has_not_begun(
    storage: Storage, tmp_path: Path, changes: int
) -> None:
    for name, text in BEFORE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    try:
        swapped(Dying(storage, changes), tmp_path)
        assert changes >= 7, "every change is one at which it can be killed"
    except Killed:
        Swap(storage, str(tmp_path)).finish()
        found = {name: text for name, text in contents(tmp_path).items() if not name.startswith("_swap/")}
        assert found in (BEFORE, AFTER)
        if found == BEFORE:
            swapped(storage, tmp_path)
    assert contents(tmp_path) == AFTER
    Swap(storage, str(tmp_path)).finish()
    assert contents(tmp_path) == AFTER
