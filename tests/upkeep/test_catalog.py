"""Tables by name in a metastore, and by readers nobody here wrote, in every format."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from pyspark.sql import SparkSession

from event_lake.config_file import read_config
from event_lake.errors import ConfigError
from event_lake.schema import DUPLICATES, EVENTS, EVENTS_PARTITIONS, QUARANTINE
from event_lake.spark_api import table_of
from event_lake.upkeep.catalog import register

ROOT = Path(__file__).resolve().parents[2]
FORMATS = ("delta", "parquet", "json")
TABLES = {
    "events": ("events", EVENTS),
    "quarantine": ("quarantine", QUARANTINE),
    "duplicates": ("events_duplicates", DUPLICATES),
}


def places(lake: Any, folder: str, schema: Any, file_format: str) -> list[list[str]]:
    reader = lake.spark.read.format(file_format)
    frame = (reader if file_format == "delta" else reader.schema(schema)).load(str(lake.paths[folder]))
    return sorted([row["sequence_number"], row["shard_id"]] for row in frame.collect())


def test_tables_of_every_format_are_registered_in_a_metastore_that_outlives_the_session_and_read_by_name(
    lake_with: Callable[..., Any], tmp_path: Path
) -> None:
    lakes = {}
    for file_format in FORMATS:
        lakes[file_format] = lake_with(f"lake.format={file_format}", folder=file_format)
        lakes[file_format].write(0)
    folder = tmp_path / "catalog"
    folder.mkdir()
    command = [sys.executable, str(Path(__file__).parent / "catalog_process.py"), str(folder)]
    command += [f"{file_format}={tmp_path / file_format}" for file_format in FORMATS]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'jobs'}:{ROOT / 'tests'}"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["codes"] == {**{name: [0, 0] for name in FORMATS}, "nothing there": [2]}
    for file_format, lake in lakes.items():
        for table, (name, schema) in TABLES.items():
            assert sorted(told["read"][f"lake_{file_format}.{table}"]) == places(lake, name, schema, file_format), table
    assert len(told["read"]["lake_json.events"]) == 4


def test_a_catalog_that_ends_with_its_session_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    paths = [f"{key}={tmp_path}/{key}" for key in ("lake.path", "lake.quarantine_path", "checkpoint.path")]
    with pytest.raises(ConfigError, match=r'sql\.catalogImplementation = "hive"'):
        register(spark, read_config("", ["source.stream=s", *paths]), "lake", print)
    with pytest.raises(ConfigError, match="--database is 'a`b'"):
        register(spark, read_config("", ["source.stream=s", *paths]), "a`b", print)


@pytest.mark.parametrize("file_format", ["parquet", "json"])
def test_readers_nobody_here_wrote_agree_on_every_value_of_plain_files(
    lake_with: Callable[..., Any], file_format: str
) -> None:
    lake = lake_with(f"lake.format={file_format}")
    lake.write(0)
    path, columns = lake.events, EVENTS.fieldNames()
    times = ("created_datetime", "arrived_at", "stored_at")
    arrow = {field.name: pa.string() for field in EVENTS} | {name: pa.timestamp("us", tz="UTC") for name in times}
    arrow |= {"created_at": pa.int64(), "sub_sequence_number": pa.int64(), "date": pa.date32()}
    by_path = ds.partitioning(pa.schema({name: arrow[name] for name in EVENTS_PARTITIONS}), flavor="hive")
    plain = ds.dataset(path, pa.schema(arrow), format=file_format, partitioning=by_path)
    kinds = {pa.string(): "VARCHAR", pa.int64(): "BIGINT", pa.date32(): "DATE"}
    duck = {name: kinds.get(kind, "TIMESTAMPTZ") for name, kind in arrow.items()}
    in_files = {name: kind for name, kind in duck.items() if name not in EVENTS_PARTITIONS}
    in_path = {name: kind for name, kind in duck.items() if name in EVENTS_PARTITIONS}
    options = f"hive_partitioning = true, hive_types = {in_path}"
    if file_format == "json":
        options += f", columns = {in_files}, format = 'newline_delimited'"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        files = f"read_{file_format}('{path}/*=*/*=*/*.{file_format}', {options})"
        by_duckdb = connection.sql(f"SELECT {', '.join(columns)} FROM {files}").to_arrow_table()
    by_spark = table_of(lake.spark.read.schema(EVENTS).format(file_format).load(path).select(columns))
    found = [
        sorted(rows.select(columns).to_pylist(), key=lambda row: str(row["sequence_number"]))
        for rows in (by_spark, plain.to_table(columns), by_duckdb)
    ]
    assert len(found[0]) == 4
    assert found[1] == found[0]
    assert found[2] == found[0]
