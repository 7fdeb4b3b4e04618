"""A lake of three Delta tables in a temporary folder, filled through the job's own sink."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from event_lake.config import Bytes, Config, Maintenance
from event_lake.config_file import read_config
from event_lake.mark import BatchMark
from event_lake.placement import volumes
from event_lake.sink import EventSink
from event_lake.storage import Storage
from event_lake.upkeep.partitions import Partition, partitions
from event_lake.upkeep.settings import for_new_tables
from records import Record, event_bytes, judged_frame, raw_records

QUERY = "0b6c1f0e-7d1c-4f43-9a55-2a1f3e9f7f10"
STORED = datetime(2022, 2, 14, 12, 1, tzinfo=UTC)
TODAY = date(2022, 2, 15)  # all records are of the day before
TARGET = 1024 * 1024
MOST_BATCHES = 3


class SmallLake:
    def __init__(self, spark: SparkSession, folder: Path, *settings: str) -> None:
        self.spark = spark
        self.storage = Storage.of_session(spark)
        self.paths = {name: folder / name for name in ("quarantine", "events_duplicates", "events")}
        self.maintenance = Maintenance(target_file_size=Bytes(TARGET), most_small_files=3)
        self.config: Config = read_config(
            "",
            [
                "source.stream=s",
                f"lake.path={self.paths['events']}",
                f"lake.quarantine_path={self.paths['quarantine']}",
                f"checkpoint.path={folder / 'checkpoint'}",
                "maintenance.target_file_size=1 MB",
                "maintenance.most_small_files=3",
                *settings,
            ],
        )
        for_new_tables(spark, self.maintenance)
        self.sink = EventSink(spark, self.storage, self.config.lake)
        self.sink.create()

    @property
    def events(self) -> str:
        return str(self.paths["events"])

    def write(self, batch_id: int, records: list[Record] | None = None) -> None:
        batch = judged_frame(self.spark, some(batch_id) if records is None else records).persist()
        try:
            self.sink.write(batch, volumes(batch), mark(batch_id), STORED)
        finally:
            batch.unpersist()

    def partitions(self, table: str = "events", today: date = TODAY) -> list[Partition]:
        return partitions(self.spark, str(self.paths[table]), TARGET, today)

    def files(self, table: str = "events") -> list[str]:
        return sorted(DeltaTable(str(self.paths[table])).file_uris())

    def rows(self, table: str = "events") -> list[dict[str, Any]]:
        found = DeltaTable(str(self.paths[table])).to_pyarrow_table().to_pylist()
        return sorted(found, key=lambda row: (row["sequence_number"], row["stored_at"], row["shard_id"]))

    def commits(self, table: str = "events") -> list[list[dict[str, Any]]]:
        """The actions of every commit that still stands in the log, oldest first."""
        files = sorted((self.paths[table] / "_delta_log").glob("[0-9]*[0-9].json"))
        return [[json.loads(line) for line in file.read_text().splitlines()] for file in files]


def mark(batch_id: int) -> BatchMark:
    return BatchMark(QUERY, batch_id, json.dumps({"logOffset": batch_id}), complete_through=None)


def some(batch_id: int) -> list[Record]:
    """Four events of two types, a copy and a bad record; each micro-batch has its own."""
    names = ("lesson:started", "account:created", "lesson:completed", "account:deleted")
    events = [event_bytes(event_uuid=f"{batch_id}-{n}", event_name=name) for n, name in enumerate(names)]
    good = raw_records(events, shardId=f"shardId-{batch_id:012}")
    return [*good, {**good[0], "partitionKey": "copy"}, {**good[1], "data": b"{" * (1 + batch_id)}]


@pytest.fixture(scope="session")
def templates(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Lakes with 0, 1, 2 and 3 micro-batches in them, to be copied: a micro-batch costs more than a copy of all."""
    home = tmp_path_factory.mktemp("lakes")
    folders = [home / f"{batches}" for batches in range(MOST_BATCHES + 1)]
    SmallLake(spark, folders[0])
    for batches, folder in enumerate(folders[1:]):
        shutil.copytree(folders[batches], folder)
        SmallLake(spark, folder).write(batches)
    return folders


@pytest.fixture
def make_lake(spark: SparkSession, templates: list[Path], tmp_path: Path) -> Callable[[int], SmallLake]:
    """A lake with so many micro-batches in it."""

    def make(batches: int) -> SmallLake:
        shutil.copytree(templates[batches], tmp_path, dirs_exist_ok=True)
        return SmallLake(spark, tmp_path)

    return make


@pytest.fixture
def lake_with(spark: SparkSession, tmp_path: Path) -> Callable[..., SmallLake]:
    """An empty lake, with settings of its own."""

    def make(*settings: str, folder: str = "lake") -> SmallLake:
        return SmallLake(spark, tmp_path / folder, *settings)

    return make
