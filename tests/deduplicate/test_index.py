"""The engine "index" in real queries: verdicts, restarts, replays, and checkpoints that are not its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from event_lake.checkpoint import CheckpointLog
from event_lake.config import Checkpoint, Config, Dedup, Lake, Source, Trigger
from event_lake.deduplicate import Engine, engine_for
from event_lake.errors import AccountingError, ConfigError, DataLossError
from event_lake.mark import BatchMark
from event_lake.parse import parse
from event_lake.schema import JUDGED_RECORD, RAW_RECORD
from event_lake.storage import Storage
from records import Record, event_bytes, raw_frame, raw_record, raw_records, raw_table, rows

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OTHER_SHARD = "shardId-000000000001"


class Killed(Exception):
    """The driver ends here."""


class Stream:
    """A stream of raw records, each put of which becomes one micro-batch, and the verdicts on it."""

    def __init__(self, spark: SparkSession, folder: Path, dedup: Dedup) -> None:
        self._spark = spark
        self.folder = folder
        self.dedup = dedup
        self.checkpoint = folder / "checkpoint"
        self.kill_before_remembering = False
        self._puts = 0
        self._query: StreamingQuery | None = None
        self._engine: Engine | None = None
        self._judged: list[dict[str, Any]] = []
        (folder / "input").mkdir()

    def put(self, *records: Record) -> list[dict[str, Any]]:
        """The micro-batch of these records, with verdicts, in the order of the records' places."""
        self._judged = []
        self.send(*records)
        self.running().processAllAvailable()
        return sorted(self._judged, key=lambda row: (row["shard_id"] or "", int(row["sequence_number"])))

    def send(self, *records: Record) -> None:
        self._puts += 1
        name = f"{self._puts:04d}.parquet"
        pq.write_table(raw_table(records), self.folder / name)
        os.rename(self.folder / name, self.folder / "input" / name)

    def restart(self, **changed: Any) -> None:
        if self._query is not None:
            self._query.stop()
        self._query = None
        self.dedup = Dedup(**{**self.dedup.__dict__, **changed})

    def running(self) -> StreamingQuery:
        if self._query is None:
            storage = Storage.of_session(self._spark)
            checkpoint = CheckpointLog(storage, self.checkpoint.as_uri())
            source = Source(kind="files", path="unused")
            config = Config(source, Lake(), Checkpoint(str(self.checkpoint)), self.dedup, Trigger())
            self._engine = engine_for(self._spark, storage, checkpoint, config)
            self._engine.open()
            raw = self._spark.readStream.schema(RAW_RECORD).parquet(str(self.folder / "input"))
            stream = self._engine.on_stream(parse(raw)).writeStream.foreachBatch(self._judge)
            self._query = stream.option("checkpointLocation", str(self.checkpoint)).start()
        return self._query

    def _judge(self, batch: DataFrame, batch_id: int) -> None:
        assert self._engine is not None
        query_id = str(self._spark.sparkContext.getLocalProperty("sql.streaming.queryId"))
        judged = self._engine.judge(batch, BatchMark(query_id, batch_id, f"[{batch_id}]", None), datetime.now(UTC))
        try:
            assert judged.rows.schema.fieldNames() == JUDGED_RECORD.fieldNames()
            found = rows(judged.rows)
            self._judged += found
            assert judged.counted().scanned == len(found) + judged.counted().duplicates
            judged.check(sum(row["verdict"] == "stored" for row in found))
            if self.kill_before_remembering:
                raise Killed
            judged.remember()
        finally:
            judged.release()


@pytest.fixture
def stream(spark: SparkSession, tmp_path: Path) -> Iterator[Callable[..., Stream]]:
    made: list[Stream] = []

    def make(**dedup: Any) -> Stream:
        made.append(Stream(spark, tmp_path, Dedup(**dedup)))
        return made[-1]

    yield make
    for one in made:
        one.restart()


def record(uuid: str, place: int, minutes: float = 0, note: str = "", **overrides: object) -> dict[str, Any]:
    """A good event at its own place in the stream, arrived so many minutes after NOW."""
    arrived = NOW + timedelta(minutes=minutes)
    overrides = {"approximateArrivalTimestamp": arrived, "sequenceNumber": str(place), **overrides}
    return raw_record(data=event_bytes(event_uuid=uuid, note=note), **overrides)


def verdicts(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["event_uuid"], row["verdict"]) for row in found]


def test_of_the_copies_in_one_micro_batch_the_first_to_arrive_is_stored(stream: Callable[..., Stream]) -> None:
    found = stream().put(
        record("a", 1, minutes=3),
        record("a", 2, minutes=1),  # read later, but it arrived first
        record("b", 3),
        record("a", 4, minutes=2, note="other contents", shardId=OTHER_SHARD),
    )
    assert verdicts(found) == [("a", "duplicate"), ("a", "stored"), ("b", "stored"), ("a", "duplicate")]
    first = NOW + timedelta(minutes=1)
    assert [row["first_arrived_at"] for row in found] == [first, None, None, first]
    assert [row["same_payload"] for row in found] == [True, None, None, False]


