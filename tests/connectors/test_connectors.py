"""source.kind "aws-kinesis" and "glue-kinesis": the real job over a stand-in with the connector's exact columns."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import connector_stand_in
from connector_stand_in import ARRIVED, Record, StandInStream
from event_lake.belonging import check_source
from event_lake.config_file import read_config
from event_lake.connectors import options
from event_lake.connectors.limits import check_limits
from event_lake.errors import ConfigError
from event_lake.metrics import Counts
from event_lake.pipeline import run
from event_lake.stop import StopRequest
from event_lake.storage import Storage
from lake import CLASSES_VARIABLE, LakeHouse, event, uuids
from packing import packed

EXACT = {"source.stream": "events", "lake.path": "e", "lake.quarantine_path": "q", "checkpoint.path": "c"}
TABLES = "event_lake.delta_table:DeltaTableWriter.append"


class StopWhen(StopRequest):
    """A stop that is asked for once a condition holds."""

    def __init__(self, storage: Storage, checkpoint: str, condition: Callable[[], bool]) -> None:
        super().__init__(storage, checkpoint)
        self._condition = condition

    def made(self) -> bool:
        return self._condition()


class ConnectorHouse(LakeHouse):
    """A lake whose stream a connector reads."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.stream_of_ours = StandInStream(folder / "connector")
        self.stream_of_ours.folder.mkdir()
        super().__init__(folder, self.stream_of_ours)  # type: ignore[arg-type]
        for exact_only in ("source.hold_back", "source.retry_for"):
            del self.settings[exact_only]
        self.settings |= {"source.kind": kind, "trigger.interval": "100 ms"}
        self.settings.pop("source.path", None)

    def carry(self) -> None:
        """On Spark 3.5 other houses carry their stream into files first; here the connector reads it there, too."""

    def run_through(self, spark: SparkSession, batch: int, **overrides: str) -> Counts:
        """The job in this process until the micro-batch of this number is committed."""
        config = self.config(**overrides)
        commit = self.checkpoint_path / "commits" / str(batch)
        stop = StopWhen(Storage.of_session(spark), config.checkpoint.path, commit.exists)
        return run(spark, config, stop)


@pytest.fixture(scope="module")
def classes(spark: SparkSession) -> Path:
    return connector_stand_in.install(spark)


@pytest.fixture
def house(classes: Path, tmp_path: Path) -> ConnectorHouse:
    return ConnectorHouse(tmp_path, "aws-kinesis")


