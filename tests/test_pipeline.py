"""The whole path in one process: a real Kinesis protocol, real Spark, real Delta; read back by another engine."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import traffic
from event_lake.batch import BatchWriter
from event_lake.checkpoint import CheckpointLog
from event_lake.deduplicate import engine_for
from event_lake.deduplicate.operator import deduplicate
from event_lake.errors import AccountingError, DataLossError
from event_lake.event_types import EventTypes
from event_lake.lease import lease_of
from event_lake.mark import BatchMark
from event_lake.metrics import Counts
from event_lake.sink import EventSink
from event_lake.source import parsed_records
from event_lake.storage import Storage
from lake import LakeHouse, event

ENGINES = pytest.mark.parametrize("engine", ["index", "spark"])


@ENGINES
def test_every_record_of_mixed_traffic_is_stored_once_or_quarantined_with_its_reason(
    spark: SparkSession, house: LakeHouse, engine: str
) -> None:
    puts = list(traffic.generate(1500, duplicates=0.1, broken=0.1, seed=3, now=time.time()))
    for put in puts:
        house.server.put("events", put.data, partition_key=put.partition_key)
    counts = house.run(spark, dedup_engine=engine)
    broken = Counter(put.problem for put in puts if put.problem)
    good = {put.event_uuid for put in puts if not put.problem}
    assert counts.received == len(puts) == counts.stored + counts.duplicates + counts.quarantined
    assert house.uuids() == sorted(str(uuid) for uuid in good)
    assert Counter(row["problem"] for row in house.quarantine()) == broken
    bytes_put = Counter(put.data for put in puts if put.problem)
    assert Counter(row["data"] for row in house.quarantine()) == bytes_put
    by_uuid: dict[str | None, set[bytes]] = {}
    for put in puts:
        by_uuid.setdefault(put.event_uuid, set()).add(put.data)
    assert all(row["payload"].encode() in by_uuid[row["event_uuid"]] for row in house.events())


def test_the_sample_events_get_their_types_and_dates(spark: SparkSession, house: LakeHouse) -> None:
    for data in traffic.SAMPLE_EVENTS:
        house.server.put("events", data, partition_key="k")
    house.run(spark)
    found = {row["event_name"]: (row["event_type"], row["event_subtype"], str(row["date"])) for row in house.events()}
    assert found == {
        "account:created": ("account", "created", "2022-02-14"),
        "lesson:started": ("lesson", "started", "2022-02-14"),
        "payment:order:completed": ("payment", "order", "2022-02-14"),
        "lesson:completed": ("lesson", "completed", "2022-02-14"),
    }
    row = next(row for row in house.events() if row["event_name"] == "account:created")
    assert row["created_at"] == 1644838800
    assert row["created_datetime"] == datetime(2022, 2, 14, 11, 40, tzinfo=UTC)
    assert row["payload"].encode() == traffic.SAMPLE_EVENTS[0]


@ENGINES
def test_a_copy_is_dropped_in_the_same_batch_in_another_shard_in_a_later_batch_and_after_a_restart(
    spark: SparkSession, house: LakeHouse, engine: str
) -> None:
    first, second = (shard["ShardId"] for shard in house.server.shards("events"))
    for number in range(3):
        house.server.put("events", event(number), shard=first)
    house.server.put("events", event(0), shard=first)
    house.server.put("events", event(1, note="same uuid, other contents"), shard=second)
    assert house.run(spark, dedup_engine=engine) == Counts(received=5, stored=3, duplicates=2)
    house.server.put("events", event(2), shard=second)
    house.server.put("events", event(3), shard=second)
    assert house.run(spark, dedup_engine=engine) == Counts(received=2, stored=1, duplicates=1)
    assert house.uuids() == ["u-0", "u-1", "u-2", "u-3"]


@pytest.mark.index_only("a list of duplicates")
def test_every_duplicate_is_listed_with_its_first_copy(spark: SparkSession, house: LakeHouse) -> None:
    first, second = (shard["ShardId"] for shard in house.server.shards("events"))
    arrived = time.time() - 600
    house.server.put("events", event(0), shard=first, arrival=arrived, partition_key="one")
    house.server.put("events", event(0), shard=second, arrival=arrived + 1.5, partition_key="two")
    house.run(spark, lake_duplicate_payloads="true")
    house.server.put("events", event(0, note="other"), shard=first, arrival=arrived + 300, partition_key="three")
    house.run(spark, lake_duplicate_payloads="true")
    stored = house.events()
    found = sorted(house.duplicates(), key=lambda row: row["gap_seconds"])
    assert [row["partition_key"] for row in found] == ["two", "three"]
    assert [row["gap_seconds"] for row in found] == [1.5, 300.0]
    assert [row["same_payload"] for row in found] == [True, False]
    assert [row["payload"].encode() for row in found] == [event(0), event(0, note="other")]
    for row in found:
        assert (row["event_uuid"], row["event_name"], row["event_type"]) == ("u-0", "lesson:started", "lesson")
        assert row["first_arrived_at"] == stored[0]["arrived_at"]
        assert row["stored_at"] > row["arrived_at"]
        assert row["date"] == row["arrived_at"].date()
    assert [row["shard_id"] for row in found] == [second, first]


@pytest.mark.index_only("a list of duplicates")
def test_payloads_of_duplicates_are_kept_only_where_that_is_asked_for(spark: SparkSession, house: LakeHouse) -> None:
    for _ in range(2):
        house.server.put("events", event(0))
    house.run(spark)
    assert [row["payload"] for row in house.duplicates()] == [None]


def test_records_without_a_uuid_are_all_kept_in_quarantine(spark: SparkSession, house: LakeHouse) -> None:
    for _ in range(20):
        house.server.put("events", b'{"event_uuid":null,"event_name":"a:b","created_at":1644842400}')
    assert house.run(spark) == Counts(received=20, quarantined=20)
    assert [row["problem"] for row in house.quarantine()] == ["event_uuid_missing"] * 20
    assert len({row["sequence_number"] for row in house.quarantine()}) == 20


def ended_at(house: LakeHouse, position: str, another: str) -> None:
    """Lets the last micro-batch have ended elsewhere, by its checkpoint and by the mark in the events table."""
    last = max((house.checkpoint_path / "offsets").glob("[0-9]*"), key=lambda path: int(path.name))
    commit = max((house.events_path / "_delta_log").glob("*.json"))
    *others, end_offset = last.read_text().splitlines()
    changed = end_offset.replace(position, another)
    mark = BatchMark("", 0, changed, None)
    lines = [json.loads(line) for line in commit.read_text().splitlines()]
    (info,) = (line["commitInfo"] for line in lines if "commitInfo" in line)
    left = json.loads(info["userMetadata"]) | {"end_offset": changed, "offset_hash": mark.offset_hash}
    info["userMetadata"] = json.dumps(left)
    for path, text in ((last, [*others, changed]), (commit, map(json.dumps, lines))):
        (path.parent / f".{path.name}.crc").unlink(missing_ok=True)
        path.write_text("\n".join(text))


@ENGINES
def test_records_lost_to_retention_are_one_row_of_the_gaps_table_where_that_is_allowed(
    spark: SparkSession, house: LakeHouse, engine: str
) -> None:
    shard = house.server.shards("events")[0]["ShardId"]
    now = time.time()
    placed = [house.server.put("events", event(n), shard=shard, arrival=now - 100 + n) for n in range(50)]
    numbers = [where["SequenceNumber"] for where in placed]
    house.run(spark, dedup_engine=engine)
    assert not house.gaps_path.exists()
    numbers += [house.server.put("events", event(n), shard=shard)["SequenceNumber"] for n in range(50, 60)]
    # As if it had been planned to go on with the first of the new records, and stopped for longer than retention.
    ended_at(house, f"after:{numbers[49]}", f"at:{numbers[50]}")
    house.server.trim("events", shard, before_sequence_number=numbers[55])
    with pytest.raises(DataLossError, match=rf"DATA LOSS in shard {shard}.*{numbers[50]}"):
        house.run(spark, dedup_engine=engine)
    counts = house.run(spark, source_fail_on_data_loss="false", dedup_engine=engine)
    assert counts == Counts(received=5, stored=5, gaps=1)
    (row,) = house.gaps()
    assert (row["shard_id"], row["from_position"], row["to_position"]) == (
        shard,
        f"at:{numbers[50]}",
        f"at:{numbers[55]}",
    )
    left = next(event for event in house.events() if event["sequence_number"] == numbers[55])
    assert (row["to_time"], row["date"]) == (left["arrived_at"], left["arrived_at"].date())
    assert row["from_time"] is None or now - 51 <= row["from_time"].timestamp() <= row["to_time"].timestamp()
    assert f"the oldest left is {numbers[55]}" in row["why"]
    assert house.quarantine() == []


def test_the_line_of_a_micro_batch_says_how_far_behind_the_tip_it_ends(
    spark: SparkSession, house: LakeHouse, caplog: pytest.LogCaptureFixture
) -> None:
    now = time.time()
    for number in range(100):
        house.server.put("events", event(number), arrival=now - 1000 + 10 * number)
    with caplog.at_level("INFO", logger="event_lake.batch"):
        house.run(spark, source_slice="400 seconds", source_max_records="60")
    lags = [float(line.partition("lag_seconds=")[2]) for line in caplog.messages if "lag_seconds=" in line]
    assert len(lags) >= 3
    assert lags == sorted(lags, reverse=True)
    assert lags[0] == pytest.approx(600, abs=60)
    assert lags[-1] < 15


@ENGINES
def test_records_thirty_hours_old_after_fresh_ones_are_not_late(
    spark: SparkSession, house: LakeHouse, engine: str
) -> None:
    for number in range(10):
        house.server.put("events", event(number))
    house.run(spark, dedup_engine=engine)
    old = time.time() - 30 * 3600
    for number in range(5, 25):
        house.server.put("events", event(number), arrival=old + number)
    assert house.run(spark, dedup_engine=engine) == Counts(received=20, stored=15, duplicates=5, late_dropped=0)
    assert len(house.uuids()) == 25


def test_killed_while_spark_writes_its_very_first_offset_the_job_starts_again(
    spark: SparkSession, house: LakeHouse
) -> None:
    house.server.put("events", event(1))
    half_written = house.checkpoint_path / "offsets" / ".0.b7709b57-dfbd-49c6-9f50-c59f11c5775c.tmp"
    half_written.parent.mkdir(parents=True)
    half_written.write_text("v1\n")
    assert house.run(spark) == Counts(received=1, stored=1)
    assert [path.name for path in half_written.parent.iterdir() if not path.name.endswith(".crc")] == ["0"]


def test_a_second_run_with_nothing_new_reads_nothing(spark: SparkSession, house: LakeHouse) -> None:
    house.server.put("events", event(1))
    house.run(spark)
    house.server.clear_calls()
    assert house.run(spark) == Counts()
    assert house.uuids() == ["u-1"]


@pytest.mark.parametrize("file_format", ["parquet", "json"])
def test_plain_files_hold_every_event_once_over_two_runs(
    spark: SparkSession, house: LakeHouse, file_format: str
) -> None:
    for number in range(30):
        house.server.put("events", event(number, event_name=f"type{number % 3}:x"), partition_key=str(number))
    house.run(spark, lake_format=file_format)
    for number in range(20, 50):
        house.server.put("events", event(number, event_name=f"type{number % 3}:x"), partition_key=str(number))
    house.run(spark, lake_format=file_format)
    table = spark.read.format(file_format).load(house.events_path.as_uri())
    assert sorted(row["event_uuid"] for row in table.collect()) == sorted(f"u-{n}" for n in range(50))
    files = [path.relative_to(house.events_path) for path in house.events_path.glob("event_type=*/date=*/[!.]*")]
    # uuids 0 to 49 over three types, one file for each type and micro-batch
    assert len(files) == 6
    if file_format == "json":
        line = next(house.events_path.glob("event_type=*/date=*/*.json")).read_text().splitlines()[0]
        assert json.loads(line)["created_datetime"].endswith("Z")


def test_a_checkpoint_older_than_the_table_is_refused_and_nothing_is_written(
    spark: SparkSession, house: LakeHouse
) -> None:
    house.server.put("events", event(1))
    house.run(spark)
    copy = house.folder / "copy"
    shutil.copytree(house.checkpoint_path, copy)
    house.server.put("events", event(2))
    house.run(spark)
    shutil.rmtree(house.checkpoint_path)
    shutil.copytree(copy, house.checkpoint_path)
    house.server.put("events", event(3))
    with pytest.raises(DataLossError, match="the checkpoint is older than the table"):
        house.run(spark)
    assert house.uuids() == ["u-1", "u-2"]


def test_a_second_driver_waits_and_leaves_the_stop_marker_to_the_one_that_runs(
    spark: SparkSession, house: LakeHouse
) -> None:
    config = house.config()
    lease = lease_of(Storage.of_session(spark), config)
    assert lease.acquire(lambda: False)
    house.checkpoint_path.mkdir()
    (house.checkpoint_path / "stop").touch()
    house.server.put("events", event(1))
    with lease:
        assert house.run(spark) == Counts()
    assert (house.checkpoint_path / "stop").exists()
    assert house.events() == []


def test_a_clock_that_stepped_back_beyond_the_margin_is_refused_at_start(spark: SparkSession, house: LakeHouse) -> None:
    house.server.put("events", event(1))
    house.run(spark)
    offset = house.checkpoint_path / "offsets" / "0"
    version, metadata, *rest = offset.read_text().splitlines()
    document = json.loads(metadata)
    document["batchTimestampMs"] += 3 * 3600 * 1000
    offset.write_text("\n".join([version, json.dumps(document), *rest]))
    (offset.parent / ".0.crc").unlink()
    house.server.put("events", event(2))
    with pytest.raises(DataLossError, match=r"clock.*stepped back"):
        house.run(spark)
    assert house.uuids() == ["u-1"]


def unaccounted(parsed: DataFrame) -> DataFrame:
    """A stage that loses a record without a word."""
    return parsed.where(F.coalesce(F.col("event_uuid") != "u-7", F.lit(True)))


def unaccounted_after_the_operator(parsed: DataFrame) -> DataFrame:
    return unaccounted(deduplicate(parsed, timedelta(hours=24), timedelta(hours=2)))


def late(parsed: DataFrame) -> DataFrame:
    """Spark's operator on the bare arrival time, as it is usually written: old records after fresh ones are late."""
    return (
        parsed.withColumn("_key", F.col("event_uuid"))
        .withWatermark("arrived_at", "1 hour")
        .dropDuplicatesWithinWatermark(["_key"])
        .drop("_key")
    )


