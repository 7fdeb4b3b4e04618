"""The notebooks, each cell of them, against a stream and a lake as scripts/notebook makes them."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from pyspark.sql import SparkSession

import class_archive
from event_lake.config import Config
from event_lake.config_file import read_config
from event_lake.errors import ConfigError
from event_lake.explore import open_lake
from event_lake.explore.micro_batches import COLUMNS, measured, recounted
from event_lake.pipeline import run
from event_lake.stop import StopRequest
from event_lake.storage import Storage
from kinesis_server import KinesisServer
from lake import ROOT, rows

sys.path.insert(0, str(ROOT / "scripts" / "lib"))
from notebook import CREDENTIALS, LOCAL, kernel_environment, made_up

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CELL_SECONDS = 120
PUT = 1500
# What a reader does not type between two looks at a table; it belongs into the project's code.
LOGIC = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.If, ast.For, ast.While, ast.Try, ast.comprehension)
SETTINGS = ("spark.sql.shuffle.partitions=2", "spark.databricks.delta.snapshotPartitions=1", "lease.time=1 second")


def book(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code(path: Path) -> list[Any]:
    return [cell for cell in book(path).cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def settings(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Those of a lake that the job has stored in three micro-batches."""
    with KinesisServer() as server:
        made = [*made_up(server, tmp_path_factory.mktemp("lake"), PUT, types=5, slices=3), *SETTINGS]
        config = configured(made)
        stop = StopRequest(Storage.of_session(spark), config.checkpoint.path)
        run(spark, config, stop, until_caught_up=True)
        yield made


def configured(settings: list[str]) -> Config:
    return read_config(LOCAL.read_text(), settings)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    """What a person saw may be other people's data."""
    left = [cell.id for cell in code(path) if cell.outputs or cell.execution_count is not None or cell.metadata]
    assert not left, f"clear them: .venv/bin/jupyter nbconvert --clear-output --inplace {path.relative_to(ROOT)}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_logic_of_its_own(path: Path) -> None:
    nodes = [node for cell in code(path) for node in ast.walk(ast.parse(cell.source))]
    assert [ast.unparse(node) for node in nodes if isinstance(node, LOGIC)] == []
    imported = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imported == ["from event_lake.explore import open_lake"]


@pytest.mark.index_only("a list of duplicates")
def test_every_cell_runs_and_shows_what_it_says(settings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CREDENTIALS, "SPARK_SUBMIT_OPTS": class_archive.java_options()}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EVENT_LAKE_DRIVER_MEMORY", "1g")
    # One kernel for all, emptied in between: Spark starts once.
    kernel = KernelManager(kernel_name="python3")
    kernel.start_kernel(env=kernel_environment(str(LOCAL), settings))
    books = {path.stem: book(path) for path in NOTEBOOKS}
    try:
        for read in books.values():
            read.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
            NotebookClient(read, km=kernel, timeout=CELL_SECONDS).execute()
    finally:
        kernel.shutdown_kernel(now=True)
    shown = {cell.id: cell.outputs for read in books.values() for cell in read.cells if cell.cell_type == "code"}
    assert [name for name, outputs in shown.items() if any(output.get("name") == "stderr" for output in outputs)] == []
    charts = {name for name, outputs in shown.items() if any("image/png" in data(output) for output in outputs)}
    assert charts == {"arrivals", "plot", "duplicates", "apart", "latency", "volume"}
    copies = int(re.search(r"(\d+)\s*$", text(shown["uuid"]))[1])  # type: ignore[index]
    assert copies > 1
    assert rows_of(shown["uuid-rows"]) == rows_of(shown["uuid-records"]) == copies + 1
    received, *parts, unaccounted = (int(number) for number in text(shown["accounting"]).split()[-5:])
    assert (received, sum(parts), unaccounted) == (PUT, PUT, 0)
    through = datetime.fromisoformat(shown["complete"][0]["text"].strip())
    assert timedelta() < datetime.now(UTC) - through < timedelta(minutes=10)
    codes = {row["problem"] for row in rows(Path(unquote(urlsplit(configured(settings).lake.quarantine_path).path)))}
    assert len(codes) > 2
    assert rows_of(shown["quarantine"]) == len(codes)
    assert [code for code in codes if code not in data(shown["quarantine"][0])["text/html"]] == []


def data(output: Any) -> dict[str, str]:
    return output.get("data", {})


def text(outputs: list[Any]) -> str:
    return data(outputs[0])["text/plain"]


def rows_of(outputs: list[Any]) -> int:
    return data(outputs[0])["text/html"].count("<tr") - 1  # without the header


@pytest.mark.index_only("a list of duplicates")
def test_micro_batches_counted_from_the_tables_are_those_that_were_measured(
    spark: SparkSession, settings: list[str]
) -> None:
    config = configured(settings)
    paths = (config.lake.path, config.lake.duplicates_path, config.lake.quarantine_path)
    tables = [spark.read.format("delta").load(path) for path in paths]
    by_rows = recounted(*tables).orderBy("stored_at").collect()
    by_metrics = measured(spark.read.format("delta").load(config.metrics.table_path)).orderBy("stored_at").collect()
    assert len(by_metrics) > 2
    counts, latencies, unknown = COLUMNS[:6], COLUMNS[6:-3], COLUMNS[-3:]
    for counted, told in zip(by_rows, by_metrics, strict=True):
        assert [counted[name] for name in counts] == [told[name] for name in counts]
        # By the next rank, where the one asked for lies between two.
        assert [counted[name] for name in latencies] == pytest.approx([told[name] for name in latencies], rel=0.02)
        assert [counted[name] for name in unknown] == [None] * 3


def test_without_a_configuration_it_is_said_how_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENT_LAKE_CONFIG", raising=False)
    with pytest.raises(ConfigError, match="EVENT_LAKE_CONFIG"):
        open_lake()
