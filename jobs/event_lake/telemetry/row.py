"""One row of measures (telemetry.measures) of one micro-batch.

A replay's row has the same numbers but for durations, for what was committed meanwhile, and for `replayed`: what was
committed by an earlier run is looked up in the table's log, the time of storing among it.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from event_lake.deduplicate.verdicts import DUPLICATE, QUARANTINED, STORED
from event_lake.delta_log import Commit
from event_lake.placement import Volume
from event_lake.sink import TableWriter
from event_lake.telemetry.arrivals import Spread
from event_lake.telemetry.measured import Measured

MICRO = 1e-6
TABLES = {STORED: "events", DUPLICATE: "duplicates", QUARANTINED: "quarantine"}

Row = dict[str, Any]


def row_of(measured: Measured, seconds: float, tables: Mapping[str, TableWriter], top_types: int) -> Row:
    """By measure; those that are not known are None. `seconds`: the whole micro-batch, maintenance included."""
    commits = {verdict: tables[verdict].commit(measured.mark) for verdict in measured.tables}
    stored_at = {verdict: _stored_at(measured, verdict, commit) for verdict, commit in commits.items()}
    stored = stored_at.get(STORED)
    clock = stored or measured.clock
    return {
        "query_id": measured.mark.query_id,
        "batch_id": measured.mark.batch_id,
        "date": clock.date(),
        "planned_at": measured.clock,
        "stored_at": stored,
        "replayed": any(write.was_there for write in measured.tables.values()),
        **asdict(measured.counts),
        "duplicate_rate": _share(measured.counts.duplicates, measured.counts.stored),
        **_volumes(measured.parts, top_types),
        **_waited("stored_latency", measured, STORED, stored),
        **_waited("duplicate_latency", measured, DUPLICATE, stored_at.get(DUPLICATE)),
        **_seconds("event_age", measured.arrivals.age() if measured.arrivals else None),
        **_position(measured, stored),
        **_durations(measured, seconds),
        **_index(measured),
        "files_written": _sum(commit and commit.files for commit in commits.values()),
        "bytes_written": _sum(commit and commit.bytes for commit in commits.values()),
        **{f"{name}_version": _version(commits.get(verdict)) for verdict, name in TABLES.items()},
    }


def _stored_at(measured: Measured, verdict: str, commit: Commit | None) -> datetime | None:
    if commit and commit.mark.stored_at:
        return datetime.fromisoformat(commit.mark.stored_at)
    write = measured.tables[verdict]
    return None if write.was_there else write.stored_at


def _share(duplicates: int, stored: int) -> float | None:
    return duplicates / (duplicates + stored) if duplicates + stored else None


def _volumes(parts: Sequence[Volume], top_types: int) -> Row:
    rows: dict[str, Counter[str]] = {verdict: Counter() for verdict in TABLES}
    sizes: Counter[str] = Counter()
    for part in parts:
        sizes[part.verdict] += part.data_bytes
        if part.verdict in rows and part.kind is not None:
            rows[part.verdict][part.kind] += part.rows
    types = rows[STORED]
    top = dict(heapq.nsmallest(top_types, types.items(), key=lambda kind: (-kind[1], kind[0])))
    return {
        "quarantined_by_problem": dict(sorted(rows[QUARANTINED].items())),
        "stored_by_type": top,
        "stored_of_other_types": types.total() - sum(top.values()),
        "stored_bytes": sizes[STORED],
        "duplicate_bytes": sizes[DUPLICATE],
        "quarantined_bytes": sizes[QUARANTINED],
    }


def _waited(name: str, measured: Measured, verdict: str, stored_at: datetime | None) -> Row:
    arrived = measured.arrivals.waited(verdict) if measured.arrivals else None
    if arrived is None or stored_at is None:
        return _seconds(name, None)
    end = round(stored_at.timestamp() * 1_000_000)
    return _seconds(name, Spread({part: end - micros for part, micros in arrived.values.items()}))


def _seconds(name: str, spread: Spread | None) -> Row:
    return {f"{name}_{part}_seconds": micros * MICRO for part, micros in spread.values.items()} if spread else {}


def _position(measured: Measured, stored: datetime | None) -> Row:
    mark = measured.mark
    through = datetime.fromisoformat(mark.complete_through).astimezone(UTC) if mark.complete_through else None
    return {
        "complete_through": through,
        "complete_through_age_seconds": (stored - through).total_seconds() if stored and through else None,
        "lag_seconds": mark.lag_seconds,
        "lag_shard": max(mark.lag, key=lambda shard: mark.lag[shard], default=None) if mark.lag_seconds else None,
        "shards": mark.shards,
    }


def _durations(measured: Measured, seconds: float) -> Row:
    writes = {f"write_{name}_seconds": _spent(measured, verdict) for verdict, name in TABLES.items()}
    names = ("judging", "index", "measuring", "maintenance")
    phases = {f"{name}_seconds": float(measured.phases[name]) for name in names}
    return {"seconds": seconds, **phases, **writes}


def _spent(measured: Measured, verdict: str) -> float:
    write = measured.tables.get(verdict)
    return write.seconds if write else 0.0


def _index(measured: Measured) -> Row:
    size = measured.index
    return {"index_keys": size.keys, "index_bytes": size.bytes, "index_segments": size.segments} if size else {}


def _sum(numbers: Any) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _version(commit: Commit | None) -> int | None:
    return commit.version if commit else None
