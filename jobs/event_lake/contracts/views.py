"""SQL for one typed view an event type (`lesson`, `payment`, ...) over the events table, in three dialects.

A view has the columns that every event has, and one for each property that a contract of its type names. All of the
type's events are in it, those without a contract too: a property that an event lacks is null. A view reads the payload
when it is asked, so a new column is there for old rows as well, and nothing is ever rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from event_lake.contracts.columns import BIGINT, DOUBLE, Array, Kind, Struct, columns
from event_lake.errors import ConfigError

# What every view has, from the events table.
ENVELOPE = ("event_uuid", "event_name", "event_subtype", "created_at", "created_datetime", "arrived_at", "date")
NAME = re.compile(r"""[^'"`\\\x00-\x1f]+""")


@dataclass
class TypedView:
    """The view of one event type; a column's name beside the property that it is read from, and its kind."""

    name: str
    event_type: str
    columns: dict[str, tuple[str, Kind]] = field(default_factory=dict)


def typed_views(contracts: Mapping[str, Mapping[str, Any]]) -> list[TypedView]:
    """From contracts by event_name. Raises ConfigError where two of one type differ in what a property is."""
    views: dict[str, TypedView] = {}
    for event_name in sorted(contracts):
        event_type = event_name.partition(":")[0]
        name = re.sub("[^a-z0-9_]", "_", event_type.lower())
        view = views.setdefault(name, TypedView(name, event_type))
        if view.event_type != event_type:
            raise ConfigError(f"the event types {view.event_type} and {event_type} would both get the view {name}")
        for property_name, kind in columns(contracts[event_name]).items():
            _add(view, property_name, kind, event_name)
    return list(views.values())


def _add(view: TypedView, property_name: str, kind: Kind, event_name: str) -> None:
    if _nameless(property_name, kind):
        raise ConfigError(
            f"{property_name!r} in {event_name} cannot be a column of the view {view.name}: its name, or a part's, is "
            "empty or has quotes, a backslash or a control character in it"
        )
    # Most engines do not tell upper from lower case in a column's name.
    column = property_name if property_name.lower() not in ENVELOPE else f"payload_{property_name}"
    same = next((name for name in view.columns if name.lower() == column.lower()), column)
    known, known_kind = view.columns.get(same, (property_name, kind))
    if {known_kind, kind} == {BIGINT, DOUBLE}:
        known_kind = kind = DOUBLE
    if (known, known_kind) != (property_name, kind):
        raise ConfigError(
            f"the view {view.name} cannot have the column {column}: $.{property_name} is {kind} in {event_name}, but "
            f"$.{known} is {known_kind} in another contract of this type"
        )
    view.columns[same] = (property_name, kind)


def _nameless(name: str, kind: Kind) -> bool:
    """Whether a column, or a field in it, has a name that some engine could not write."""
    if isinstance(kind, Array):
        return _nameless(name, kind.of)
    fields = kind.fields if isinstance(kind, Struct) else ()
    return not NAME.fullmatch(name) or any(_nameless(*field) for field in fields)
