"""Checkpoints, tables and streams that do not belong together are refused at start; what only looks so goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from event_lake.errors import ConfigError, DataLossError, EventLakeError
from event_lake.metrics import Counts
from kinesis_server import KinesisServer
from lake import LakeHouse, event

Change = Callable[[LakeHouse], Any]
ANOTHER_QUERY = '{"id":"6c1f0e0b-7d1c-4f43-9a55-2a1f3e9f7f10"}'


@pytest.fixture(scope="module")
def written(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeHouse]:
    """A lake after two micro-batches with good, bad and repeated records."""
    with KinesisServer() as server:
        server.create_stream("events", 2)
        house = LakeHouse(tmp_path_factory.mktemp("lake"), server)
        for numbers in (range(10), range(5, 15)):
            for number in numbers:
                server.put("events", event(number), partition_key=str(number))
            server.put("events", b"broken")
            house.run(spark)
        yield house


@pytest.fixture
def house(written: LakeHouse, tmp_path: Path) -> LakeHouse:
    """A copy of it, for one test to spoil."""
    shutil.copytree(written.folder, tmp_path, dirs_exist_ok=True)
    return LakeHouse(tmp_path, written.server)


def remove(*names: str) -> Change:
    def change(house: LakeHouse) -> None:
        for path in (house.folder / name for name in names):
            (path.parent / f".{path.name}.crc").unlink(missing_ok=True)
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def replace_in(name: str, old: str, new: str) -> Change:
    def change(house: LakeHouse) -> None:
        path = house.folder / name
        text = path.read_text()
        assert old in text
        remove(name)(house)
        path.write_text(text.replace(old, new, 1))

    return change


def take_back_the_table(house: LakeHouse) -> None:
    """To the version before its last commit, as restoring it from a copy does."""
    last = max((house.events_path / "_delta_log").glob("*.json"))
    for path in last.parent.glob(f"*{last.stem}.*"):
        path.unlink()


def all_of(*changes: Change) -> Change:
    return lambda house: [change(house) for change in changes]


def name_another_query(house: LakeHouse) -> None:
    (house.checkpoint_path / "metadata").write_text(ANOTHER_QUERY)


def lose_a_segment(house: LakeHouse) -> None:
    manifest = json.loads((house.checkpoint_path / "seen" / "1.json").read_text())
    (house.checkpoint_path / "seen" / "segments" / manifest["segments"][0]["name"]).unlink()


def make_the_table_anew(house: LakeHouse) -> None:
    shutil.rmtree(house.events_path)
    shutil.copytree(house.quarantine_path, house.events_path)  # a table of another query's, to this checkpoint
    for commit in (house.events_path / "_delta_log").glob("*.json"):
        commit.write_text(commit.read_text().replace("event-lake-quarantine-", "event-lake-events-x"))
    for checksum in (house.events_path / "_delta_log").glob("*.crc"):
        checksum.unlink()


REFUSED: dict[str, tuple[Change, type[EventLakeError], str]] = {
    "a fresh checkpoint": (remove("checkpoint"), ConfigError, r"checkpoint.path .* is new.*stored again.*--recover"),
    "a fresh checkpoint, and a table of bad records only": (
        remove("checkpoint", "events", "events_duplicates"),
        ConfigError,
        r"is new, but the table .*quarantine",
    ),
    "a first micro-batch that was only begun, and a table of another query's": (
        all_of(remove("checkpoint/offsets/1", "checkpoint/commits", "checkpoint/metadata"), name_another_query),
        ConfigError,
        r"is new, but the table .*events holds",
    ),
    "a table that is gone": (remove("events"), DataLossError, r"up to 1 are stored, but the table .* has none of them"),
    "a table that was made anew": (make_the_table_anew, DataLossError, r"has none of them.*“Reading the stream again”"),
    "a table that was taken back": (take_back_the_table, DataLossError, r"has only those up to 0"),
    "a table that is gone, and the commit log too": (
        remove("events", "checkpoint/commits"),
        DataLossError,
        r"up to 0 are stored, but the table .* has none of them",
    ),
    "checkpoint and events as they were before, and a quarantine of today": (
        all_of(take_back_the_table, remove("checkpoint/offsets/1", "checkpoint/commits/1")),
        DataLossError,
        r"the table .*quarantine holds micro-batch 1 of this query, but .* has planned up to 0",
    ),
    "an offset log that has lost its last entry": (
        remove("checkpoint/offsets/1"),
        DataLossError,
        r"lost the offset log's entries behind micro-batch 0",
    ),
    "an offset log that has lost its last entry, and the commit log too": (
        remove("checkpoint/offsets/1", "checkpoint/commits/1"),
        DataLossError,
        r"holds micro-batch 1 of this query, but .* has planned up to 0.*checkpoint is older than the table",
    ),
    "an offset log with another last entry": (
        replace_in("checkpoint/offsets/1", '"through": "2', '"through": "1'),
        DataLossError,
        r"has planned other records for it",
    ),
    "an offset log with another entry for what the table has": (
        all_of(
            take_back_the_table,
            remove("checkpoint/commits/1"),
            replace_in("checkpoint/offsets/0", '"through": "2', '"through": "1'),
        ),
        DataLossError,
        r"the table .*events holds micro-batch 0 .*has planned other records for it",
    ),
    "an offset log that has lost the entry before": (
        remove("checkpoint/offsets/0"),
        DataLossError,
        r"offsets/0 is missing",
    ),
    "an offset log that is gone": (remove("checkpoint/offsets"), DataLossError, r"has lost the offset log"),
    "a query without a name": (remove("checkpoint/metadata"), DataLossError, r"has lost the file `metadata`"),
    "another Spark version's offset log": (
        replace_in("checkpoint/offsets/1", "v1", "v2"),
        ConfigError,
        r"not an offset log of format v1",
    ),
    "an index without its manifest": (remove("checkpoint/seen/1.json"), DataLossError, r"seen/1.json is missing"),
    "an index without a segment": (lose_a_segment, DataLossError, r"is gone, and with it the keys"),
}


def of_the_engine_index(what: str) -> Any:
    mark = [pytest.mark.index_only("the files of its index")] if what.startswith("an index") else []
    return pytest.param(what, marks=mark)


@pytest.mark.parametrize("what", [of_the_engine_index(what) for what in REFUSED])
def test_what_does_not_belong_together_is_refused_before_anything_is_read(
    spark: SparkSession, house: LakeHouse, what: str
) -> None:
    change, error, said = REFUSED[what]
    change(house)
    before = (len(house.events()), len(house.quarantine()), len(house.duplicates()))
    house.server.clear_calls()
    with pytest.raises(error, match=said):
        house.run(spark)
    assert (len(house.events()), len(house.quarantine()), len(house.duplicates())) == before
    assert not house.server.calls("GetRecords")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"source_stream": "others"}, r'source.stream is "others", but .* written for the stream "events"'),
        ({"source_kind": "files", "source_path": "file:/nowhere"}, r"written with another kind of source"),
        pytest.param(
            *({"dedup_engine": "spark"}, r'written with "index"'),
            marks=pytest.mark.index_only("the other way round is in deduplicate/test_index.py"),
        ),
        ({"lake_path": "elsewhere"}, r"has none of them"),
    ],
)
def test_a_configuration_of_something_else_is_refused(
    spark: SparkSession, house: LakeHouse, settings: dict[str, str], said: str
) -> None:
    if "lake_path" in settings:
        settings = {"lake_path": (house.folder / "elsewhere").as_uri()}
    with pytest.raises((ConfigError, DataLossError), match=said):
        house.run(spark, **settings)
    assert not (house.folder / "elsewhere").exists()


def test_a_lost_commit_log_and_a_table_that_was_compacted_and_cleaned_since_are_no_hindrance(
    spark: SparkSession, house: LakeHouse
) -> None:
    remove("checkpoint/commits")(house)  # the last micro-batch is replayed, and found to be stored
    table = DeltaTable.forPath(spark, house.events_path.as_uri())
    table.optimize().executeCompaction()
    before = house.uuids()
    house.run(spark)
    assert house.uuids() == before

    # The log as retention leaves it: the commit with the last mark is gone.
    for interval in (1, 2):  # every commit is followed by a checkpoint from the first of these on
        spark.sql(f"ALTER TABLE delta.`{house.events_path}` SET TBLPROPERTIES (delta.checkpointInterval = {interval})")
    assert list((house.events_path / "_delta_log").glob("*.checkpoint.parquet"))
    for commit in sorted((house.events_path / "_delta_log").glob("[0-9]*.json"))[:-1]:
        commit.unlink()
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    house.server.put("events", event("new"))
    assert house.run(spark).stored == 1


def test_the_stream_may_be_given_by_its_arn(spark: SparkSession, house: LakeHouse) -> None:
    before = len(house.uuids())
    counts = house.run(spark, source_stream="arn:aws:kinesis:us-east-1:000000000000:stream/events")
    assert counts == Counts(received=counts.stored, stored=len(house.uuids()) - before)


def test_a_stream_that_was_made_again_is_refused(spark: SparkSession, house: LakeHouse) -> None:
    with KinesisServer() as other:
        other.create_stream("events", 2)
        other.put("events", event("new"))
        with pytest.raises(DataLossError, match="deleted and made again"):
            house.run(spark, source_endpoint_url=other.endpoint_url)
    assert "u-new" not in house.uuids()


@pytest.mark.parametrize("file_format", ["parquet"])
def test_plain_files_are_compared_with_their_checkpoint_too(
    spark: SparkSession, tmp_path: Path, written: LakeHouse, file_format: str
) -> None:
    house = LakeHouse(tmp_path, written.server)
    house.run(spark, lake_format=file_format)
    shutil.copytree(house.checkpoint_path, tmp_path / "copy")
    shutil.rmtree(house.checkpoint_path)
    with pytest.raises(ConfigError, match="is new, but the table"):
        house.run(spark, lake_format=file_format)
    shutil.move(tmp_path / "copy", house.checkpoint_path)
    shutil.rmtree(house.events_path)
    with pytest.raises(DataLossError, match="has none of them"):
        house.run(spark, lake_format=file_format)