def test_copies_in_later_micro_batches_in_other_shards_and_after_a_restart_are_duplicates_of_the_first(
    stream: Callable[..., Stream],
) -> None:
    copies = stream()
    assert verdicts(copies.put(record("a", 1), record("b", 2))) == [("a", "stored"), ("b", "stored")]
    found = copies.put(record("a", 3, minutes=10, shardId=OTHER_SHARD), record("c", 4, minutes=10))
    assert verdicts(found) == [("c", "stored"), ("a", "duplicate")]
    assert found[1]["first_arrived_at"] == NOW
    copies.restart()
    found = copies.put(record("a", 5, minutes=20), record("c", 6, minutes=30, note="changed"))
    assert verdicts(found) == [("a", "duplicate"), ("c", "duplicate")]
    assert [row["first_arrived_at"] for row in found] == [NOW, NOW + timedelta(minutes=10)]
    assert [row["same_payload"] for row in found] == [True, False]


def test_bad_records_all_pass_untouched_and_never_collide_with_good_ones(stream: Callable[..., Stream]) -> None:
    mixed = stream()
    broken = event_bytes(event_uuid="one", created_at=None)
    bad = raw_records([b"", b"", b"{}", b"{}", broken, broken], shardId=OTHER_SHARD)
    found = mixed.put(record("one", 1), *bad)
    assert [row["verdict"] for row in found] == ["stored", *["quarantined"] * 6]
    again = mixed.put(record("one", 2, minutes=1), *bad)
    assert [row["verdict"] for row in again] == ["duplicate", *["quarantined"] * 6]


def test_micro_batches_of_bad_records_only_and_records_without_a_shard_are_judged(
    stream: Callable[..., Stream],
) -> None:
    files = stream()
    assert [row["verdict"] for row in files.put(*raw_records([b"", b"{"]))] == ["quarantined"] * 2
    assert verdicts(files.put(record("a", 1, shardId=None), record("a", 2, shardId=None)))[1] == ("a", "duplicate")
    assert verdicts(files.put(record("a", 3, shardId=None))) == [("a", "duplicate")]


def test_uuids_that_differ_at_all_are_different_events(stream: Callable[..., Stream]) -> None:
    alike = ["a", "A", "a ", " a", "a\x00", "a\n", "á", "a\u0301", "u" * 255, "u" * 256]
    found = stream().put(*[record(uuid, place) for place, uuid in enumerate(alike)])
    assert [row["verdict"] for row in found] == ["stored"] * len(alike)


def test_a_replay_after_a_kill_gives_the_same_verdicts(stream: Callable[..., Stream]) -> None:
    killed = stream()
    killed.put(record("a", 1))
    killed.kill_before_remembering = True
    batch = [record("a", 2, minutes=1), record("b", 3, minutes=2), record("b", 4, minutes=3)]
    with pytest.raises(StreamingQueryException, match="Killed"):
        killed.put(*batch)
    before = verdicts(killed._judged)
    assert sorted(before) == [("a", "duplicate"), ("b", "duplicate"), ("b", "stored")]
    killed.kill_before_remembering = False
    killed.restart()
    killed._judged = []
    killed.running().processAllAvailable()
    assert sorted(verdicts(killed._judged)) == sorted(before)
    assert verdicts(killed.put(record("b", 5, minutes=4))) == [("b", "duplicate")]


def test_what_a_failed_try_left_behind_is_swept_up(stream: Callable[..., Stream]) -> None:
    swept = stream(buckets=1)
    swept.put(record("a", 1))
    swept.kill_before_remembering = True
    with pytest.raises(StreamingQueryException, match="Killed"):
        swept.put(record("b", 2))
    segments = swept.checkpoint / "seen" / "segments"
    assert len(list(segments.glob("*.arrow"))) == 2
    swept.kill_before_remembering = False
    swept.restart()
    swept.running().processAllAvailable()
    named = {s["name"] for s in json.loads((swept.checkpoint / "seen" / "1.json").read_text())["segments"]}
    assert {file.name for file in segments.glob("*.arrow")} == named


def test_keys_are_forgotten_a_block_behind_window_and_margin_and_not_before(stream: Callable[..., Stream]) -> None:
    short = stream(window=timedelta(hours=8), margin=timedelta(hours=2), buckets=2)  # blocks of one hour
    short.put(record("a", 1), record("b", 2))
    assert verdicts(short.put(record("a", 3, minutes=480))) == [("a", "duplicate")]
    short.put(record("c", 4, minutes=11 * 60 - 1))  # window + margin + block has not quite passed
    assert verdicts(short.put(record("a", 5, minutes=11 * 60))) == [("a", "duplicate")]
    short.put(record("d", 6, minutes=11 * 60 + 1))
    assert verdicts(short.put(record("b", 7, minutes=11 * 60 + 1))) == [("b", "stored")]


