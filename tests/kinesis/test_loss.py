"""Whatever is gone is told: stopped at by default, handed on as a gap row where that is allowed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from kinesis_query import Delivered, KinesisQuery
from kinesis_server import KinesisServer
from kinesis_source import DataLossError, tip
from kinesis_source.position import TRIM_HORIZON, parse_time

MakeQuery = Callable[..., KinesisQuery]
HOUR = 3600.0


def put(server: KinesisServer, *data: str, shard: str | None = None, age: float = 0.0) -> list[str]:
    """Puts records that arrived `age` seconds ago; their sequence numbers."""
    return [
        server.put("events", each.encode(), partition_key=each, shard=shard, arrival=server.now() - age)[
            "SequenceNumber"
        ]
        for each in data
    ]


def pass_time(server: KinesisServer, hours: float) -> None:
    """The server's clock goes on, and its retention with it."""
    server.set_clock(server.now() - time.time() + hours * HOUR)
    server.enforce_retention("events")


def texts(records: list[Delivered] | None) -> list[str]:
    return [record.data.decode() for record in records or [] if record.lost is None]


def gaps(records: list[Delivered] | None) -> list[Delivered]:
    return [record for record in records or [] if record.lost is not None]


def idle_for_hours(running: KinesisQuery, server: KinesisServer, hours: int) -> list[Delivered]:
    """A trigger every half hour."""
    records: list[Delivered] = []
    for _ in range(2 * hours):
        pass_time(server, 0.5)
        records += running.batch() or []
    return records


# Behind `after`: an idle shard


def test_a_stream_idle_for_longer_than_retention_is_no_loss_while_running_or_after_a_short_stop(
    server: KinesisServer, query: MakeQuery
) -> None:
    put(server, "a", "b", "c", "d")
    running = query()
    running.drain(4)
    assert idle_for_hours(running, server, 60) == []
    running.restart()
    assert (running.batch() or []) == []
    pass_time(server, 20)
    put(server, "e")
    assert running.restart() == []
    assert texts(running.drain(1)) == ["e"]


def test_a_shard_that_never_had_a_record_is_no_loss_either(server: KinesisServer, query: MakeQuery) -> None:
    running = query()
    assert (running.batch() or []) == []
    assert idle_for_hours(running, server, 50) == []
    running.restart()
    put(server, "first")
    assert texts(running.drain(1)) == ["first"]


def test_a_shard_that_is_idle_while_another_one_catches_up_for_days_is_no_loss(
    server: KinesisServer, query: MakeQuery
) -> None:
    busy, idle = (shard["ShardId"] for shard in server.shards("events"))
    put(server, "idle", shard=idle, age=40 * HOUR)
    numbers = [f"{number:02d}" for number in range(60)]
    for number in range(60):
        put(server, numbers[number], shard=busy, age=(36 - number / 10) * HOUR)
    running, records = query(sliceSeconds="60"), list[Delivered]()
    for hour in range(62):
        server.set_clock(hour * HOUR)  # and nothing is trimmed: it is the idle shard that matters
        records += running.batch() or []
        assert len(running.log.ends) > hour * 0.9
    assert texts(records) == ["idle", *numbers]


def test_an_idle_stream_makes_at_most_one_micro_batch_an_hour(server: KinesisServer, query: MakeQuery) -> None:
    put(server, "a", "b", "c")
    running = query()
    running.drain(3)
    before = len(running.log.ends)
    for _ in range(48 * 6):
        pass_time(server, 1 / 6)
        running.batch()
    assert 40 <= len(running.log.ends) - before <= 49


@pytest.mark.parametrize("left", [0, 1])
def test_stopped_for_longer_than_retention_an_idle_shard_is_told_as_a_loss(
    server: KinesisServer, query: MakeQuery, left: int
) -> None:
    shard = server.shards("events")[0]["ShardId"]
    (last,) = put(server, "a", shard=shard)
    running = query()
    running.drain(1)
    pass_time(server, 1)
    put(server, "nobody will ever see this", shard=shard)
    pass_time(server, 30)
    found = put(server, *["left"] * left, shard=shard)
    with pytest.raises(DataLossError, match=rf"DATA LOSS in shard {shard}.*after:{last} from 20.*Z to 20.*24 hours"):
        running.restart(), running.batch()
    running.restart(failOnDataLoss="false")
    records = running.drain(2 + left)
    assert texts(records) == ["left"] * left
    gap = next(gap for gap in gaps(records) if gap.shard_id == shard)
    assert gap.sequence_number == last
    if left:
        assert f"the oldest left is {found[0]}" in str(gap.lost)
        assert gap.arrived_at == pytest.approx(server.now(), abs=60)
    assert gaps(running.drain(0, seconds=1)) == []
    running.restart(failOnDataLoss="true")
    assert (running.batch() or []) == []