@pytest.mark.parametrize(
    ("engine", "stage"), [("index", unaccounted), ("spark", unaccounted_after_the_operator), ("spark", late)]
)
def test_a_batch_that_does_not_add_up_commits_nothing(
    spark: SparkSession, house: LakeHouse, engine: str, stage: Callable[[DataFrame], DataFrame]
) -> None:
    config = house.config(trigger_interval="1 second", dedup_engine=engine)
    storage = Storage.of_session(spark)
    checkpoint = CheckpointLog(storage, config.checkpoint.path)
    sink = EventSink(spark, storage, config.lake)
    sink.create()
    types = EventTypes(storage, checkpoint, config.lake.new_types_per_day)
    types.open(sink.event_types)
    house.carry()
    writer = BatchWriter(spark, checkpoint, engine_for(spark, storage, checkpoint, config), types, sink)
    query = (
        stage(parsed_records(spark, config))
        .writeStream.foreachBatch(writer)
        .option("checkpointLocation", config.checkpoint.path)
        .start()
    )
    try:
        # Two micro-batches, since Spark drops as late by the watermark before the last.
        for numbers in (range(4), range(4, 5)):
            for number in numbers:
                house.server.put("events", event(number))
            house.carry()
            deadline = time.monotonic() + 60
            while writer.totals.stored < numbers.stop and time.monotonic() < deadline and query.isActive:
                query.awaitTermination(0.1)
        assert len(house.uuids()) == 5
        # One record that a stage loses, one that is late, and a bad one: the quarantine must not be written either.
        house.server.put("events", b"broken", arrival=time.time())
        house.server.put("events", event(7), arrival=time.time() - 30 * 3600)
        house.carry()
        with pytest.raises(StreamingQueryException):
            query.awaitTermination(120)
    finally:
        query.stop()
    assert isinstance(writer.failure, AccountingError)
    assert writer.failure.exit_code == 4
    assert len(house.uuids()) == 5
    assert house.quarantine() == []