def test_many_micro_batches_end_in_few_segments_and_old_files_are_deleted(stream: Callable[..., Stream]) -> None:
    many = stream(buckets=1)
    for number in range(20):
        many.put(record(f"u{number}", number, minutes=number), record("again", 100 + number, minutes=number))
    manifest = json.loads((many.checkpoint / "seen" / "19.json").read_text())
    assert sum(segment["rows"] for segment in manifest["segments"]) == 21
    assert len(manifest["segments"]) == 6  # two merged ones of eight micro-batches, and four
    assert len(list((many.checkpoint / "seen").glob("*.json"))) == 10
    assert not (many.checkpoint / "seen" / "9.json").exists()
    many.restart()
    found = many.put(*[record(f"u{number}", 200 + number, minutes=30) for number in range(20)])
    assert [row["verdict"] for row in found] == ["duplicate"] * 20


def test_the_number_of_buckets_may_change_at_any_time(stream: Callable[..., Stream]) -> None:
    dealt = stream(buckets=3)
    dealt.put(*[record(f"u{number}", number) for number in range(30)])
    for buckets in (8, 1, 5):
        dealt.restart(buckets=buckets)
        found = dealt.put(*[record(f"u{number}", buckets * 100 + number, minutes=buckets) for number in range(30)])
        assert [row["verdict"] for row in found] == ["duplicate"] * 30


def test_a_checkpoint_of_the_other_engine_is_refused_with_the_way_on(stream: Callable[..., Stream]) -> None:
    other = stream(engine="spark")
    other.put(record("a", 1))
    other.restart(engine="index")
    with pytest.raises(ConfigError, match=r'written with "spark".*"spark", or recover from the tables into a new'):
        other.running()
    shutil.rmtree(other.checkpoint)
    other.put(record("a", 2))
    other.restart(engine="spark")
    with pytest.raises(ConfigError, match=r'written with "index".*dedup.engine = "index", or start with a new'):
        other.running()


def test_a_checkpoint_that_has_lost_its_index_is_refused(stream: Callable[..., Stream]) -> None:
    lost = stream()
    lost.put(record("a", 1))
    lost.put(record("b", 2))
    lost.restart()
    (lost.checkpoint / "seen" / "1.json").unlink()
    with pytest.raises(DataLossError, match=r"seen/1.json is missing.*copies would be stored again"):
        lost.running()


def test_a_segment_that_is_gone_is_missed_at_start(stream: Callable[..., Stream]) -> None:
    lost = stream(buckets=1)
    lost.put(record("a", 1))
    lost.restart()
    (segment,) = (lost.checkpoint / "seen" / "segments").glob("*.arrow")
    segment.unlink()
    with pytest.raises(DataLossError, match=r"is gone, and with it the keys"):
        lost.running()


def test_a_segment_that_is_gone_stops_the_job_before_anything_is_written(stream: Callable[..., Stream]) -> None:
    lost = stream()
    lost.put(record("a", 1))
    for file in (lost.checkpoint / "seen" / "segments").glob("*.arrow"):
        file.unlink()
    with pytest.raises(StreamingQueryException, match=r"is gone, and with it the keys"):
        lost.put(record("a", 2))
    assert lost._judged == []


def test_an_index_of_another_query_is_refused(stream: Callable[..., Stream]) -> None:
    mixed = stream()
    mixed.put(record("a", 1))
    mixed.restart()
    manifest = mixed.checkpoint / "seen" / "0.json"
    document = {**json.loads(manifest.read_text()), "query_id": "another"}
    (manifest.parent / ".0.json.crc").unlink(missing_ok=True)
    manifest.write_text(json.dumps(document))
    with pytest.raises(StreamingQueryException, match="belongs to another query"):
        mixed.put(record("a", 2))


def test_a_checkpoint_that_python_cannot_reach_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    storage = Storage.of_session(spark)
    config = Config(Source(), Lake(), Checkpoint("webhdfs://127.0.0.1:1/checkpoint"), Dedup(), Trigger())
    with pytest.raises(ConfigError, match=r"webhdfs://127.0.0.1:1/checkpoint.*dedup.engine"):
        engine_for(spark, storage, CheckpointLog(storage, config.checkpoint.path), config).open()


def test_books_that_differ_from_the_rows_are_refused(stream: Callable[..., Stream], spark: SparkSession) -> None:
    one = stream()
    one.running()
    batch = parse(raw_frame(spark, [record("a", 1)]))
    assert one._engine is not None
    judged = one._engine.judge(batch, BatchMark("query", 0, "[]", None), datetime.now(UTC))
    try:
        judged.check(1)
        with pytest.raises(AccountingError, match="store 2 events, but the index of seen keys has 1 new"):
            judged.check(2)
    finally:
        judged.release()