def test_a_pause_beyond_retention_is_told_though_the_query_never_stopped(
    server: KinesisServer, query: MakeQuery
) -> None:
    shard = server.shards("events")[0]["ShardId"]
    put(server, "a", shard=shard)
    running = query()
    running.drain(1)
    pass_time(server, 1)
    put(server, "lost", shard=shard)
    pass_time(server, 30)
    put(server, "left", shard=shard)
    with pytest.raises(DataLossError, match=f"DATA LOSS in shard {shard}.*was never looked for"):
        running.batch()


def test_stopped_for_less_than_retention_is_no_loss(server: KinesisServer, query: MakeQuery) -> None:
    put(server, "a", "b")
    running = query()
    running.drain(2)
    pass_time(server, 23.5)
    put(server, "c")
    running.restart()
    assert texts(running.drain(1)) == ["c"]


def test_a_longer_retention_lets_a_query_be_stopped_for_longer(server: KinesisServer, query: MakeQuery) -> None:
    server.service.stream("events").retention_hours = 168
    put(server, "a", "b")
    running = query()
    running.drain(2)
    pass_time(server, 100)
    put(server, "c")
    running.restart()
    assert texts(running.drain(1)) == ["c"]


def test_a_start_at_latest_that_was_stopped_for_longer_than_retention_is_a_loss(
    server: KinesisServer, query: MakeQuery
) -> None:
    running = query(startingPosition="latest")
    running.batch()
    pass_time(server, 1)
    put(server, "lost")
    pass_time(server, 25)
    running.restart()
    with pytest.raises(DataLossError, match="time:20"):
        running.batch()


def test_a_pinned_end_is_followed_by_no_micro_batch_about_shards_without_records(
    server: KinesisServer, query: MakeQuery
) -> None:
    put(server, *"abc", shard=server.shards("events")[0]["ShardId"], age=5)
    running = query()
    goal = json.dumps(tip(running.options).to_json())
    running.restart(endingPosition=goal)
    assert texts(running.batch()) == list("abc")
    assert [running.batch() for _ in range(3)] == [None] * 3
    running.restart()
    assert [running.batch() for _ in range(3)] == [None] * 3


def test_what_came_and_went_in_a_shard_that_is_empty_at_a_pinned_end_is_told(
    server: KinesisServer, query: MakeQuery
) -> None:
    first, second = (shard["ShardId"] for shard in server.shards("events"))
    (last,) = put(server, "a", shard=first)
    running = query()
    running.drain(1)
    pass_time(server, 1)
    put(server, "lost", shard=first)
    pass_time(server, 30)
    goal = tip(running.options)
    put(server, "later", shard=first)
    assert not running.offset.covers(goal)
    running.restart(endingPosition=json.dumps(goal.to_json()))
    with pytest.raises(DataLossError, match=rf"DATA LOSS in shard {first}.*after:{last} from 20.*Z to 20.*24 hours"):
        running.batch()
    running.restart(failOnDataLoss="false")
    records = running.batch()
    assert {gap.shard_id for gap in gaps(records)} == {first, second}
    assert running.offset.covers(goal)
    assert [running.batch() for _ in range(3)] == [None] * 3
    running.options.pop("endingPosition")
    running.restart()
    assert [record.lost or record.data for record in running.drain(1)] == [b"later"]


def test_a_shard_that_is_empty_at_a_pinned_end_and_was_looked_at_within_retention_has_lost_nothing(
    server: KinesisServer, query: MakeQuery
) -> None:
    put(server, "a", shard=server.shards("events")[0]["ShardId"])
    running = query()
    running.drain(1)
    for _ in range(4):
        pass_time(server, 13)
        running.batch()
    pass_time(server, 20)
    goal = tip(running.options)
    assert running.offset.covers(goal)
    running.restart(endingPosition=json.dumps(goal.to_json()))
    assert [running.batch() for _ in range(3)] == [None] * 3


