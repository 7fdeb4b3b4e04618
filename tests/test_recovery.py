"""A new checkpoint from the tables: after it every event is there once, and every copy is known."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.checkpoint import CheckpointLog
from event_lake.config import Dedup
from event_lake.deduplicate import seed
from event_lake.deduplicate.folder import Folder
from event_lake.deduplicate.index import IndexEngine
from event_lake.deduplicate.manifest import SEEDED, Manifest
from event_lake.deduplicate.recognise import Recogniser
from event_lake.deduplicate.segment import open_keys
from event_lake.deduplicate.verdicts import DUPLICATE, QUARANTINED, STORED
from event_lake.delta_table import DeltaTableWriter
from event_lake.errors import ConfigError, DataLossError
from event_lake.mark import BatchMark
from event_lake.metrics import Counts
from event_lake.recovery import Recovery
from event_lake.schema import DELETIONS, EVENTS, QUARANTINE
from event_lake.sink import EventSink
from event_lake.storage import Storage
from lake import LakeHouse, event, until, uuids

pytestmark = pytest.mark.index_only("what is recovered is an index")
MINUTE = 60.0


def put(house: LakeHouse, numbers: Iterable[int]) -> None:
    for number in numbers:
        house.server.put("events", event(number), partition_key=str(number))


def sink_of(spark: SparkSession, house: LakeHouse, **settings: str) -> EventSink:
    return EventSink(spark, Storage.of_session(spark), house.config(**settings).lake)


def recovery(spark: SparkSession, house: LakeHouse, **settings: str) -> Recovery:
    sink = sink_of(spark, house, **settings)
    return Recovery(spark, Storage.of_session(spark), house.config(**settings), sink)


def duplicates(house: LakeHouse) -> list[str]:
    return sorted(row["event_uuid"] for row in house.duplicates())


def commits(table: Path) -> int:
    return sum('"txn"' in path.read_text() for path in (table / "_delta_log").glob("[0-9]*.json"))


def test_after_kill_9_between_two_tables_and_the_loss_of_the_checkpoint_everything_is_there_once(
    spark: SparkSession, house: LakeHouse
) -> None:
    put(house, range(40))
    house.server.put("events", b"broken 0")
    house.run(spark)
    put(house, range(20, 100))
    house.server.put("events", b"broken 1")
    # Quarantine, duplicates, events: before the third.
    house.run_killed("event_lake.delta_table:DeltaTableWriter.append", nth=3)
    assert [commits(path) for path in (house.quarantine_path, house.duplicates_path, house.events_path)] == [2, 1, 1]
    shutil.rmtree(house.checkpoint_path)

    put(house, range(90, 110))
    assert house.run(spark, recover=True) == Counts(received=101, stored=70, duplicates=30, quarantined=1)
    assert house.uuids() == uuids(range(110))
    assert duplicates(house) == sorted([*uuids(range(20, 40)), *uuids(range(90, 100))])
    assert sorted(row["data"] for row in house.quarantine()) == [b"broken 0", b"broken 1"]

    # Left in the command it does nothing more; the checkpoint is one like any other.
    put(house, range(105, 112))
    assert house.run(spark, recover=True) == Counts(received=7, stored=2, duplicates=5)


def test_sparks_engine_and_a_shorter_window_are_left_behind_for_the_index(
    spark: SparkSession, house: LakeHouse
) -> None:
    arrived = time.time() - 9 * 3600
    for number in range(20):
        house.server.put("events", event(number), partition_key=str(number), arrival=arrived)
    house.run(spark, dedup_engine="spark", dedup_window="1 hour")
    new = (house.folder / "checkpoint 2").as_uri()
    put(house, range(10, 30))
    with pytest.raises(ConfigError, match="is new, but the table"):
        house.run(spark, checkpoint_path=new, dedup_window="24 hours")
    counts = house.run(spark, recover=True, checkpoint_path=new, dedup_window="24 hours")
    assert counts == Counts(received=20, stored=10, duplicates=10)
    assert {row["gap_seconds"] // 3600 for row in house.duplicates()} == {9}
    with pytest.raises(DataLossError, match=r"another checkpoint than .* has been made from the table"):
        house.run(spark, dedup_engine="spark", dedup_window="1 hour")
    assert house.uuids() == uuids(range(30))


def test_a_recovery_that_is_killed_is_done_again_and_one_that_is_done_needs_no_flag(
    spark: SparkSession, house: LakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(house, range(10))
    house.run(spark)
    shutil.rmtree(house.checkpoint_path)

    class Killed(Exception):
        """The driver ends here."""

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(IndexEngine, "seed", killed)
        with pytest.raises(Killed):
            recovery(spark, house).run(bool)
    assert not (house.checkpoint_path / "recovered.json").exists()

    # It asks before each of its other steps, and is killed at each of them in turn.
    for steps in range(20):
        answers = iter(range(steps))

        def may_write(answers: Iterator[int] = answers) -> None:
            if next(answers, None) is None:
                raise Killed

        try:
            recovery(spark, house).run(may_write)
            break
        except Killed:
            assert not (house.checkpoint_path / "recovered.json").exists()
    assert steps == 4 + 3 + 1  # a table retired, a table looked through for what is unfinished, the checkpoint
    put(house, range(5, 15))
    assert house.run(spark) == Counts(received=10, stored=5, duplicates=5)


def test_a_recovered_checkpoint_that_another_one_has_overtaken_is_refused(
    spark: SparkSession, house: LakeHouse
) -> None:
    put(house, range(10))
    house.run(spark)
    late, soon = ((house.folder / name).as_uri() for name in ("late", "soon"))
    recovery(spark, house, checkpoint_path=late).run(bool)
    put(house, range(10, 20))
    house.run(spark, recover=True, checkpoint_path=soon)
    put(house, range(20, 30))
    with pytest.raises(DataLossError, match="has been written since"):
        house.run(spark, checkpoint_path=late)
    # Nor may it go on where its first micro-batch was begun.
    shutil.copytree(house.folder / "soon" / "offsets", house.folder / "late" / "offsets")
    (house.folder / "late" / "metadata").write_text('{"id":"6c1f0e0b-7d1c-4f43-9a55-2a1f3e9f7f10"}')
    with pytest.raises(DataLossError, match="has been written since"):
        house.run(spark, checkpoint_path=late)
    assert house.uuids() == uuids(range(20))


def test_an_index_that_was_made_from_another_state_of_the_table_is_not_looked_in(
    spark: SparkSession, storage: Storage, tmp_path: Path
) -> None:
    mark = BatchMark("old", 3, "[3]", None)
    (tmp_path / "recovered.json").write_text(mark.to_json())
    (tmp_path / "seen").mkdir()
    manifest = Manifest(SEEDED, "", replace(mark, end_offset="[2]").offset_hash, 0, ())
    (tmp_path / "seen" / "-1.json").write_text(manifest.to_json())
    engine = IndexEngine(spark, storage, CheckpointLog(storage, tmp_path.as_uri()), Dedup())
    engine.open()
    with pytest.raises(DataLossError, match="made from another state of the events table"):
        engine._before(BatchMark("new", 0, "[4]", None))


def quarantined(spark: SparkSession, stored_at: datetime) -> DataFrame:
    row: dict[str, Any] = dict.fromkeys(QUARANTINE.fieldNames())
    row |= {"problem": "empty", "stored_at": stored_at, "date": stored_at.date(), "shard_id": "unfinished"}
    return spark.createDataFrame([row], QUARANTINE)


def test_what_a_first_micro_batch_left_unfinished_is_taken_back_although_its_query_is_in_no_events_commit(
    spark: SparkSession, house: LakeHouse
) -> None:
    put(house, range(3))
    house.server.put("events", b"broken")
    house.run(spark)
    shutil.rmtree(house.checkpoint_path)
    # A checkpoint that was recovered, stored quarantine, and was lost in its turn.
    tables = sink_of(spark, house).tables
    quarantine = tables[QUARANTINED]
    moment = datetime(2026, 11, 27, 1, 2, 3, 456789, UTC)
    mark = BatchMark("a query that is in no events commit", 0, "{}", None)
    quarantine.append(quarantined(spark, moment), replace(mark, stored_at=moment.isoformat()), bool)
    assert len(house.quarantine()) == 2
    assert house.run(spark, recover=True) == Counts()
    assert [row["data"] for row in house.quarantine()] == [b"broken"]
    found = {verdict: table.last_batch(mark.query_id) for verdict, table in tables.items()}
    assert [verdict for verdict, last in found.items() if last is None or not last.retired] == []

    without = replace(mark, query_id="another")
    quarantine.append(quarantined(spark, moment + timedelta(days=1)), without, bool)
    shutil.rmtree(house.checkpoint_path)
    with pytest.raises(DataLossError, match="no commit says any more which rows"):
        house.run(spark, recover=True)


def test_a_driver_of_the_old_query_that_stood_still_in_its_commit_adds_nothing(
    spark: SparkSession, house: LakeHouse
) -> None:
    put(house, range(3))
    house.run(spark)
    tables = sink_of(spark, house).tables
    events = tables[STORED]
    assert isinstance(events, DeltaTableWriter)
    last = events.newest_mark()
    assert last is not None
    old = replace(last, batch_id=1)
    rows = spark.read.format("delta").load(events.path).limit(1).coalesce(1)
    begun, go_on = house.folder / "begun", house.folder / "go on"
    failure: list[Exception] = []

    def wait(
        batches: Iterable[pa.RecordBatch], begun: str = str(begun), go_on: str = str(go_on)
    ) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            Path(begun).touch()  # the rows are being written, so the transaction has begun
            while not os.path.exists(go_on):
                time.sleep(0.01)
            yield batch

    def commit() -> None:
        try:
            events.append(rows.mapInArrow(wait, EVENTS), old, bool)
        except Exception as error:  # noqa: BLE001 - whatever Delta raises is looked at below
            failure.append(error)

    standing = threading.Thread(target=commit)
    standing.start()
    until(lambda: begun.exists() or failure)
    shutil.rmtree(house.checkpoint_path)
    try:
        assert house.run(spark, recover=True) == Counts()
    finally:
        go_on.touch()
        standing.join(60)
    assert "ConcurrentTransactionException" in str(failure[0])
    events.append(rows, old, bool)  # and one that begins only now: Delta takes it for written
    assert house.uuids() == uuids(range(3))
    with pytest.raises(DataLossError, match="recovered into another checkpoint"):
        tables[DUPLICATE].is_written(old)


@pytest.mark.parametrize("moment", ["before", "amid"])
def test_what_a_driver_of_the_old_query_commits_until_it_is_retired_counts_as_stored(
    spark: SparkSession, house: LakeHouse, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    put(house, range(3))
    house.run(spark)
    shutil.rmtree(house.checkpoint_path)
    events = sink_of(spark, house).tables[STORED]
    assert isinstance(events, DeltaTableWriter)
    last = events.newest_mark()
    assert last is not None
    nothing, retire, steps = events.rows().limit(0), DeltaTableWriter._retire, iter(range(100))

    def commit() -> None:
        events.append(nothing, replace(last, batch_id=1), bool)

    def may_write() -> None:
        if next(steps) == 3 and moment == "before":  # the events table is the fourth to be retired in
            commit()

    def overtaken(table: DeltaTableWriter, query_id: str, batch_id: int) -> None:
        if table.path == events.path and batch_id == 0:
            commit()
        retire(table, query_id, batch_id)

    if moment == "amid":
        monkeypatch.setattr(DeltaTableWriter, "_retire", overtaken)
    recovery(spark, house).run(may_write)
    assert json.loads((house.checkpoint_path / "recovered.json").read_text())["batch_id"] == 1
    assert events.last_number(last.query_id) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dedup_engine": "spark"}, r"needs dedup.engine = \"index\".*copies would be stored again"),
        ({"lake_format": "parquet"}, r"needs Delta tables.*Read the stream again"),
        ({"source_kind": "files", "source_path": "file:/nowhere"}, r"needs source.kind = \"kinesis\""),
        ({}, r"there is nothing to recover from"),
    ],
)
def test_what_cannot_be_recovered_exactly_is_refused_with_the_reason(
    spark: SparkSession, house: LakeHouse, settings: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        recovery(spark, house, **settings).run(bool)
    assert not house.events_path.exists()


def test_tables_of_another_stream_are_not_recovered_from(spark: SparkSession, house: LakeHouse) -> None:
    put(house, range(3))
    house.run(spark)
    versions = len(list((house.events_path / "_delta_log").glob("*.json")))
    shutil.rmtree(house.checkpoint_path)
    with pytest.raises(ConfigError, match=r'the table .* was written for the stream "events"'):
        house.run(spark, recover=True, source_stream="others")
    assert len(list((house.events_path / "_delta_log").glob("*.json"))) == versions


def test_an_index_is_made_of_many_keys_in_several_spans_and_of_the_last_window_only(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed, "MOST_AT_ONCE", 20)
    hour = 3_600_000_000
    begin = 1_700_000_000_000_000 // hour * hour
    stored = spark.range(100).select(
        F.concat(F.lit("u-"), "id").alias("event_uuid"),
        F.timestamp_micros(begin + F.col("id") * (hour // 10)).alias("arrived_at"),  # ten an hour
        F.lit("{}").alias("payload"),
        F.lit("shard").alias("shard_id"),
        F.col("id").cast("string").alias("sequence_number"),
        F.lit(0).cast("long").alias("sub_sequence_number"),
    )
    folder = Folder((tmp_path / "segments").as_uri())
    recogniser = Recogniser(folder, (), 2, "seed-x", 0, begin + 1000 * hour, hour)
    segments = seed.seeded(stored, spark.createDataFrame([], DELETIONS), recogniser, begin + 4 * hour)
    assert sum(segment.rows for segment in segments) == 60
    assert {segment.until for segment in segments} == {begin + n * hour for n in range(5, 11)}
    assert len({segment.name for segment in segments}) == len(segments) == 12
    arrived = sorted(time for segment in segments for time in open_keys(str(folder.local(segment.name))).arrived)
    assert arrived == [begin + n * (hour // 10) for n in range(40, 100)]
