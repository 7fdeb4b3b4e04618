"""Rows of a person are taken out of every table in every format; every other row stays as it was."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from event_lake.config import Config
from event_lake.config_file import read_config
from event_lake.deletion.condition import Condition
from event_lake.deletion.deletion import Deletion
from event_lake.deletion.report import Report, TableReport
from event_lake.errors import LeaseError
from event_lake.mark import BatchMark
from event_lake.placement import volumes
from event_lake.sink import EventSink
from event_lake.storage import Storage
from records import Record, event_bytes, judged_frame, raw_records

PERSON, OTHER = 987654321, 123456789
TABLES = ("events", "quarantine", "events_duplicates", "events_deletions")


def of(account: int, number: int, **fields: object) -> bytes:
    return event_bytes(event_uuid=f"u-{number}", account_id=account, **fields)


@dataclass
class Lake:
    """Two micro-batches in the tables of one format."""

    spark: SparkSession
    folder: Path
    config: Config

    def write(self, number: int, records: Sequence[Record]) -> None:
        sink = EventSink(self.spark, Storage.of_session(self.spark), self.config.lake)
        sink.create()
        batch = judged_frame(self.spark, records).persist()
        sink.write(batch, volumes(batch), mark(number), datetime(2022, 2, 14, 12, tzinfo=UTC))
        batch.unpersist()

    def delete(
        self, *, suspected: bool = False, dry_run: bool = False, may_write: Callable[[], None] = lambda: None
    ) -> dict[str, TableReport]:
        deletion = Deletion(self.spark, self.config, suspected, may_write)
        report: Report = deletion.run([Condition.parse(f"$.account_id={PERSON}", "x")], dry_run)
        return {table.table: table for table in report.tables}

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Each with its folder; read without Spark."""
        found: list[dict[str, Any]] = []
        for file in self.files(table):
            place = {"_folder": str(file.parent.relative_to(self.folder))}
            if file.suffix == ".json":
                rows = [json.loads(line) for line in file.read_text().splitlines()]
            else:
                rows = pq.read_table(file, partitioning=None).to_pylist()
            for row in rows:
                row.pop("payload_variant", None)  # how it lies in a file is that file's own affair: see `variants`
            found += [{**row, **place} for row in rows]
        return sorted(found, key=lambda row: (row["sequence_number"], row.get("table_name", "")))

    def variants(self) -> dict[str, int]:
        """The account in each event's VARIANT, as Spark reads it, by event_uuid."""
        events = self.spark.read.format("delta").load(str(self.folder / "events"))
        rows = events.selectExpr("payload_variant:event_uuid::string AS name", "payload_variant:account_id::int AS id")
        return {row["name"]: row["id"] for row in rows.collect()}

    def places(self, table: str) -> list[str]:
        return [row["sequence_number"] for row in self.rows(table)]

    def files(self, table: str) -> list[Path]:
        """What a reader takes for the table's files: of Delta those that its log names."""
        path = self.folder / table
        if (path / "_delta_log").exists():
            return sorted(Path(unquote(urlparse(uri).path)) for uri in DeltaTable(str(path)).file_uris())
        return sorted(file for file in path.glob("*=*/**/*.*") if file.name[0] not in "._")

    def on_disk(self) -> list[Path]:
        """All files of rows, whether a reader would take them or not."""
        found = [file for ending in ("parquet", "json") for file in self.folder.rglob(f"*.{ending}")]
        return sorted(file for file in found if not {"_delta_log", "_batches"} & set(file.parts))

    def is_anywhere(self, text: str) -> bool:
        """Whether some file on the disk holds the text, logs and lists too; Parquet and base64 are unpacked."""
        return any(text in shown(file) for file in self.folder.rglob("*") if file.is_file())


def shown(file: Path) -> str:
    if file.suffix == ".parquet":
        return str(pq.read_table(file, partitioning=None).to_pylist())
    text = file.read_bytes().decode("utf-8", errors="replace")
    encoded = re.findall(r'"data":"([A-Za-z0-9+/=]*)"', text)
    return text + "".join(base64.b64decode(one).decode("utf-8", errors="replace") for one in encoded)


RECORDS = raw_records(
    [
        of(OTHER, 0),  # 1000: in one file with the next
        of(PERSON, 1),  # 1001
        of(PERSON, 2, event_name="payment:made"),  # 1002
        of(OTHER, 3, event_name="payment:made"),  # 1003: in one file with it
        of(PERSON, 1),  # 1004: a copy
        of(OTHER, 0),  # 1005: a copy
        event_bytes(account_id=PERSON, event_uuid=None),  # 1006: quarantined
        gzip.compress(b'{"account_id": %d}' % PERSON),  # 1007: quarantined
        # The second micro-batch
        b'{"event_uuid": "u-9", "account_id": %d, "cut of' % PERSON,  # 1008: quarantined, suspected
        b"\xff noise",  # 1009: quarantined, unreadable
        event_bytes(account_id=OTHER, event_uuid=None),  # 1010: quarantined
        of(OTHER, 11),  # 1011
        of(PERSON, 12, event_name="account:closed"),  # 1012: alone in its file
    ]
)
RECORDS = [{**one, "partitionKey": "copy"} if n in (4, 5) else one for n, one in enumerate(RECORDS)]
FIRST = 8  # of the second micro-batch
SETTINGS = ("source.stream=s", "lake.path={0}/events", "lake.quarantine_path={0}/quarantine", "checkpoint.path={0}/c")
LEFT = {
    "events": ["1000", "1003", "1011"],
    "events_duplicates": ["1005"],
    "quarantine": ["1008", "1009", "1010"],
}
DELETED = {"events": ["1001", "1002", "1012"], "duplicates": ["1004"], "quarantine": ["1006", "1007"]}


