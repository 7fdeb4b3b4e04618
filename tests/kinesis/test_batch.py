"""Batch reading: between two bounds each record once, whatever the shards have been through."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

import kinesis_source
from event_lake.spark_api import register_source
from kinesis_query import KinesisQuery
from kinesis_server import KinesisServer
from kinesis_source import SCHEMA, DataLossError, KinesisDataSource, OptionError, tip
from kinesis_source.position import format_time

MakeQuery = Callable[..., KinesisQuery]
Read = Callable[..., list[bytes | None]]
COLUMNS = [column.split()[0] for column in SCHEMA.split(", ")]


@pytest.fixture
def options(server: KinesisServer) -> dict[str, str]:
    return {"streamName": "events", "endpointUrl": server.endpoint_url, "retrySeconds": "10", "tasks": "3"}


@pytest.fixture
def read(options: dict[str, str]) -> Read:
    """What a batch gives, in the order in which it came."""

    def between(start: object = "trim_horizon", end: object = "latest", **more: str) -> list[bytes | None]:
        bounds = {"startingPosition": _text(start), "endingPosition": _text(end)}
        batches = list(kinesis_source.read({**options, **bounds, **more}))
        assert all(batch.schema.names == COLUMNS for batch in batches)
        return [data for batch in batches for data in batch.column("data").to_pylist()]

    return between


def _text(bound: object) -> str:
    if isinstance(bound, float):
        return format_time(bound)
    return bound if isinstance(bound, str) else json.dumps(bound.to_json())  # type: ignore[attr-defined]


def put(server: KinesisServer, count: int, prefix: str, **placed: object) -> list[bytes]:
    made = [f"{prefix}-{number}".encode() for number in range(count)]
    for data in made:
        server.put("events", data, partition_key=data.decode(), **placed)  # type: ignore[arg-type]
    return made


def test_everything_that_the_stream_holds_is_read_by_default(
    server: KinesisServer, options: dict[str, str], read: Read
) -> None:
    made = put(server, 300, "r")
    assert sorted(read()) == sorted(made)
    del options["tasks"]
    table = pa.Table.from_batches(kinesis_source.read(options))
    assert sorted(table["data"].to_pylist()) == sorted(made)


def test_an_empty_stream_and_empty_shards_give_no_records(server: KinesisServer, read: Read) -> None:
    now = server.now()
    assert read() == read(now - 100.0) == read(now - 100.0, now - 50.0) == read("trim_horizon", now - 1.0) == []
    server.put("events", b"only", shard=server.shards("events")[1]["ShardId"])
    assert read() == read(now - 100.0) == [b"only"]
    assert read("trim_horizon", now - 1.0) == []


def test_consecutive_ranges_of_time_give_each_record_once(server: KinesisServer, read: Read) -> None:
    now = server.now()
    stamps = [now - 300 + number for number in range(200)]
    for number, stamp in enumerate(stamps):
        server.put("events", b"%d" % number, partition_key=str(number), arrival=stamp)
    bounds = [now - 300.0, now - 250.0, now - 249.5, now - 120.0, now - 50.0]
    parts = [read(start, end) for start, end in pairwise(bounds)]
    assert sorted(data for part in parts for data in part) == sorted(b"%d" % number for number in range(200))
    for (start, end), part in zip(pairwise(bounds), parts, strict=True):
        assert {int(data) for data in part} == {n for n, stamp in enumerate(stamps) if start <= stamp < end}


def test_an_end_is_exclusive_to_the_millisecond(server: KinesisServer, read: Read) -> None:
    for millis in (122, 123, 124):
        server.put("events", b"%d" % millis, arrival=1_700_000_000 + millis / 1000)
    assert read("2023-11-14T22:13:20.122Z", "2023-11-14T22:13:20.123Z") == [b"122"]
    assert read("2023-11-14T22:13:20.1221Z", "2023-11-14T22:13:20.1239Z") == [b"123"]
    assert read("2023-11-15T00:13:20.123+02:00") == [b"123", b"124"]


def test_where_time_stamps_go_backwards_consecutive_ranges_still_give_each_record_once(
    server: KinesisServer, read: Read
) -> None:
    now = server.now()
    shard = server.shards("events")[0]["ShardId"]
    for number, age in enumerate([90, 50, 80, 30, 70, 45, 10]):
        server.put("events", b"%d" % number, arrival=now - age, shard=shard)
    # Each boundary stands before the first record, in the shard's order, that arrived at it or later.
    assert read(now - 100.0, now - 60.0) == [b"0"]
    assert read(now - 60.0, now - 40.0) == [b"1", b"2"]
    assert read(now - 40.0, now - 20.0) == [b"3", b"4", b"5"]
    assert read(now - 20.0) == [b"6"]


def test_latest_is_the_tip_when_the_batch_is_planned(server: KinesisServer, options: dict[str, str]) -> None:
    had = put(server, 40, "had")
    reader = KinesisDataSource(options).reader(StructType())
    partitions = pickle.loads(pickle.dumps(reader)).partitions()
    put(server, 40, "came later")
    batches = [batch for each in partitions for batch in pickle.loads(pickle.dumps(reader)).read(each)]
    assert sorted(data for batch in batches for data in batch.column("data").to_pylist()) == sorted(had)


def test_the_shards_are_spread_over_the_tasks(server: KinesisServer, options: dict[str, str]) -> None:
    server.create_stream("wide", 10)
    server.fill("wide", data=[b"x"], records_per_shard=3)
    partitions = KinesisDataSource({**options, "streamName": "wide"}).reader(StructType()).partitions()
    assert sorted(len(partition.ranges) for partition in partitions) == [3, 3, 4]  # type: ignore[attr-defined]


def test_an_end_that_is_about_to_come_is_waited_for_and_a_later_one_refused(
    server: KinesisServer, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = put(server, 5, "r")
    end = server.now() + 0.9

    def sleep(seconds: float) -> None:
        server.split("events", server.shards("events")[0]["ShardId"])
        put(server, 20, "while it waits", arrival=end - 0.001)
        time.sleep(seconds)

    monkeypatch.setattr("kinesis_source.batch.time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    assert len(read("trim_horizon", end)) == len(made) + 20
    with pytest.raises(OptionError, match=r"ahead of Kinesis' clock"):
        read("trim_horizon", server.now() + 60.0)


def test_a_record_that_arrives_at_the_end_while_the_end_is_looked_for_is_not_read(
    server: KinesisServer, options: dict[str, str]
) -> None:
    server.create_stream("narrow", 1)
    server.put("narrow", b"before", arrival=server.now() - 5)
    end = format_time(server.now())
    # The first iterator finds nothing since the end; the second one is at the tip.
    server.fail_next("GetShardIterator", "slow", count=2, seconds=0.5)

    def put_in_between() -> None:
        while len(server.calls("GetShardIterator")) < 2:
            time.sleep(0.01)
        server.put("narrow", b"at the end")

    racing = threading.Thread(target=put_in_between, daemon=True)
    racing.start()
    (batch,) = kinesis_source.read({**options, "streamName": "narrow", "endingPosition": end})
    racing.join(5)
    assert batch.column("data").to_pylist() == [b"before"]
    assert len(server.records("narrow")) == 2


def test_closed_parents_and_their_children_are_read_by_time_and_by_offset(
    server: KinesisServer, options: dict[str, str], read: Read
) -> None:
    now = server.now()
    parents = put(server, 20, "parent", arrival=now - 300)
    before = tip(options)
    first, second = (shard["ShardId"] for shard in server.shards("events"))
    _, left = server.split("events", first)
    children = put(server, 20, "child", arrival=now - 200)
    between = tip(options)
    server.merge("events", left, second)
    grandchildren = put(server, 20, "grandchild", arrival=now - 100)
    assert sorted(read()) == sorted(parents + children + grandchildren)
    assert sorted(read(now - 250.0, now - 150.0)) == sorted(read(before, between)) == sorted(children)
    assert sorted(read(before)) == sorted(children + grandchildren)
    assert sorted(read("trim_horizon", between)) == sorted(parents + children)
    assert sorted(read(between, now - 50.0)) == sorted(grandchildren)
    assert read(between, before) == []


def test_the_offsets_of_a_query_bound_what_its_micro_batches_delivered(
    server: KinesisServer, query: MakeQuery, read: Read
) -> None:
    put(server, 30, "one")
    running = query()
    one = running.drain(30)
    begun = running.offset
    server.split("events", server.shards("events")[0]["ShardId"])
    put(server, 30, "two")
    two = running.drain(30)
    for _ in range(5):
        running.batch()  # the drained parent leaves the offset
    assert sorted(read("trim_horizon", begun)) == sorted(record.data for record in one)
    assert sorted(read(begun, running.offset)) == sorted(record.data for record in two)
    assert read(running.offset) == []


def test_a_start_that_retention_has_trimmed_stops_the_batch_unless_that_is_allowed(
    server: KinesisServer, query: MakeQuery, read: Read
) -> None:
    shard, now = server.shards("events")[0]["ShardId"], server.now()
    placed = [server.put("events", b"%d" % n, arrival=now - 100 + n, shard=shard)["SequenceNumber"] for n in range(50)]
    running = query(sliceSeconds="10")
    running.batch()
    server.trim("events", shard, before_sequence_number=placed[30])
    with pytest.raises(DataLossError, match=rf"DATA LOSS in shard {shard}.*the oldest left is {placed[30]}"):
        read(running.offset)
    left = [b"%d" % n for n in range(30, 50)]
    assert read(running.offset, failOnDataLoss="false") == [None, *left]  # the gap, as a row
    assert read() == read(now - 1000.0) == left


def test_a_shard_of_the_start_that_is_gone_stops_the_batch_unless_that_is_allowed(
    server: KinesisServer, query: MakeQuery, read: Read
) -> None:
    put(server, 30, "one")
    running = query()
    one = running.drain(30)
    begun = running.offset
    parent = server.shards("events")[0]["ShardId"]
    put(server, 30, "unread in the parent")
    server.split("events", parent)
    left = [record["Data"] for record in server.records("events") if record["ShardId"] != parent]
    server.trim("events", parent)
    with pytest.raises(DataLossError, match=rf"{parent}.*no longer listed"):
        read(begun)
    found = read(begun, failOnDataLoss="false")
    assert found.count(None) == 1  # the gap, as a row
    assert {data for data in found if data is not None} == set(left) - {record.data for record in one}


def test_a_shard_of_both_bounds_that_is_gone_since_is_no_loss_where_nothing_was_to_be_read(
    server: KinesisServer, query: MakeQuery, read: Read
) -> None:
    put(server, 30, "one")
    running = query()
    running.drain(30)
    server.split("events", server.shards("events")[0]["ShardId"])
    server.trim("events", server.shards("events")[0]["ShardId"])
    assert read(running.offset, running.offset) == []


def test_from_a_time_to_an_offset_in_which_children_have_yet_to_begin_these_give_nothing(
    server: KinesisServer, query: MakeQuery, read: Read
) -> None:
    since = server.now() - 10
    one = put(server, 30, "one")
    children = server.split("events", server.shards("events")[0]["ShardId"])
    put(server, 30, "two")
    running = query()
    deadline = time.monotonic() + 20
    while not running.log.ends or children[0] not in running.offset.shards:
        assert time.monotonic() < deadline
        running.batch()
    begun = running.offset
    assert {str(begun.shards[child]) for child in children} == {"trim_horizon"}
    found = read(since, begun)
    assert set(one) <= set(found)
    assert sorted([*found, *read(begun)]) == sorted(read(since))


def test_what_arrived_since_the_time_that_a_stream_keeps_is_still_there(
    server: KinesisServer, options: dict[str, str], read: Read
) -> None:
    put(server, 5, "older", arrival=server.now() - 25 * 3600)
    put(server, 5, "old", arrival=server.now() - 23 * 3600)
    before = server.now()
    since = kinesis_source.kept_since(options)
    assert before - 1 <= since + 24 * 3600 <= server.now()  # a server tells its time in whole seconds
    server.enforce_retention("events")
    assert sorted(read(since)) == sorted(f"old-{number}".encode() for number in range(5))


def test_a_stream_made_anew_is_not_read_with_an_old_offset(
    server: KinesisServer, query: MakeQuery, options: dict[str, str], read: Read
) -> None:
    put(server, 30, "old")
    tip_before = tip(options)
    running = query()
    running.drain(30)
    server.delete_stream("events")
    server.create_stream("events", 2)
    new = put(server, 30, "new")
    with pytest.raises(DataLossError, match="deleted and made again"):
        read(running.offset)
    with pytest.raises(DataLossError, match="events"):
        read(tip_before)
    found = read(running.offset, failOnDataLoss="false")
    assert found.count(None) == 2  # a gap for each shard that was being read
    assert sorted(data for data in found if data is not None) == sorted(new)


@pytest.mark.parametrize("left", [0, 10])
def test_what_came_and_went_behind_an_idle_start_stops_the_batch_unless_that_is_allowed(
    server: KinesisServer, query: MakeQuery, read: Read, left: int
) -> None:
    put(server, 10, "read", shard=server.shards("events")[0]["ShardId"])
    running = query()
    running.drain(10)
    put(server, 10, "lost")
    server.set_clock(30 * 3600)
    server.enforce_retention("events")
    kept = put(server, left, "kept")
    with pytest.raises(DataLossError, match=r"retention \(24 hours\) has passed it"):
        read(running.offset)
    found = read(running.offset, failOnDataLoss="false")
    assert sorted(data for data in found if data is not None) == sorted(kept)
    assert None in found


@pytest.mark.parametrize(
    ("bounds", "named"),
    [
        ({"startingPosition": "latest"}, "startingPosition"),
        ({"endingPosition": "trim_horizon"}, "endingPosition"),
        ({"startingPosition": "yesterday"}, r"startingPosition.*yesterday"),
        ({"endingPosition": "{"}, "endingPosition"),
        ({"endingPosition": '{"version": 1, "stream": "other", "shards": {}}'}, r"endingPosition.*other.*events"),
        ({"startingPosition": "2026-01-02", "endingPosition": "2026-01-01"}, r"startingPosition.*lies behind"),
    ],
)
def test_a_wrong_bound_is_named(options: dict[str, str], bounds: dict[str, str], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        KinesisDataSource({**options, **bounds}).reader(StructType())


@pytest.mark.parametrize("kind", ["throttle", "unavailable", "reset", "truncated"])
def test_a_passing_fault_loses_nothing_of_a_batch(server: KinesisServer, read: Read, kind: str) -> None:
    made = put(server, 60, "r", arrival=server.now() - 50)
    server.set_faults(0.3, kinds=[kind], seed=3)
    server.set_empty_pages(3)
    assert sorted(read(server.now() - 100.0)) == sorted(made)


def test_spark_reads_a_batch_in_parallel(server: KinesisServer, options: dict[str, str], spark: SparkSession) -> None:
    now = server.now()
    assert batch_frame(spark, options).count() == 0
    made = put(server, 50, "old", arrival=now - 500) + put(server, 50, "new", arrival=now - 100)
    frame = batch_frame(spark, options)
    assert sorted(bytes(row.data) for row in frame.select("data").collect()) == sorted(made)
    assert frame.rdd.getNumPartitions() == 2
    bounds = {"startingPosition": format_time(now - 300), "endingPosition": format_time(now - 50)}
    recent = batch_frame(spark, {**options, **bounds})
    assert {bytes(row.data[:3]) for row in recent.select("data").collect()} == {b"new"}


def test_a_frame_keeps_the_tip_of_its_first_action(
    server: KinesisServer, options: dict[str, str], spark: SparkSession
) -> None:
    put(server, 10, "before load")
    frame = batch_frame(spark, options)
    put(server, 10, "before the first action")
    assert frame.count() == 20
    put(server, 10, "later")
    assert (frame.count(), frame.select("shardId").count()) == (20, 20)
    assert batch_frame(spark, options).count() == 30


def batch_frame(spark: SparkSession, options: dict[str, str]) -> DataFrame:
    register_source(spark, KinesisDataSource)
    return spark.read.format("kinesis-exact").options(**options).load()


def test_two_sessions_of_a_thread_both_read_and_each_registers_for_itself(
    server: KinesisServer, options: dict[str, str], spark: SparkSession
) -> None:
    put(server, 10, "read twice")
    first, second = spark.newSession(), spark.newSession()
    try:
        for session, other in ((first, second), (second, first)):
            use(other)
            assert batch_frame(session, options).count() == 10
            used = SparkSession.getActiveSession()
            assert used is not None
            assert used._jsparkSession.equals(other._jsparkSession)
    finally:
        use(spark)


def use(session: SparkSession) -> None:
    """Makes it the active session of this thread, as all that brings rows along does."""
    session.createDataFrame([("a row",)], "row string")
