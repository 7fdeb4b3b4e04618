"""Whether the lake holds what was put: every event once and byte for byte, every broken record with its reason."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from lake_tables import LakeTables

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from traffic import Ledger

EXAMPLES = 5
SAMPLES = {
    "1234567890": ("account", "created", "2022-02-14"),
    "0987654321": ("lesson", "started", "2022-02-14"),
    "5678901234": ("payment", "order", "2022-02-14"),
    "1357924680": ("lesson", "completed", "2022-02-14"),
}


def differences(tables: LakeTables, ledger: Ledger) -> Iterator[str]:
    """Says in words everything in which the lake is not what the ledger demands."""
    yield from _events_differ(tables, ledger)
    yield from _columns_differ(tables)
    yield from _quarantine_differs(tables, ledger)
    yield from _duplicates_differ(tables, ledger)
    yield from _samples_differ(tables)


def counts_differ(what: str, reported: Mapping[str, Any], expected: Mapping[str, int]) -> Iterator[str]:
    """`reported` is what the job says of itself."""
    for key, number in {**expected, "late_dropped": 0}.items():
        if reported.get(key) != number:
            yield f"{what}: reported {key}={reported.get(key)}, expected {number}"
    parts = [reported.get(key) for key in ("stored", "duplicates", "quarantined")]
    if None in parts or reported.get("received") != sum(filter(None, parts)):
        yield f"{what}: received={reported.get('received')} is not stored + duplicates + quarantined, {parts}"


def _events_differ(tables: LakeTables, ledger: Ledger) -> Iterator[str]:
    stored = Counter(uuid for (uuid,) in tables.rows("SELECT event_uuid FROM events"))
    yield from _some("missing in events", [uuid for uuid in ledger.payloads if uuid not in stored])
    yield from _some("in events, but never put", [uuid for uuid in stored if uuid not in ledger.payloads])
    yield from _some("stored more than once", [uuid for uuid, times in stored.items() if times > 1])
    payloads = tables.rows("SELECT event_uuid, payload FROM events")
    changed = [
        uuid for uuid, payload in payloads if uuid in ledger.payloads and payload.encode() not in ledger.payloads[uuid]
    ]
    yield from _some("payload is not what was put under this uuid", changed)


def _columns_differ(tables: LakeTables) -> Iterator[str]:
    """Every column that comes from the payload is read from it once more, in plain Python."""
    wrong = []
    for uuid, name, event_type, subtype, created_at, created, date, payload in tables.rows(
        "SELECT event_uuid, event_name, event_type, event_subtype, created_at, "
        "epoch_us(created_datetime), date::VARCHAR, payload FROM events"
    ):
        event = orjson.loads(payload)
        seconds = float(event["created_at"])
        parts = [*event["event_name"].split(":"), ""]
        day = datetime.fromtimestamp(seconds // 1, UTC).date().isoformat()
        expected = (event["event_uuid"], event["event_name"], parts[0], parts[1] or None, seconds // 1, day)
        if expected != (uuid, name, event_type, subtype, created_at, date) or abs(seconds * 1e6 - created) > 1:
            wrong.append(uuid)
    yield from _some("columns do not say what the payload says", wrong)


def _quarantine_differs(tables: LakeTables, ledger: Ledger) -> Iterator[str]:
    found = Counter((problem, bytes(data)) for problem, data in tables.rows("SELECT problem, data FROM quarantine"))
    for (problem, data), times in (ledger.set_aside - found).items():
        yield f"missing in quarantine {times} times as {problem}: {data[:100]!r}"
    for (problem, data), times in (found - ledger.set_aside).items():
        yield f"in quarantine {times} times too often as {problem}: {data[:100]!r}"
    empty = " OR ".join(f"{column} IS NULL" for column in ("detail", "shard_id", "sequence_number", "arrived_at"))
    unexplained = tables.one(f"SELECT count(*) FROM quarantine WHERE {empty}")
    if unexplained:
        yield f"{unexplained} rows in quarantine do not say why, or where they came from"


def _duplicates_differ(tables: LakeTables, ledger: Ledger) -> Iterator[str]:
    found = Counter(uuid for (uuid,) in tables.rows("SELECT event_uuid FROM duplicates"))
    yield from _some("missing in duplicates", (ledger.copies - found).elements())
    yield from _some("in duplicates too often", (found - ledger.copies).elements())
    orphans = tables.rows(
        "SELECT d.event_uuid FROM duplicates d LEFT JOIN events e ON e.event_uuid = d.event_uuid "
        "AND e.arrived_at = d.first_arrived_at WHERE e.event_uuid IS NULL"
    )
    yield from _some("a duplicate of no stored event", (uuid for (uuid,) in orphans))


def _samples_differ(tables: LakeTables) -> Iterator[str]:
    rows = tables.rows("SELECT event_uuid, event_type, event_subtype, date::VARCHAR FROM events")
    found = {uuid: tuple(columns) for uuid, *columns in rows if uuid in SAMPLES}
    for uuid, expected in SAMPLES.items():
        if found.get(uuid) != expected:
            yield f"sample event {uuid}: expected {expected}, found {found.get(uuid)}"


def _some(what: str, uuids: Iterable[str]) -> Iterator[str]:
    all_of_them = sorted(uuids)
    for uuid in islice(all_of_them, EXAMPLES):
        yield f"{what}: {uuid!r}"
    if len(all_of_them) > EXAMPLES:
        yield f"{what}: {len(all_of_them) - EXAMPLES} more"