@pytest.fixture
def make_lake(spark: SparkSession, tmp_path: Path) -> Callable[..., Lake]:
    def make(file_format: str, *more: str) -> Lake:
        settings = [setting.format(tmp_path) for setting in SETTINGS]
        lake = Lake(spark, tmp_path, read_config("", [*settings, f"lake.format={file_format}", *more]))
        for number, records in enumerate((RECORDS[:FIRST], RECORDS[FIRST:])):
            lake.write(number, records)
        return lake

    return make


def mark(number: int) -> BatchMark:
    return BatchMark("q", number, f'{{"logOffset": {number}}}', None)


def recorded(lake: Lake) -> dict[str, list[str]]:
    """What the record says, by table."""
    told: dict[str, list[str]] = {}
    for row in lake.rows("events_deletions"):
        told.setdefault(row["table_name"], []).append(row["sequence_number"])
    return told


VARIANTS = [("delta", f"lake.payload_variant={form}") for form in ("plain", "shredded")]


@pytest.mark.parametrize("form", [("delta",), ("parquet",), ("json",), *VARIANTS], ids=" ".join)
def test_every_row_of_a_person_is_gone_from_every_table_and_its_bytes_from_the_disk(
    make_lake: Callable[..., Lake], form: Sequence[str]
) -> None:
    lake = make_lake(*form)
    before = {table: lake.rows(table) for table in LEFT}
    lake.delete(dry_run=True)
    assert {table: lake.rows(table) for table in LEFT} == before
    assert not (lake.folder / "events_deletions").exists()

    told = lake.delete()
    assert {table: lake.rows(table) for table in LEFT} == {
        table: [row for row in rows if row["sequence_number"] in LEFT[table]] for table, rows in before.items()
    }
    assert recorded(lake) == DELETED
    if form[1:]:
        assert lake.variants() == {"u-0": OTHER, "u-3": OTHER, "u-11": OTHER}
    assert (told["events"].matching, told["events"].removed, told["events"].files_rewritten) == (3, 3, 3)
    assert (told["duplicates"].matching, told["duplicates"].removed) == (1, 1)
    quarantine = told["quarantine"]
    assert (quarantine.matching, quarantine.suspected, quarantine.unreadable, quarantine.removed) == (2, 1, 1, 2)
    if form[0] == "delta":
        assert (told["events"].version_before, told["events"].version_after) == (2, 3)
        assert lake.on_disk() == sorted(file for table in TABLES for file in lake.files(table))

    # What can only be suspected goes where that is asked for; then nothing of the person is on the disk.
    assert lake.is_anywhere(f"{PERSON}")
    assert lake.delete(suspected=True)["quarantine"].removed == 1
    assert lake.places("quarantine") == ["1009", "1010"]
    lake.write(1, RECORDS[FIRST:])  # a replay of the last micro-batch changes nothing
    assert lake.places("events") == LEFT["events"]
    assert not lake.is_anywhere(f"{PERSON}")


def test_rows_leave_the_files_also_of_a_table_that_would_only_mark_them(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake("delta")
    vectors = "delta.enableDeletionVectors = true"  # nothing here sets it, but a table's owner may have
    lake.spark.sql(f"ALTER TABLE delta.`{lake.folder / 'events'}` SET TBLPROPERTIES ({vectors})")
    assert lake.delete()["events"].removed == 3
    assert lake.places("events") == LEFT["events"]  # of the files themselves, whatever would be marked in them


def test_a_deletion_that_is_killed_between_any_two_steps_is_finished_by_the_same_one(
    make_lake: Callable[..., Lake],
) -> None:
    lake = make_lake("delta")
    last = 0
    for steps in (3, 3):  # all but the events are removed; then these too, and one table is purged
        asked = iter(range(steps))

        def killed(asked: Iterator[int] = asked) -> None:
            if next(asked, None) is None:
                raise LeaseError("another driver has taken the lake")

        with pytest.raises(LeaseError):
            lake.delete(may_write=killed)
        gone = [table for table in LEFT if lake.places(table) == LEFT[table]]
        assert len(gone) >= last
        last = len(gone)
        assert recorded(lake) == DELETED, "written down before anything is removed, and once"
    assert last == len(LEFT)
    assert lake.delete()["events"].removed == 0
    assert lake.on_disk() == sorted(file for table in TABLES for file in lake.files(table))
    assert recorded(lake) == DELETED
