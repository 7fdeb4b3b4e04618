"""The demo's own check finds whatever is wrong with the lake: one that cannot fail would prove nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from traffic import Ledger, Put, generate, samples

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts" / "lib"))
from lake_check import counts_differ, differences
from lake_tables import LakeTables

Row = dict[str, Any]
Rows = list[Row]

ARRIVAL = datetime(2026, 11, 22, 12, tzinfo=UTC)
PUTS = [*samples(), *generate(3_000, now=ARRIVAL.timestamp(), broken=0.05)]
NOBODY = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def event_row(put: Put) -> Row:
    event = orjson.loads(put.data)
    seconds = float(event["created_at"])
    created = datetime.fromtimestamp(seconds, UTC)
    event_type, _, rest = event["event_name"].partition(":")
    return {
        "event_uuid": event["event_uuid"],
        "event_name": event["event_name"],
        "event_type": event_type,
        "event_subtype": rest.partition(":")[0] or None,
        "created_at": int(seconds),
        "created_datetime": created,
        "payload": put.data.decode(),
        "arrived_at": ARRIVAL,
        "date": created.date(),
    }


def quarantine_row(put: Put) -> Row:
    return {
        "problem": put.problem,
        "detail": "why",
        "data": put.data,
        "arrived_at": ARRIVAL,
        "shard_id": "shardId-000000000000",
        "sequence_number": "1",
    }


def duplicate_row(put: Put) -> Row:
    return {"event_uuid": put.event_uuid, "first_arrived_at": ARRIVAL}


def lake(
    folder: Path,
    change: Callable[[Rows, Rows], None] = lambda events, quarantine: None,
    change_duplicates: Callable[[Rows], None] = lambda duplicates: None,
) -> LakeTables:
    """The tables as the job should write them from PUTS, but for what `change` does to their rows."""
    events = [event_row(put) for put in PUTS if not put.problem and not put.copy_of_earlier]
    quarantine = [quarantine_row(put) for put in PUTS if put.problem]
    duplicates = [duplicate_row(put) for put in PUTS if put.copy_of_earlier]
    change(events, quarantine)
    change_duplicates(duplicates)
    paths = {}
    for name, rows in (("events", events), ("quarantine", quarantine), ("duplicates", duplicates)):
        paths[name] = str(folder / name)
        write_deltalake(paths[name], pa.Table.from_pylist(rows))
    return LakeTables(paths, "http://127.0.0.1:9", NOBODY)


def ledger() -> Ledger:
    expected = Ledger()
    for put in PUTS:
        expected.add(put)
    return expected


def test_a_lake_that_holds_what_was_put_passes(tmp_path: Path) -> None:
    assert list(differences(lake(tmp_path), ledger())) == []


def test_either_of_two_payloads_put_under_one_uuid_may_be_the_one_stored(tmp_path: Path) -> None:
    changed = next(put for put in PUTS if put.copy_of_earlier and b'"retry":' in put.data)

    def store_the_copy(events: Rows, quarantine: Rows) -> None:
        events[:] = [event_row(changed) if row["event_uuid"] == changed.event_uuid else row for row in events]

    assert list(differences(lake(tmp_path, store_the_copy), ledger())) == []


def lose_one(events: Rows, quarantine: Rows) -> None:
    del events[100]


def store_twice(events: Rows, quarantine: Rows) -> None:
    events.append(events[100])


def invent_one(events: Rows, quarantine: Rows) -> None:
    payload = events[100]["payload"].replace(events[100]["event_uuid"], "invented")
    events.append({**events[100], "event_uuid": "invented", "payload": payload})


def reformat_a_payload(events: Rows, quarantine: Rows) -> None:
    events[100]["payload"] = orjson.dumps(orjson.loads(events[100]["payload"]), option=orjson.OPT_INDENT_2).decode()


def swap_payloads(events: Rows, quarantine: Rows) -> None:
    events[100]["payload"], events[101]["payload"] = events[101]["payload"], events[100]["payload"]


def shift_a_date(events: Rows, quarantine: Rows) -> None:
    events[100]["date"] = date(2026, 1, 1)


def shift_a_time(events: Rows, quarantine: Rows) -> None:
    events[100]["created_datetime"] = ARRIVAL


def lose_a_subtype(events: Rows, quarantine: Rows) -> None:
    events[1]["event_subtype"] = None


def lose_a_broken_record(events: Rows, quarantine: Rows) -> None:
    del quarantine[20]


def lose_one_of_several_empty_records(events: Rows, quarantine: Rows) -> None:
    quarantine.remove(next(row for row in quarantine if row["data"] == b""))


def give_another_reason(events: Rows, quarantine: Rows) -> None:
    quarantine[20]["problem"] = "empty"


def cut_a_broken_record(events: Rows, quarantine: Rows) -> None:
    quarantine[20]["data"] = quarantine[20]["data"][:-1]


def give_no_reason(events: Rows, quarantine: Rows) -> None:
    quarantine[20]["detail"] = None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lose_one, "missing in events"),
        (store_twice, "stored more than once"),
        (invent_one, "in events, but never put"),
        (reformat_a_payload, "payload is not what was put under this uuid"),
        (swap_payloads, "payload is not what was put under this uuid"),
        (shift_a_date, "columns do not say what the payload says"),
        (shift_a_time, "columns do not say what the payload says"),
        (lose_a_subtype, "sample event 0987654321"),
        (lose_a_broken_record, "missing in quarantine"),
        (lose_one_of_several_empty_records, "missing in quarantine 1 times as empty"),
        (give_another_reason, "too often as empty"),
        (cut_a_broken_record, "too often as"),
        (give_no_reason, "do not say why"),
    ],
)
def test_the_check_finds(change: Callable[[Rows, Rows], None], said: str, tmp_path: Path) -> None:
    found = list(differences(lake(tmp_path, change), ledger()))
    assert any(said in line for line in found), found


def lose_a_copy(duplicates: Rows) -> None:
    del duplicates[5]


def list_a_copy_twice(duplicates: Rows) -> None:
    duplicates.append(duplicates[5])


def name_another_first_copy(duplicates: Rows) -> None:
    duplicates[5]["first_arrived_at"] = datetime(2026, 11, 22, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lose_a_copy, "missing in duplicates"),
        (list_a_copy_twice, "in duplicates too often"),
        (name_another_first_copy, "a duplicate of no stored event"),
    ],
)
def test_the_check_finds_in_the_duplicates(change: Callable[[Rows], None], said: str, tmp_path: Path) -> None:
    found = list(differences(lake(tmp_path, change_duplicates=change), ledger()))
    assert any(said in line for line in found), found


def test_a_report_with_the_right_counts_passes() -> None:
    counts = ledger().counts()
    assert list(counts_differ("run", {**counts, "late_dropped": 0}, counts)) == []


@pytest.mark.parametrize("key", ["received", "stored", "duplicates", "quarantined", "late_dropped"])
def test_a_wrong_or_missing_number_in_the_report_is_found(key: str) -> None:
    counts = ledger().counts()
    report = {**counts, "late_dropped": 0}
    assert any(f"{key}=" in line for line in counts_differ("run", {**report, key: report[key] + 1}, counts))
    del report[key]
    assert any(f"{key}=None" in line for line in counts_differ("run", report, counts))