@pytest.mark.index_only("lists duplicates")
def test_a_connectors_events_are_stored_once_through_kill_9_and_restarts(
    house: ConnectorHouse, classes: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = house.stream_of_ours
    stream.put([*map(event, range(10)), b"broken", b'{"event_uuid":"u-x"}'])
    stream.put([*map(event, range(5, 15)), b"broken"])
    monkeypatch.setenv(CLASSES_VARIABLE, str(classes))
    house.run_killed(TABLES, nth=5)  # in the second micro-batch: in quarantine and duplicates, not yet in events
    assert house.uuids() == uuids(range(10))
    assert len(house.quarantine()) == 3

    replayed = house.run_through(spark, 1)
    assert replayed == Counts(received=11, stored=5, duplicates=5, quarantined=1)
    stream.put(map(event, range(12, 20)))
    after = house.run_through(spark, 2)
    assert after == Counts(received=8, stored=5, duplicates=3)

    assert house.uuids() == uuids(range(20))
    assert sorted(row["event_uuid"] for row in house.duplicates()) == uuids([*range(5, 10), *range(12, 15)])
    assert sorted(row["problem"] for row in house.quarantine()) == ["event_name_missing", "not_json", "not_json"]
    assert {row["shard_id"] for row in house.events()} == {None}
    assert {row["arrived_at"] for row in house.events()} == {ARRIVED}
    asked_for = {key: value for key, value in stream.starts()[-1].items() if key.startswith("kinesis.")}
    assert asked_for == options.connector_options(house.config().source)
    # A micro-batch is read once in each run that it is in, whatever is made of it: aws-kinesis does not allow more.
    assert sorted(stream.reads()[-2:]) == ["2 shardId-000000000000", "2 shardId-000000000001"]
    assert len(stream.reads()) == 2 * (2 + 1 + 1)


@pytest.mark.parametrize("kind", ["aws-kinesis", "glue-kinesis"])
def test_old_records_behind_fresh_ones_are_never_late_and_copies_in_one_packed_record_are_found(
    house: ConnectorHouse, spark: SparkSession, tmp_path: Path, kind: str
) -> None:
    house.settings |= {"source.kind": kind, "dedup.engine": "spark"}
    stream = house.stream_of_ours
    stream.put(map(event, range(10)))
    old = ARRIVED - timedelta(days=30)
    inside = [event(20), event(20), b"broken", b"broken"]  # as aws-kinesis yields them: with one sequence number
    stream.put(
        [
            *(Record(event(n), str(n), arrived=old) for n in range(5, 15)),
            *(Record(data, "900") for data in inside),
            Record(packed(event(30), event(30), b"broken", event(31)), "901"),
        ]
    )
    totals = house.run_through(spark, 1)
    assert totals == Counts(received=28, stored=18, duplicates=7, quarantined=3)
    assert house.uuids() == uuids([*range(15), 20, 30, 31])
    places = {(row["sequence_number"], row["sub_sequence_number"]) for row in house.quarantine()}
    assert len(places) == len(house.quarantine()) == 3


@pytest.mark.parametrize("kind", ["aws-kinesis", "glue-kinesis"])
def test_what_a_connector_does_not_guarantee_is_said_at_start(
    house: ConnectorHouse, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    with caplog.at_level(logging.WARNING, "event_lake"):
        check_limits(house.config(source_kind=kind).source, until_caught_up=False)
        check_limits(read_config("", [f"{key}={value}" for key, value in EXACT.items()]).source, until_caught_up=True)
    (said,) = caplog.records
    assert said.levelname == "WARNING"
    assert f"source={kind} cannot guarantee" in said.message


@pytest.mark.parametrize("kind", ["aws-kinesis", "glue-kinesis"])
def test_until_caught_up_is_refused_where_nobody_can_tell_the_streams_end(
    house: ConnectorHouse, spark: SparkSession, kind: str
) -> None:
    with pytest.raises(ConfigError, match="--until-caught-up") as refused:
        house.run(spark, source_kind=kind)
    assert refused.value.exit_code == 2
    assert not house.events_path.exists()


def test_a_recovery_is_refused_and_nothing_is_changed(house: ConnectorHouse, spark: SparkSession) -> None:
    config = house.config()
    stop = StopRequest(Storage.of_session(spark), config.checkpoint.path)
    with pytest.raises(ConfigError, match="--recover"):
        run(spark, config, stop, recover=True)
    assert not house.events_path.exists()


def test_a_connector_that_is_not_there_is_named(
    house: ConnectorHouse, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(options.FORMATS, "aws-kinesis", "kinesis-of-nobody")
    with pytest.raises(ConfigError, match="no source named kinesis-of-nobody"):
        house.run_through(spark, 0)


SHARDS = '{"stream":"events","shards":{}}'
CONNECTORS_OFFSET = (
    '{"metadata":{"streamName":"events","batchId":"3"},"shardId-000000000000":{"iteratorType":"LATEST"}}'
)
FILES = '{"logOffset":3}'


@pytest.mark.parametrize(
    ("kind", "offset"),
    [("aws-kinesis", CONNECTORS_OFFSET), ("glue-kinesis", CONNECTORS_OFFSET), ("glue-kinesis", FILES)],
)
def test_a_checkpoint_that_a_connector_may_have_written_is_its_own(
    house: ConnectorHouse, kind: str, offset: str
) -> None:
    check_source("the checkpoint", offset, house.config(source_kind=kind).source)


@pytest.mark.parametrize(
    ("settings", "offset", "named"),
    [
        ({"source_kind": "aws-kinesis"}, SHARDS, "source.kind"),
        ({"source_kind": "glue-kinesis"}, SHARDS, "source.kind"),
        ({"source_kind": "kinesis"}, CONNECTORS_OFFSET, "source.kind"),
        ({"source_kind": "files", "source_path": "/in"}, CONNECTORS_OFFSET, "source.kind"),
        ({"source_kind": "aws-kinesis"}, FILES, "source.kind"),
        ({"source_kind": "aws-kinesis", "source_stream": "others"}, CONNECTORS_OFFSET, "source.stream"),
        ({"source_kind": "glue-kinesis", "source_stream": "others"}, CONNECTORS_OFFSET, "source.stream"),
    ],
)
def test_another_kind_of_source_or_stream_is_refused_on_a_checkpoint(
    house: ConnectorHouse, settings: dict[str, str], offset: str, named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        check_source("the checkpoint", offset, house.config(**settings).source)