def test_a_first_start_with_a_pinned_end_of_an_empty_stream_is_where_loss_is_told_from(
    server: KinesisServer, query: MakeQuery
) -> None:
    running = query()
    running.restart(endingPosition=json.dumps(tip(running.options).to_json()))
    assert running.batch() == []
    assert [running.batch() for _ in range(3)] == [None] * 3
    put(server, "lost")
    pass_time(server, 25)
    running.restart(endingPosition=json.dumps(tip(running.options).to_json()))
    with pytest.raises(DataLossError, match="was never looked for"):
        running.batch()


# Behind `at`: the next record was known


def test_a_shard_whose_next_record_is_gone_and_that_is_empty_now_is_a_loss(
    server: KinesisServer, query: MakeQuery
) -> None:
    shard = server.shards("events")[0]["ShardId"]
    numbers = put(server, *"abcdef", shard=shard, age=5 * HOUR) + put(server, "g", shard=shard, age=4 * HOUR)
    running = query(sliceSeconds="60")
    assert texts(running.batch()) == list("abcdef")
    server.trim("events", shard)
    with pytest.raises(DataLossError, match=rf"{shard}.*the record {numbers[-1]}.*holds nothing any more"):
        running.batch()
    running.restart(failOnDataLoss="false")
    records = running.drain(1)
    assert [(gap.shard_id, gap.sequence_number) for gap in gaps(records)] == [(shard, numbers[-1])]
    put(server, "h", shard=shard)
    assert texts(running.drain(1)) == ["h"]


def test_a_pinned_end_of_a_shard_that_has_lost_everything_is_no_excuse(server: KinesisServer, query: MakeQuery) -> None:
    shard = server.shards("events")[0]["ShardId"]
    put(server, "a", shard=shard, age=5 * HOUR)
    put(server, "b", shard=shard, age=4 * HOUR)
    running = query(sliceSeconds="60")
    running.batch()
    server.trim("events", shard)
    goal = tip(running.options)
    assert not running.offset.covers(goal)
    running.restart(endingPosition=json.dumps(goal.to_json()))
    with pytest.raises(DataLossError, match="holds nothing any more"):
        running.batch()
    running.restart(failOnDataLoss="false")
    assert len(gaps(running.batch())) == 1
    assert running.offset.covers(goal)


def test_a_planned_micro_batch_that_retention_passes_before_it_is_read_is_a_loss(
    server: KinesisServer, query: MakeQuery
) -> None:
    shard = server.shards("events")[0]["ShardId"]
    put(server, *"abcdef", shard=shard, age=5)
    running = query(failOnDataLoss="false")
    assert texts(running.batch(commit=False)) == list("abcdef")
    server.trim("events", shard)
    (gap,) = running.restart()
    assert "the shard's tip was reached before the planned end" in str(gap.lost)
    assert gap.shard_id == shard
    put(server, "g", shard=shard)
    assert texts(running.drain(1)) == ["g"]


def test_a_micro_batch_replayed_when_retention_has_passed_a_part_of_it_is_a_loss(
    server: KinesisServer, query: MakeQuery
) -> None:
    shard = server.shards("events")[0]["ShardId"]
    put(server, "a", shard=shard)
    running = query()
    running.drain(1)
    put(server, "b", shard=shard)
    pass_time(server, 2)
    put(server, "c", shard=shard, age=5)
    assert texts(running.batch(commit=False)) == ["b", "c"]
    pass_time(server, 23)
    with pytest.raises(DataLossError, match=f"DATA LOSS in shard {shard}.*what is left of it follows"):
        running.restart()
    records = running.restart(failOnDataLoss="false")
    assert texts(records) == ["c"]
    assert [gap.shard_id for gap in gaps(records)] == [shard]


def test_a_gap_row_comes_again_in_a_replay_and_never_in_another_micro_batch(
    server: KinesisServer, query: MakeQuery
) -> None:
    shard = server.shards("events")[0]["ShardId"]
    put(server, "a", shard=shard, age=5 * HOUR)
    put(server, "b", shard=shard, age=4 * HOUR)
    running = query(sliceSeconds="60", failOnDataLoss="false")
    running.batch()
    server.trim("events", shard)
    first = running.batch(commit=False)
    assert len(gaps(first)) == 1
    assert running.restart() == first
    put(server, "c", shard=shard)
    records = running.drain(1)
    assert (texts(records), gaps(records)) == (["c"], [])


