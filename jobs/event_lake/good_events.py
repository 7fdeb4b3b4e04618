"""The good events of a whole Arrow column: the verdicts of `verdict.judge`, read by column and in half the time.

Nearly every record is a good event, so only those are read here; whatever else a record is, `judge` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from event_lake.verdict import DAY_MICROS, EARLIEST_MICROS, LONGEST_UUID, Verdict, is_good_name, micros_of, parts_of

# A key that may stand twice, or an escape that may hide one: `judge` looks closer.
MAY_REPEAT = rb"(?s)event_uuid.*event_uuid|event_name.*event_name|created_at.*created_at|\\u00[567]"

MOST_NAMES = 10_000
LONGEST_NAME = 256


@dataclass
class Columns:
    """A row for each record, all of them null where `others` names it."""

    event_uuid: list[str | None] = field(default_factory=list)
    event_name: list[str | None] = field(default_factory=list)
    event_type: list[str | None] = field(default_factory=list)
    event_subtype: list[str | None] = field(default_factory=list)
    created_micros: list[int | None] = field(default_factory=list)
    others: list[int] = field(default_factory=list)  # what is not known to be a good event

    def put(self, number: int, verdict: Verdict) -> None:
        """What was found of one of the others."""
        self.event_uuid[number] = verdict.event_uuid
        self.event_name[number] = verdict.event_name
        self.event_type[number] = verdict.event_type
        self.event_subtype[number] = verdict.event_subtype
        self.created_micros[number] = verdict.created_micros


class _Parts(dict[str, tuple[str, str | None]]):
    """Type and subtype of good names, of the latest few thousand."""

    def __missing__(self, name: str) -> tuple[str, str | None]:
        if not is_good_name(name):
            raise KeyError(name)
        parts = parts_of(name)
        if len(name) <= LONGEST_NAME:
            if len(self) >= MOST_NAMES:
                self.clear()
            self[name] = parts
        return parts


_parts = _Parts()


def good_events(data: pa.BinaryArray, arrived_micros: Sequence[int]) -> Columns:
    """Reads records (binary, perhaps null) that arrived at these times (Unix microseconds)."""
    found = Columns()
    uuids, names, types = found.event_uuid, found.event_name, found.event_type
    subtypes, times, parts = found.event_subtype, found.created_micros, _parts
    may_repeat = pc.match_substring_regex(data, MAY_REPEAT).to_pylist()
    rows = zip(data.to_pylist(), arrived_micros, may_repeat, strict=True)
    for number, (record, arrived, doubtful) in enumerate(rows):
        try:
            event = orjson.loads(record)
            uuid, name, created = event["event_uuid"], event["event_name"], event["created_at"]
            event_type, subtype = parts[name]
            micros = created * 1_000_000 if type(created) is int else micros_of(created)
            good = (
                type(uuid) is str
                and 0 < len(uuid) <= LONGEST_UUID
                and EARLIEST_MICROS <= micros <= arrived + DAY_MICROS  # type: ignore[operator]
                and not doubtful
            )
        except (ValueError, KeyError, TypeError):
            good = False
        if good:
            uuids.append(uuid)
            names.append(name)
            types.append(event_type)
            subtypes.append(subtype)
            times.append(micros)
        else:
            found.others.append(number)
            for column in (uuids, names, types, subtypes, times):
                column.append(None)
    return found
