"""The events table by the hour: written so, changed to, refused where the configuration says otherwise, audited."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from event_lake.audit import Asked, Audit
from event_lake.belonging import check_layout
from event_lake.config_file import read_config
from event_lake.errors import ConfigError, DataLossError
from event_lake.sink import EventSink
from event_lake.upkeep.advice import advice
from event_lake.upkeep.partitions import Partition
from event_lake.upkeep.stopped import StoppedLake
from kinesis_server import KinesisServer
from lake import LakeHouse, event
from records import event_bytes, raw_records

MIB = 1024 * 1024
HOUR = 3600
BY_DATE, BY_HOUR = ("event_type", "date"), ("event_type", "date", "hour")


def with_level(lake: Any, level: str) -> EventSink:
    """The lake's sink as a start with this configuration makes it."""
    settings = ["source.stream=s", f"lake.path={lake.events}", f"lake.quarantine_path={lake.paths['quarantine']}"]
    settings += [f"checkpoint.path={lake.paths['events'].parent}/c", f"lake.partition_by={level}"]
    settings += ["maintenance.target_file_size=1 MB", "maintenance.most_small_files=3"]
    lake.config = read_config("", settings)
    lake.sink = EventSink(lake.spark, lake.storage, lake.config.lake)
    return lake.sink


def without_hour(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "hour"} for row in rows]


def test_a_table_that_is_written_anew_by_the_hour_has_every_row_knows_every_micro_batch_and_goes_back(
    make_lake: Callable[[int], Any],
) -> None:
    lake = make_lake(2)
    before, properties = lake.rows(), DeltaTable(lake.events).metadata().configuration
    with pytest.raises(
        ConfigError, match=r"lake\.partition_by asks for .* by event_type, date, hour, but .*--repartition"
    ):
        check_layout(with_level(lake, "hour"))
    said: list[str] = []

    def maintained(*, dry_run: bool = False) -> None:
        StoppedLake(lake.spark, lake.config, said.append, lambda: None).maintain(dry_run, anew=True)

    maintained(dry_run=True)
    assert lake.rows() == before
    maintained()
    assert any("written_anew partition_by=event_type,date,hour rows=8 files=2" in line for line in said)
    check_layout(lake.sink)
    assert tuple(DeltaTable(lake.events).metadata().partition_columns) == BY_HOUR
    assert DeltaTable(lake.events).metadata().configuration == properties
    assert without_hour(lake.rows()) == before
    assert {row["hour"] for row in lake.rows()} == {11}

    lake.sink.create()
    version = DeltaTable(lake.events).version()
    lake.write(1)  # a replay of the last one
    assert DeltaTable(lake.events).version() == version
    with pytest.raises(DataLossError):
        lake.write(0)
    lake.write(2)
    assert len(lake.rows()) == 12
    maintained()
    assert any("is laid out so already" in line for line in said)
    assert {part.files for part in lake.partitions()} == {1}

    with_level(lake, "date")
    maintained()
    assert tuple(DeltaTable(lake.events).metadata().partition_columns) == BY_DATE
    assert len(lake.rows()) == 12
    assert "hour" not in lake.rows()[0]


@pytest.mark.parametrize("file_format", ["parquet", "json"])
def test_plain_files_lie_by_the_hour_and_another_layout_is_refused(
    lake_with: Callable[..., Any], file_format: str
) -> None:
    lake = lake_with(f"lake.format={file_format}", "lake.partition_by=hour")
    check_layout(lake.sink)
    midnight = 1644796800
    events = [event_bytes(event_uuid=f"{n}", created_at=midnight + n * HOUR // 2) for n in range(6)]
    lake.write(0, raw_records(events))
    folders = sorted(str(folder.relative_to(lake.events)) for folder in Path(lake.events).glob("event_type=*/*/*"))
    assert folders == [f"event_type=lesson/date=2022-02-14/hour={hour}" for hour in range(3)]
    check_layout(lake.sink)
    kinds = {"event_type": pa.string(), "date": pa.date32(), "hour": pa.int32()}
    by_path = ds.partitioning(pa.schema(kinds), flavor="hive")
    rows = (
        ds.dataset(lake.events, format=file_format, partitioning=by_path).to_table(["event_uuid", "hour"]).to_pylist()
    )
    assert sorted((row["event_uuid"], row["hour"]) for row in rows) == [(f"{n}", n // 2) for n in range(6)]
    other = lake_with(f"lake.format={file_format}")
    with pytest.raises(ConfigError, match="back to hour"):
        check_layout(other.sink)


def test_an_audit_of_a_lake_by_the_hour_is_right_and_finds_a_row_in_the_wrong_hour(
    spark: SparkSession, tmp_path: Path
) -> None:
    with KinesisServer() as server:
        server.create_stream("events", 1)
        house = LakeHouse(tmp_path, server)
        for number in range(4):
            server.put("events", event(number, created_at=1644842400 + number * HOUR), arrival=time.time() - 60)
        house.run(spark, lake_partition_by="hour")
        assert {row["hour"] for row in house.events()} == {12, 13, 14, 15}

        def numbers() -> Counter[str]:
            with Audit(spark, house.config(lake_partition_by="hour"), Asked("trim_horizon")) as audit:
                return +Counter(audit.report(audit.find()).numbers)

        assert numbers() == Counter(received=4, stored=4)
        DeltaTable(str(house.events_path)).update({"hour": "3"}, predicate="event_uuid = 'u-0'")
        assert numbers() == Counter(received=4, stored=3, altered=1)


def hours(kind: str, data_bytes: int, day: int = 14) -> list[Partition]:
    newest = datetime(2022, 2, day, tzinfo=UTC) + timedelta(days=1)
    return [
        Partition(
            (("event_type", kind), ("date", f"2022-02-{day}"), ("hour", str(hour))),
            *(True, 3, data_bytes, 1, 64 * MIB, 3, 0, newest),
        )
        for hour in range(24)
    ]


def test_advice_says_when_a_level_for_the_hour_fits_and_when_it_does_not() -> None:
    busy, usual = hours("busy", 1000 * MIB), hours("usual", 10 * MIB)
    assert advice([*busy, *usual], 128 * MIB) == []
    (line,) = advice([*usual, *hours("usual", 20 * MIB, 15)], 128 * MIB)
    assert line.startswith("of all types event_type=usual has most a day, 360.0 MB")
    assert "set lake.partition_by = 'date', and run maintain_tables.py --repartition once" in line
    by_date = [
        Partition(part.values[:2], True, 200, 24 * part.data_bytes, 1, 64 * MIB, 3, 0, part.newest) for part in busy[:1]
    ]
    (line,) = advice(by_date, 128 * MIB)
    assert "set lake.partition_by = 'hour'" in line
    quarantine = [
        Partition(
            (("date", "2022-02-14"), ("problem", "not_json")),
            True,
            200,
            24000 * MIB,
            1,
            64 * MIB,
            3,
            0,
            by_date[0].newest,
        )
    ]
    (line,) = advice(quarantine, 128 * MIB)
    assert "partition_by" not in line, "only the events table has such a level"
