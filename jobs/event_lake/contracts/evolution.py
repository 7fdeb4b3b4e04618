"""A contract may grow, but not take back what it has promised to those who read the table.

The contracts that were in force last lie beside the events table, in a folder of its path with `_contracts_applied`
behind it: the start of a run compares with them, and then puts its own there. Rows that are stored are never rewritten:
a typed view reads a new column out of old rows as null.

May change: new properties that are not required; `integer` to `number`; whatever does not touch a column (bounds,
patterns, enums, texts). May not: a column that goes, or gets another type; a property that becomes required, which the
rows that are stored need not have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from event_lake.config import Lake
from event_lake.contracts.columns import BIGINT, DOUBLE, Array, Kind, Struct, columns, required
from event_lake.contracts.contract_set import ContractSet
from event_lake.contracts.files import AT_ONCE, ENDING, event_name, file_name
from event_lake.errors import ConfigError
from event_lake.storage import Storage


def adopt(storage: Storage, lake: Lake, contracts: ContractSet) -> None:
    """Puts these contracts in the place of the last ones. Raises ConfigError with the differences where they clash."""
    if not contracts:
        return
    folder, before = _folder(lake), applied(storage, lake)
    now = {name: json.loads(text) for name, text in contracts.texts.items()}
    refused = [f"  {name} {what}" for name in now if name in before for what in differences(before[name], now[name])]
    if refused:
        raise ConfigError(
            "contracts.path: a contract has changed in a way that those who read the table cannot follow:\n"
            + "\n".join(refused)
            + "\nTake the change back, or give the new kind of event another event_name. Where nobody reads the old "
            f"one any more, delete its file in {folder}."
        )
    changed = [name for name, contract in now.items() if before.get(name) != contract]

    def write(name: str) -> None:
        storage.write_whole(f"{folder}/{file_name(name)}", json.dumps(now[name], indent=1, ensure_ascii=False))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(write, changed))


def applied(storage: Storage, lake: Lake) -> dict[str, dict[str, Any]]:
    """The contracts that readers of the lake may count on, by event_name: those in force, and those that were once."""
    files = [entry for entry in storage.entries(_folder(lake)) if entry.name.endswith(ENDING)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        texts = list(pool.map(lambda entry: storage.read_text(entry.path), files))
    return {event_name(entry.name): json.loads(text) for entry, text in zip(files, texts, strict=True)}


def _folder(lake: Lake) -> str:
    return f"{lake.path.rstrip('/')}_contracts_applied"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """What readers of the old contract's columns cannot follow: the JSON path, how it was and how it is."""
    before, now = columns(old), columns(new)
    for name, kind in before.items():
        yield from _changed(f"$.{name}", kind, now.get(name))
    for name in sorted(required(new) - required(old)):
        yield f"$.{name}: is required now, and rows that are stored may lack it"


def _changed(path: str, old: Kind, new: Kind | None) -> Iterator[str]:
    if new is None:
        yield f"{path}: was {old}, is gone"
    elif isinstance(old, Array) and isinstance(new, Array):
        yield from _changed(f"{path}[]", old.of, new.of)
    elif isinstance(old, Struct) and isinstance(new, Struct):
        fields = dict(new.fields)
        for name, kind in old.fields:
            yield from _changed(f"{path}.{name}", kind, fields.get(name))
    elif old != new and (old, new) != (BIGINT, DOUBLE):
        yield f"{path}: was {old}, is {new}"
