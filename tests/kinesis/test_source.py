"""What the source promises, against the project's own Kinesis server."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable

import pytest

from kinesis_query import Delivered, KinesisQuery
from kinesis_server import KinesisServer
from kinesis_source import DataLossError, OptionError, StreamError, UnavailableError, tip
from kinesis_source.position import Position, format_time, parse_time

MakeQuery = Callable[..., KinesisQuery]


def put(server: KinesisServer, count: int, prefix: str = "r", **placed: object) -> list[bytes]:
    """Puts `count` distinct records; their data."""
    made = [f"{prefix}-{number}".encode() for number in range(count)]
    for data in made:
        server.put("events", data, partition_key=data.decode(), **placed)  # type: ignore[arg-type]
    return made


def data_of(records: list[Delivered] | None) -> list[bytes]:
    return sorted(record.data for record in records or [])


def shard_order_holds(records: list[Delivered]) -> bool:
    by_shard: dict[str, list[int]] = {}
    for record in records:
        by_shard.setdefault(record.shard_id, []).append(int(record.sequence_number))
    return all(numbers == sorted(set(numbers)) for numbers in by_shard.values())


def test_everything_since_the_trim_horizon_arrives_once_and_in_order(server: KinesisServer, query: MakeQuery) -> None:
    old = put(server, 50, "old")
    running = query()
    first = running.drain(50)
    new = put(server, 50, "new")
    second = running.drain(50)
    assert data_of(first) == sorted(old)
    assert data_of(second) == sorted(new)
    assert shard_order_holds(first + second)


def test_columns_are_what_kinesis_holds(server: KinesisServer, query: MakeQuery) -> None:
    where = server.put("events", b"\x00\xff{}", partition_key="schlüssel", arrival=1_700_000_000.123)
    (record,) = query().drain(1)
    assert record.data == b"\x00\xff{}"
    assert record.partition_key == "schlüssel"
    assert (record.shard_id, record.sequence_number) == (where["ShardId"], where["SequenceNumber"])
    assert record.arrived_at == pytest.approx(1_700_000_000.123, abs=0.0005)


def test_a_record_of_zero_bytes_is_delivered(server: KinesisServer, query: MakeQuery) -> None:
    server.put("events", b"", partition_key="a")
    server.put("events", b"after it", partition_key="a")
    assert data_of(query().drain(2)) == [b"", b"after it"]


def test_an_idle_stream_makes_no_micro_batches(server: KinesisServer, query: MakeQuery) -> None:
    put(server, 5)
    running = query()
    running.drain(5)
    ends = list(running.log.ends)
    assert [running.batch() for _ in range(5)] == [None] * 5
    assert running.log.ends == ends


def test_an_idle_shard_costs_one_getrecords_a_trigger(server: KinesisServer, query: MakeQuery) -> None:
    put(server, 5)
    running = query()
    running.drain(5)
    server.clear_calls()
    for _ in range(10):
        running.batch()
    for shard in server.shards("events"):
        assert len(server.calls("GetRecords", shard=shard["ShardId"])) <= 10


def test_however_often_spark_asks_an_idle_shard_is_asked_five_times_a_second_at_most(
    server: KinesisServer, query: MakeQuery
) -> None:
    put(server, 5)
    running = query(idlePauseMs="200")
    running.drain(5)
    server.clear_calls()
    began = time.monotonic()
    while time.monotonic() - began < 2:
        running.batch()
    for shard in server.shards("events"):
        calls = server.calls("GetRecords", shard=shard["ShardId"])
        assert 2 <= len(calls) <= 11
        assert len(server.calls("GetShardIterator", shard=shard["ShardId"])) <= 1


def test_a_busy_shard_is_planned_with_one_probe(server: KinesisServer, query: MakeQuery) -> None:
    now = server.now()
    for number in range(2000):
        server.put("events", b"x", partition_key=str(number), arrival=now - 2000 + number)
    running = query(sliceSeconds="100")
    running.batch()
    server.clear_calls()
    running._reader.latestOffset()
    for shard in server.shards("events"):
        assert len(server.calls("GetRecords", shard=shard["ShardId"])) == 1


def test_a_slice_bounds_the_arrival_time_of_a_micro_batch_in_every_shard(
    server: KinesisServer, query: MakeQuery
) -> None:
    now = server.now()
    for number in range(1000):
        server.put("events", b"x", partition_key=str(number), arrival=now - 1000 + number)
    running = query(sliceSeconds="100")
    sizes, count = [], 0
    while (records := running.batch()) is not None:
        times = [record.arrived_at for record in records]
        assert max(times) - min(times) <= 101
        sizes.append(len(records))
        count += len(records)
    assert count == 1000
    assert len(sizes) >= 9


def test_a_gap_in_the_traffic_longer_than_a_slice_is_jumped(server: KinesisServer, query: MakeQuery) -> None:
    now = server.now()
    server.put("events", b"before", arrival=now - 80_000)
    server.put("events", b"after", arrival=now - 100)
    running = query(sliceSeconds="60")
    assert data_of([record for _ in range(6) for record in running.batch() or []]) == [b"after", b"before"]


def test_a_shard_whose_time_stamps_go_backwards_is_read_whole(server: KinesisServer, query: MakeQuery) -> None:
    now = server.now()
    shard = server.shards("events")[0]["ShardId"]
    stamps = [now - 500, now - 100, now - 450, now - 50, now - 400, now - 10, now - 300]
    for number, stamp in enumerate(stamps):
        server.put("events", f"{number}".encode(), arrival=stamp, shard=shard)
    records = query(sliceSeconds="20").drain(len(stamps))
    assert [record.data for record in records] == [f"{number}".encode() for number in range(len(stamps))]


def test_latest_begins_with_what_arrives_after_the_start(server: KinesisServer, query: MakeQuery) -> None:
    put(server, 20, "old", arrival=server.now() - 60)
    running = query(startingPosition="latest")
    assert data_of(running.batch()) == []
    new = put(server, 20, "new")
    assert data_of(running.drain(20)) == sorted(new)


def test_a_start_at_latest_survives_a_crash_in_the_first_micro_batch(server: KinesisServer, query: MakeQuery) -> None:
    running = query(startingPosition="latest")
    assert running.batch(commit=False) == []
    new = put(server, 10, "while it was down")
    replayed = running.restart()
    assert data_of(replayed + running.drain(10)) == sorted(new)


def test_a_time_begins_with_the_first_record_since_then(server: KinesisServer, query: MakeQuery) -> None:
    now = server.now()
    for number in range(10):
        server.put("events", f"{number}".encode(), partition_key=str(number), arrival=now - 100 + number)
    assert data_of(query(startingPosition=format_time(now - 95)).drain(5)) == [b"5", b"6", b"7", b"8", b"9"]


def test_a_replay_reads_the_same_records(server: KinesisServer, query: MakeQuery) -> None:
    put(server, 30, "one")
    running = query()
    committed = running.batch()
    put(server, 30, "two")
    lost = running.batch(commit=False)
    put(server, 30, "three")
    assert data_of(running.restart()) == data_of(lost)
    assert (
        len(committed or []) + len(lost or []) + len(running.drain(90 - len(committed or []) - len(lost or []))) == 90
    )


def test_a_replay_of_the_first_micro_batch_reads_the_same_records(server: KinesisServer, query: MakeQuery) -> None:
    put(server, 30)
    running = query()
    lost = running.batch(commit=False)
    put(server, 5, "later")
    assert data_of(running.restart()) == data_of(lost)
    assert len(running.drain(35 - len(lost or []))) == 35 - len(lost or [])


def test_an_ending_position_takes_exactly_what_had_arrived(server: KinesisServer, query: MakeQuery) -> None:
    had = put(server, 40, "had")
    running = query()
    goal = tip(running.options)
    put(server, 40, "came later")
    running.restart(endingPosition=json.dumps(goal.to_json()))
    assert data_of(running.drain(40)) == sorted(had)
    assert running.offset.covers(goal)


def test_an_ending_position_on_an_empty_stream_is_reached(server: KinesisServer, query: MakeQuery) -> None:
    running = query()
    goal = tip(running.options)
    running.restart(endingPosition=json.dumps(goal.to_json()))
    assert running.drain(0) == []
    assert running.offset.covers(goal)


def test_an_ending_position_before_a_start_at_a_time_is_reached(server: KinesisServer, query: MakeQuery) -> None:
    put(server, 10, "old", arrival=server.now() - 1000)
    running = query(startingPosition="latest")
    goal = tip(running.options)
    running.restart(endingPosition=json.dumps(goal.to_json()))
    assert running.drain(0) == []
    assert running.offset.covers(goal)


def test_the_tip_is_found_however_long_ago_the_last_record_came(server: KinesisServer, query: MakeQuery) -> None:
    now = server.now()
    shard = server.shards("events")[0]["ShardId"]
    for age in (200_000, 90_000, 5_000):
        last = server.put("events", b"x", arrival=now - age, shard=shard)["SequenceNumber"]
        assert str(tip(query().options).shards[shard]) == f"after:{last}"


def test_every_page_of_shards_is_listed(server: KinesisServer, query: MakeQuery) -> None:
    server.create_stream("wide", 1100)
    goal = tip({**query().options, "streamName": "wide"})
    assert len(goal.shards) == 1100


def test_empty_answers_behind_the_tip_are_not_the_end(server: KinesisServer, query: MakeQuery) -> None:
    made = put(server, 20)
    server.set_empty_pages(7)
    assert data_of(query().drain(len(made))) == sorted(made)


@pytest.mark.parametrize("kind", ["throttle", "internal", "unavailable", "reset", "truncated", "expired_iterator"])
def test_a_passing_fault_loses_nothing(server: KinesisServer, query: MakeQuery, kind: str) -> None:
    made = put(server, 60)
    operations = ["GetRecords"] if kind == "expired_iterator" else ["GetRecords", "GetShardIterator", "ListShards"]
    server.set_faults(0.3, kinds=[kind], operations=operations, seed=7)
    assert data_of(query().drain(len(made))) == sorted(made)


def test_a_fault_that_stays_ends_in_a_clear_error_within_the_retry_time(
    server: KinesisServer, query: MakeQuery
) -> None:
    put(server, 5)
    server.set_faults(1.0, kinds=["unavailable"], operations=["GetRecords"])
    with pytest.raises(UnavailableError, match=r"shardId-.*events.*ServiceUnavailable.*start the query again"):
        query(retrySeconds="1").batch()


def test_shard_limits_slow_reading_down_but_lose_nothing(query: MakeQuery) -> None:
    with KinesisServer(limits=True) as limited:
        limited.create_stream("events", 2)
        limited.fill("events", data=[b"%05d" % n + b"x" * 900 for n in range(6000)], key_field="none")
        records = query(endpointUrl=limited.endpoint_url).drain(6000, seconds=60)
    assert len({record.data[:5] for record in records}) == len(records) == 6000


def test_a_trimmed_start_stops_the_query_and_names_what_is_gone(server: KinesisServer, query: MakeQuery) -> None:
    shard = server.shards("events")[0]["ShardId"]
    now = server.now()
    placed = [server.put("events", b"x", arrival=now - 100 + n, shard=shard)["SequenceNumber"] for n in range(50)]
    running = query(sliceSeconds="10")
    running.batch()
    server.trim("events", shard, before_sequence_number=placed[30])
    with pytest.raises(DataLossError, match=rf"DATA LOSS in shard {shard}.*the oldest left is {placed[30]}"):
        running.drain(50)


def test_a_trimmed_start_is_passed_over_where_that_is_allowed(server: KinesisServer, query: MakeQuery) -> None:
    shard = server.shards("events")[0]["ShardId"]
    now = server.now()
    placed = [server.put("events", b"x", arrival=now - 100 + n, shard=shard)["SequenceNumber"] for n in range(50)]
    running = query(sliceSeconds="10", failOnDataLoss="false")
    before = running.batch() or []
    server.trim("events", shard, before_sequence_number=placed[30])
    after = running.drain(20)
    gap, *records = after
    assert [record.sequence_number for record in records] == placed[30:]
    assert len(before) < 30
    assert (gap.shard_id, gap.sequence_number) == (shard, placed[len(before)])
    assert gap.arrived_at == pytest.approx(now - 70, abs=0.01)
    said = json.loads(str(gap.lost))
    assert f"the record {placed[len(before)]}, where reading was to go on, is gone" in said["why"]
    assert (said["from"], said["to"]) == (f"at:{placed[len(before)]}", f"at:{placed[30]}")


def test_a_split_and_a_merge_lose_nothing_and_children_follow_their_parents(
    server: KinesisServer, query: MakeQuery
) -> None:
    made = put(server, 30, "before")
    running = query()
    records = running.batch() or []
    first, second = (shard["ShardId"] for shard in server.shards("events"))
    made += put(server, 30, "unread in the parent")
    _, left = server.split("events", first)
    made += put(server, 30, "in children")
    server.merge("events", left, second)
    made += put(server, 30, "in the merged grandchild")
    records += running.drain(len(made) - len(records))
    assert data_of(records) == sorted(made)
    position = {record.data: number for number, record in enumerate(records)}
    parents = [position[r.data] for r in records if r.shard_id == first]
    children = [position[r.data] for r in records if r.shard_id not in (first, second)]
    assert max(parents) < min(children)
    assert not {first, second, left} & set(running.offset.shards)


def test_a_merged_shard_waits_for_a_parent_that_has_not_begun_yet(server: KinesisServer, query: MakeQuery) -> None:
    left, right = (shard["ShardId"] for shard in server.shards("events"))
    now = server.now()
    for number in range(20):
        server.put("events", f"right {number}".encode(), shard=right, arrival=now - 400 + 20 * number)
    outer, inner = server.split("events", left)
    server.put("events", b"outer", shard=outer, arrival=now - 390)
    middle = server.merge("events", inner, right)
    server.put("events", b"middle", shard=middle, arrival=now - 5)
    last = server.merge("events", outer, middle)
    server.put("events", b"last", shard=last, arrival=now - 380)
    records = query(sliceSeconds="30").drain(23)
    assert len(records) == 23
    assert [record.data for record in records[-2:]] == [b"middle", b"last"]


def test_a_stream_that_is_not_there_is_named(server: KinesisServer, query: MakeQuery) -> None:
    with pytest.raises(StreamError, match=r"nowhere.*ResourceNotFoundException"):
        query(streamName="nowhere").batch()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"streamName": ""}, "streamName"),
        ({"startingPosition": "yesterday"}, "yesterday"),
        ({"failOnDataLoss": "perhaps"}, "failOnDataLoss"),
        ({"sliceSeconds": "long"}, "sliceSeconds"),
        ({"sliceSeconds": "0"}, "sliceSeconds"),
        ({"tasks": "nan"}, "tasks"),
        ({"shards": "2"}, "shards"),
    ],
)
def test_a_wrong_option_is_named(query: MakeQuery, options: dict[str, str], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        query(**options)


def test_a_stream_can_be_named_by_its_arn(server: KinesisServer, query: MakeQuery) -> None:
    made = put(server, 10)
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/events"
    assert data_of(query(streamName=arn).drain(10)) == sorted(made)


def test_one_task_serves_many_shards(server: KinesisServer, query: MakeQuery) -> None:
    server.create_stream("wide", 64)
    server.fill("wide", data=[b"x%d" % n for n in range(6400)], key_field="none")
    records = query(streamName="wide", tasks="1", connectionsPerTask="4").drain(6400)
    assert Counter(record.data for record in records) == Counter(b"x%d" % n for n in range(6400))
    assert len({record.shard_id for record in records}) == 64


def test_the_offset_holds_no_secret_and_reads_as_json(server: KinesisServer, query: MakeQuery) -> None:
    put(server, 3)
    running = query()
    running.drain(3)
    document = json.loads(running.log.ends[-1])
    assert document["version"] == 1
    assert document["stream"] == "events"
    assert all(str(Position.parse(text)) == text for text in document["shards"].values())
    assert set(document) <= {"version", "stream", "shards", "through", "first", "created", "clear", "lag"}


def test_complete_through_never_runs_ahead_of_what_was_delivered(server: KinesisServer, query: MakeQuery) -> None:
    now = server.now()
    stamps = {f"{n}".encode(): now - 1000 + n for n in range(1000)}
    for data, stamp in stamps.items():
        server.put("events", data, partition_key=data.decode(), arrival=stamp)
    running, seen = query(sliceSeconds="100"), set[bytes]()
    while (records := running.batch()) is not None:
        seen |= {record.data for record in records}
        through = parse_time(str(running.offset.through))
        assert {data for data, stamp in stamps.items() if stamp < through} <= seen
    assert len(seen) == 1000