# The stream as a whole


@pytest.mark.parametrize("had_records", [True, False])
def test_a_stream_made_again_under_its_name_is_told_from_the_one_that_was_read(
    server: KinesisServer, query: MakeQuery, had_records: bool
) -> None:
    if had_records:
        put(server, "a", "b", "c")
    running = query()
    running.drain(3 if had_records else 0)
    server.delete_stream("events")
    server.create_stream("events", 3)
    put(server, "new 1", "new 2")
    running.restart()
    with pytest.raises(
        DataLossError, match=r"DATA LOSS in shard shardId-0.*deleted and made again at 20.*1 more shard"
    ):
        running.batch()
    running.restart(failOnDataLoss="false")
    records = running.drain(4)
    assert sorted(texts(records)) == ["new 1", "new 2"]
    assert len(gaps(records)) == 2
    assert set(running.offset.shards) == {shard["ShardId"] for shard in server.shards("events")}
    running.restart(failOnDataLoss="true")
    put(server, "new 3")
    assert texts(running.drain(1)) == ["new 3"]


def test_a_stream_made_again_while_the_query_runs_is_noticed_at_once(server: KinesisServer, query: MakeQuery) -> None:
    put(server, *"abcdefgh")
    running = query()
    running.drain(8)
    server.delete_stream("events")
    server.create_stream("events", 2)
    put(server, "new")
    with pytest.raises(DataLossError, match="deleted and made again"):
        running.batch()


def test_a_stream_made_again_is_noticed_from_an_offset_that_does_not_say_when_it_was_made(
    server: KinesisServer, query: MakeQuery
) -> None:
    put(server, *"abcdefgh")
    running = query()
    running.drain(8)
    old = json.loads(running.log.ends[-1])
    running.log.ends[-1] = json.dumps({key: old[key] for key in ("version", "stream", "shards", "through")})
    server.delete_stream("events")
    server.create_stream("events", 2)
    running.restart()
    with pytest.raises(DataLossError, match="deleted and made again"):
        running.batch()


def test_a_shard_that_is_gone_is_a_loss_and_its_children_are_read(server: KinesisServer, query: MakeQuery) -> None:
    first, second = (shard["ShardId"] for shard in server.shards("events"))
    put(server, "a", shard=first)
    running = query()
    running.drain(1)
    put(server, "unread", shard=first)
    left, _ = server.split("events", first)
    put(server, "in a child", shard=left)
    server.trim("events", first)
    assert first not in {shard["ShardId"] for shard in server.shards("events")}
    running.restart()
    with pytest.raises(DataLossError, match=rf"DATA LOSS in shard {first}.*no longer listed.*since 20"):
        running.batch()
    running.restart(failOnDataLoss="false")
    records = running.drain(2)
    assert texts(records) == ["in a child"]
    assert [gap.shard_id for gap in gaps(records)] == [first]
    assert first not in running.offset.shards
    assert second in running.offset.shards


def test_a_shard_that_goes_while_the_query_runs_is_a_loss_too(server: KinesisServer, query: MakeQuery) -> None:
    first = server.shards("events")[0]["ShardId"]
    put(server, "a", shard=first)
    running = query(failOnDataLoss="false")
    running.drain(1)
    put(server, "unread", shard=first)
    left, _ = server.split("events", first)
    server.trim("events", first)
    put(server, "in a child", shard=left)
    records = running.drain(2)
    assert texts(records) == ["in a child"]
    assert [gap.shard_id for gap in gaps(records)] == [first]


def test_generations_that_came_and_went_unread_are_a_loss(server: KinesisServer, query: MakeQuery) -> None:
    first, second = (shard["ShardId"] for shard in server.shards("events"))
    put(server, "a", shard=first)
    running = query()
    running.drain(1)
    children = server.split("events", first)
    grandchildren = [each for child in children for each in server.split("events", child)]
    for gone in (first, *children):
        server.trim("events", gone)
    put(server, "kept", shard=grandchildren[0])
    running.restart()
    with pytest.raises(DataLossError, match=rf"DATA LOSS in shard {first}.*4 more shards"):
        running.batch()
    running.restart(failOnDataLoss="false")
    records = running.drain(6)
    assert texts(records) == ["kept"]
    assert {gap.shard_id for gap in gaps(records)} == {first, *grandchildren}
    assert set(running.offset.shards) == {second, *grandchildren}


