"""Compaction changes no row, no mark and no reader's answer; which partitions it takes."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable

from event_lake.config import Bytes, Maintenance
from event_lake.delta_log import newest_snapshot
from event_lake.errors import DataLossError
from event_lake.schema import DUPLICATES_PARTITIONS, EVENTS_PARTITIONS, QUARANTINE_PARTITIONS
from event_lake.sink import EventSink
from event_lake.spark_api import table_of
from event_lake.upkeep.compaction import compact, compaction_session, due, last_mark
from event_lake.upkeep.partitions import Partition
from event_lake.upkeep.settings import set_up
from records import event_bytes, raw_records

NOW = datetime(2022, 2, 15, 12, tzinfo=UTC)
RULES = Maintenance(target_file_size=Bytes(1024 * 1024), most_small_files=50)
PARTITIONS = {
    "events": EVENTS_PARTITIONS,
    "quarantine": QUARANTINE_PARTITIONS,
    "events_duplicates": DUPLICATES_PARTITIONS,
}


def part(
    name: str, small_files: int, *, closed: bool = True, small_bytes: int = 1000, age_hours: float = 5
) -> Partition:
    newest = NOW - timedelta(hours=age_hours)
    sizes = (small_files, small_bytes)
    return Partition((("event_type", name),), closed, *sizes, 1, 1024, *sizes, newest)


def test_a_partition_is_due_when_it_has_too_many_small_files_or_its_day_is_over_and_quiet() -> None:
    found = [
        part("closed", 2),
        part("closed, one file", 1, small_bytes=2_000_000),
        part("closed, still reached", 49, age_hours=0.5),
        part("closed, still reached, crowded", 51, age_hours=0.5),
        part("open", 49, closed=False),
        part("open, crowded", 50, closed=False, age_hours=0),
        part("open, enough for a whole file", 3, closed=False, small_bytes=1024 * 1024, age_hours=0),
    ]
    names = [one.values[0][1] for one in due(found, RULES, NOW)]
    assert names == ["closed, still reached, crowded", "open, crowded", "open, enough for a whole file", "closed"]


def test_in_an_open_partition_what_has_been_put_together_is_left_alone_until_there_is_more_of_its_size(
    make_lake: Callable[[int], Any],
) -> None:
    lake = make_lake(3)
    many = [
        event_bytes(event_uuid=f"many-{n}", payload="".join(random.Random(n).choices("abcdef0123456789", k=2000)))
        for n in range(200)
    ]
    lake.write(3, raw_records(many))
    today = NOW.date() - timedelta(days=1)
    (lesson,) = [one for one in lake.partitions(today=today) if one.value("event_type") == "lesson"]
    assert (lesson.closed, lesson.files, lesson.small_files) == (False, 4, 3)
    assert lesson.small_bytes < lesson.small_under * 3 < lesson.data_bytes
    done = compact(compaction_session(lake.spark), lake.events, [lesson], 1024 * 1024)
    assert (done.files_before, done.files_after) == (3, 1)
    (lesson,) = [one for one in lake.partitions() if one.value("event_type") == "lesson"]
    assert (lesson.closed, lesson.files, lesson.small_files) == (True, 2, 2), "when the day is over"


def test_compaction_leaves_one_file_a_partition_and_every_row_as_it_was(make_lake: Callable[[int], Any]) -> None:
    lake = make_lake(3)
    session = compaction_session(lake.spark)
    for table in PARTITIONS:
        before, parts = lake.rows(table), lake.partitions(table)
        assert len(before) == 3 * (4 if table == "events" else 1)
        assert {one.small_files for one in parts} == {3}
        done = compact(session, str(lake.paths[table]), parts, 1024 * 1024)
        assert (done.partitions, done.files_before, done.files_after) == (len(parts), 3 * len(parts), len(parts))
        assert lake.rows(table) == before
        assert len(lake.files(table)) == len(parts)
        actions = [action for action in lake.commits(table)[-1] if {"add", "remove"} & action.keys()]
        assert len(actions) == 4 * len(parts)
        assert not any(change["dataChange"] for action in actions for change in action.values())
        for added in (action["add"] for action in actions if "add" in action):
            statistics = json.loads(added["stats"])
            assert statistics["numRecords"] > 0
            assert not {"payload", "data", "detail", "event_uuid"} & statistics.get("minValues", {}).keys()
        assert [one for one in lake.partitions(table) if one.small_files > 1] == []


def test_a_replay_is_recognised_when_compaction_came_after_it_and_log_cleaning_has_taken_its_commit(
    make_lake: Callable[[int], Any],
) -> None:
    lake = make_lake(3)
    log = lake.paths["events"] / "_delta_log"
    month_ago = time.time() - 30 * 24 * 3600
    for file in log.iterdir():
        os.utime(file, (month_ago, month_ago))
    compact(compaction_session(lake.spark), lake.events, lake.partitions(), 1024 * 1024)
    snapshot = newest_snapshot(lake.spark, lake.events)
    snapshot.deltaLog().checkpoint(snapshot, lake.spark._jvm.scala.Option.empty())
    (left,) = lake.commits()
    assert not any("txn" in action for action in left)
    assert json.loads(last_mark(lake.spark, lake.events) or "")["batch_id"] == 2

    before = lake.files()
    restarted = EventSink(lake.spark, lake.storage, lake.config.lake)
    restarted.create()
    lake.sink = restarted
    lake.write(2)
    assert lake.files() == before
    with pytest.raises(DataLossError):
        lake.write(1)
    lake.write(3)
    assert len(lake.rows()) == 16


def test_a_table_gets_the_settings_that_it_lacks_and_those_that_have_changed(
    make_lake: Callable[[int], Any],
) -> None:
    lake = make_lake(0)
    assert DeltaTable(lake.events).version() == 0, "a new table gets them with its first commit"
    lake.spark.sql(f"ALTER TABLE delta.`{lake.events}` UNSET TBLPROPERTIES ('delta.logRetentionDuration')")
    for maintenance, hours in ((lake.maintenance, 24), (Maintenance(keep_deleted_files=timedelta(hours=3)), 3)):
        set_up(lake.spark, lake.events, maintenance)
        version = DeltaTable(lake.events).version()
        set_up(lake.spark, lake.events, maintenance)
        settings = DeltaTable(lake.events).metadata().configuration
        assert settings["delta.logRetentionDuration"] == f"interval {7 * 24 * 3600} seconds"
        assert settings["delta.deletedFileRetentionDuration"] == f"interval {hours * 3600} seconds"
        assert "delta.setTransactionRetentionDuration" not in settings
        assert DeltaTable(lake.events).version() == version, "settings that are there are written again"


def by_readers(lake: Any, table: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of a table, in one order, as each reader gives them. DuckDB gets its files from delta-rs: its own Delta
    extension is fetched from a server."""
    path = str(lake.paths[table])
    types = {name: pa.date32() if name == "date" else pa.string() for name in PARTITIONS[table]}
    by_path = ds.partitioning(pa.schema(types), flavor="hive")
    plain = ds.dataset(lake.files(table), format="parquet", partitioning=by_path, partition_base_dir=path)
    columns = [field.name for field in DeltaTable(path).schema().fields]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        relation = connection.sql(
            f"FROM read_parquet({lake.files(table)}, hive_partitioning = true, hive_types = "
            f"{{{', '.join(f'{name}: ' + ('DATE' if name == 'date' else 'VARCHAR') for name in types)}}})"
        )
        duck = relation.select(*columns).to_arrow_table()
    found = {
        "delta-rs": DeltaTable(path).to_pyarrow_table(),
        "pyarrow": plain.to_table(columns),
        "duckdb": duck,
        "spark": table_of(lake.spark.read.format("delta").load(path).select(columns)),
    }
    order = [(name, "ascending") for name in ("shard_id", "sequence_number")]
    return {name: rows.select(columns).sort_by(order).to_pylist() for name, rows in found.items()}


def test_readers_nobody_here_wrote_agree_on_every_value_before_and_after_compaction(
    make_lake: Callable[[int], Any],
) -> None:
    lake = make_lake(2)
    session = compaction_session(lake.spark)
    for table in PARTITIONS:
        before = by_readers(lake, table)
        compact(session, str(lake.paths[table]), lake.partitions(table), 1024 * 1024)
        after = by_readers(lake, table)
        assert len(after["delta-rs"]) == 2 * (4 if table == "events" else 1)
        for reader in before:
            assert before[reader] == before["delta-rs"], reader
            assert after[reader] == before["delta-rs"], reader
    # By name, from a catalog.
    lake.spark.sql(f"CREATE TABLE registered USING delta LOCATION '{lake.events}'")
    try:
        (found,) = lake.spark.sql("SELECT count(*) AS n FROM registered WHERE event_type = 'lesson'").collect()
        assert found["n"] == 4
    finally:
        lake.spark.sql("DROP TABLE registered")
    assert len(lake.rows()) == 8
    # No table feature that a reader may not know.
    for path in lake.paths.values():
        protocol = DeltaTable(str(path)).protocol()
        assert (protocol.min_reader_version, protocol.reader_features) == (1, None)
