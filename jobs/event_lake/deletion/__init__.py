"""Deleting a person: every row whose JSON holds a value at a path, out of every table, and its bytes off the storage.

`condition` says which records are meant, `lake` finds their rows in the tables and writes down what is to be deleted,
`rows` takes them out of a Delta table, or with `swap` out of plain files; `deletion` does it in the order that a kill
at any moment allows, and `report` says what was removed from where. docs/deletion.md tells what it cannot reach.
"""

from event_lake.deletion.deletion import delete

__all__ = ["delete"]
