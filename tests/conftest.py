"""One Spark session for the whole run, with the settings of the job; all that it writes goes to temporary folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyspark
import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir
from pyspark.sql import SparkSession

from class_archive import FAST_COMPILER
from event_lake.config import ENGINES, Checkpoint, Config, Dedup, Lake, Source, Trigger
from event_lake.session import create_session
from event_lake.storage import Storage
from kinesis_server import KinesisServer
from lake import CLASSES_VARIABLE, ENGINE_VARIABLE, LakeHouse
from lanes import JARS, LANE, LEFT_OUT, reason_to_leave_out

# Read when the JVM and its Python workers start: workers would otherwise be the system's python3, and look for
# somebody's real credentials.
os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "test"
os.environ["AWS_REGION"] = "us-east-1"
os.environ.pop("AWS_PROFILE", None)
os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"

# The same examples in every run; `pytest --hypothesis-profile=explore` looks further, at other ones each time.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", max_examples=20_000, database=None, deadline=None, print_blob=True)
settings.load_profile("repeatable")
# Here and not in a fixture: Hypothesis writes while tests are collected.
HYPOTHESIS_HOME = TemporaryDirectory(prefix="hypothesis-")
set_hypothesis_home_dir(HYPOTHESIS_HOME.name)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine", choices=ENGINES, default="index", help="dedup.engine of all tests that do not choose one themselves"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "index_only(reason): shows what only the engine of this name has")
    os.environ[ENGINE_VARIABLE] = config.getoption("--engine")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    here = Path(__file__).parent
    below = collection_path.relative_to(here) if collection_path.is_relative_to(here) else Path()
    return True if reason_to_leave_out(below.as_posix()) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if reason_to_leave_out(item.nodeid.removeprefix("tests/"))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the lane has left out, above pytest's own last line."""
    terminalreporter.write_line(f"lane {LANE}: Spark {pyspark.__version__}")
    for reason, names in LEFT_OUT[LANE].items():
        terminalreporter.write_line(f"left out in this lane ({reason}): {', '.join(names)}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    marker = item.get_closest_marker("index_only")
    if marker and item.config.getoption("--engine") != "index":
        pytest.skip(f"of the engine index: {marker.args[0]}")


@pytest.fixture(autouse=True, scope="module")
def own_recursion_limit() -> Iterator[None]:
    """The audit raises it in its workers, and so in this process where a test calls it here."""
    before = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(before)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    if not any(JARS.glob("io.delta_*.jar")):
        pytest.fail(f"{JARS} lacks the Delta jars; scripts/test puts them there")
    session = small_session(tmp_path_factory.mktemp("spark"))
    yield session
    session.stop()


def small_session(home: Path) -> SparkSession:
    """The session as `create_session` makes it for the job, small and on loopback."""
    # For classes that a test compiles (connector_stand_in.py); Java takes no folder that comes later.
    classes = Path(os.environ.get(CLASSES_VARIABLE, home / "classes"))
    classes.mkdir(exist_ok=True)
    small = {
        "master": "local[2]",
        "driver.host": "127.0.0.1",
        "driver.bindAddress": "127.0.0.1",
        "driver.memory": "1g",
        "driver.extraClassPath": f"{JARS}/*:{classes}",
        # Short runs on few cores: the second compiler and a parallel collector cost half of the time.
        "driver.extraJavaOptions": f"{FAST_COMPILER} -XX:+UseSerialGC -Dderby.system.home={home}",
        "local.dir": str(home / "local"),
        "sql.warehouse.dir": (home / "warehouse").as_uri(),
        "sql.shuffle.partitions": "2",
        "databricks.delta.snapshotPartitions": "1",
        "ui.enabled": "false",
        "ui.showConsoleProgress": "false",
    }
    return create_session(Config(Source(), Lake(), Checkpoint(), Dedup(), Trigger(), spark=small))


@pytest.fixture(scope="session")
def storage(spark: SparkSession) -> Storage:
    return Storage.of_session(spark)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[LakeHouse]:
    """A lake that has yet to be made, of a stream of two shards."""
    with KinesisServer() as server:
        server.create_stream("events", 2)
        yield LakeHouse(tmp_path, server)