def test_what_a_child_lost_while_the_query_was_stopped_is_told(server: KinesisServer, query: MakeQuery) -> None:
    first = server.shards("events")[0]["ShardId"]
    put(server, "parent", shard=first)
    running = query()
    running.drain(1)
    left, _ = server.split("events", first)
    running.drain(0, seconds=2)
    assert left in running.offset.shards
    pass_time(server, 2)
    put(server, "lost", shard=left)
    pass_time(server, 25)
    put(server, "kept", shard=left)
    running.restart()
    with pytest.raises(DataLossError, match="DATA LOSS in shard"):
        running.batch()
    running.restart(failOnDataLoss="false")
    records = running.drain(4)
    assert texts(records) == ["kept"]
    assert left in {gap.shard_id for gap in gaps(records)}


def test_what_a_child_loses_after_the_loss_of_its_parent_was_told_is_told_too(
    server: KinesisServer, query: MakeQuery
) -> None:
    first = server.shards("events")[0]["ShardId"]
    put(server, "a", shard=first)
    running = query(failOnDataLoss="false")
    running.drain(1)
    pass_time(server, 29)
    left, _ = server.split("events", first)
    put(server, "lost", shard=left)
    pass_time(server, 1)
    records: list[Delivered] = []
    while left not in running.offset.shards:
        records += running.batch() or []
    assert first in {gap.shard_id for gap in gaps(records)}
    assert running.offset.shards[left] == TRIM_HORIZON
    pass_time(server, 23.5)
    running.restart()
    records = running.drain(3)
    assert texts(records) == []
    assert left in {gap.shard_id for gap in gaps(records)}


def test_behind_a_loss_an_offset_promises_nothing_of_what_is_left(server: KinesisServer, query: MakeQuery) -> None:
    shard = server.shards("events")[0]["ShardId"]
    put(server, "a", shard=shard)
    running = query(failOnDataLoss="false")
    running.drain(1)
    pass_time(server, 30)
    put(server, "left", shard=shard, age=3 * HOUR)
    assert shard in {gap.shard_id for gap in gaps(running.batch())}
    assert running.offset.shards[shard].kind == "at"
    assert running.offset.clear_of(shard) <= server.now() - 3 * HOUR


def test_looking_for_loss_costs_two_calls_at_a_start_and_two_an_hour(server: KinesisServer, query: MakeQuery) -> None:
    put(server, "a", "b")
    running = query()
    running.drain(2)
    running.restart()
    server.clear_calls()
    for _ in range(30):
        running.batch()
    assert len(server.calls("DescribeStreamSummary")) == len(server.calls("ListShards")) == 1
    idle_for_hours(running, server, 5)
    assert len(server.calls("DescribeStreamSummary")) == len(server.calls("ListShards")) <= 6


# Complete through


def test_complete_through_waits_for_the_children_of_a_shard_that_has_ended(
    server: KinesisServer, query: MakeQuery
) -> None:
    first = server.shards("events")[0]["ShardId"]
    put(server, "parent", shard=first, age=100)
    left, _ = server.split("events", first)
    put(server, "child", shard=left, age=50)
    running, child = query(), server.now() - 50
    seen: list[str] = []
    for _ in range(6):
        seen += texts(running.batch())
        if "child" not in seen and running.offset.through:
            assert parse_time(running.offset.through) <= child
    assert sorted(seen) == ["child", "parent"]


def test_complete_through_is_no_later_than_a_pinned_end(server: KinesisServer, query: MakeQuery) -> None:
    put(server, *"abc", age=10)
    running = query()
    goal = tip(running.options)
    pass_time(server, 1)
    put(server, "later")
    running.restart(endingPosition=json.dumps(goal.to_json()))
    assert sorted(texts(running.drain(3))) == list("abc")
    assert parse_time(str(running.offset.through)) <= parse_time(str(goal.through))
    assert all(parse_time(moment) <= parse_time(str(goal.through)) for moment in running.offset.clear.values())
