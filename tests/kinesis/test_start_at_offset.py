"""A query that begins where another one has ended: `startingPosition` is a JSON offset."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from kinesis_query import Delivered, KinesisQuery
from kinesis_server import KinesisServer
from kinesis_source import DataLossError, OptionError
from kinesis_source.options import Options

MakeQuery = Callable[..., KinesisQuery]
HOUR = 3600.0


def put(server: KinesisServer, numbers: range, **placed: object) -> None:
    for number in numbers:
        server.put("events", f"{number}".encode(), partition_key=str(number), **placed)  # type: ignore[arg-type]


def numbers(records: list[Delivered] | None) -> list[int]:
    return sorted(int(record.data) for record in records or [] if record.lost is None)


def drained(server: KinesisServer, query: MakeQuery, count: int, **placed: object) -> KinesisQuery:
    """A query that has read the first so many records."""
    put(server, range(count), **placed)
    first = query()
    assert numbers(first.drain(count)) == list(range(count))
    return first


def test_a_query_goes_on_exactly_where_another_one_has_ended(server: KinesisServer, query: MakeQuery) -> None:
    first = drained(server, query, 50)
    put(server, range(50, 80))
    following = query(startingPosition=first.log.ends[-1])
    assert numbers(following.drain(30)) == list(range(50, 80))
    assert following.offset.through is not None
    # What it knows of the stream it has from the other query.
    assert following.offset.created == first.offset.created


def test_its_first_micro_batch_is_replayed_from_the_same_place_without_the_option(
    server: KinesisServer, query: MakeQuery
) -> None:
    first = drained(server, query, 50, arrival=time.time() - 60)
    put(server, range(50, 80), arrival=time.time() - 30)
    following = query(startingPosition=first.log.ends[-1])
    delivered = following.batch(commit=False)
    assert numbers(delivered) == list(range(50, 80))
    replayed = following.restart(startingPosition="trim_horizon")
    assert replayed == delivered
    put(server, range(80, 90))
    assert numbers(following.drain(10)) == list(range(80, 90))
    assert following.offset.first is None
    assert following.offset.first_clear == {}


def test_with_nothing_new_its_first_micro_batch_is_empty_and_says_where_it_stands(
    server: KinesisServer, query: MakeQuery
) -> None:
    first = drained(server, query, 10)
    following = query(startingPosition=first.log.ends[-1])
    assert following.batch() == []
    assert following.offset.shards == first.offset.shards
    assert following.batch() is None
    put(server, range(10, 20))
    assert numbers(following.drain(10)) == list(range(10, 20))


def test_children_of_a_split_are_followed_from_a_given_offset(server: KinesisServer, query: MakeQuery) -> None:
    first = drained(server, query, 20)
    put(server, range(20, 30))
    server.split("events", server.shards("events")[0]["ShardId"])
    put(server, range(30, 60))
    assert numbers(query(startingPosition=first.log.ends[-1]).drain(40)) == list(range(20, 60))


def test_what_is_gone_behind_a_given_offset_is_told_before_anything_is_read(
    server: KinesisServer, query: MakeQuery
) -> None:
    first = drained(server, query, 20, arrival=time.time() - 2 * HOUR)
    put(server, range(20, 40))
    end = first.log.ends[-1]
    server.set_clock(25 * HOUR)
    server.enforce_retention("events")
    with pytest.raises(DataLossError, match="was never looked for"):
        query(startingPosition=end).batch()


def test_a_loss_between_planning_and_a_replay_of_the_first_micro_batch_is_told(
    server: KinesisServer, query: MakeQuery
) -> None:
    first = drained(server, query, 20, arrival=time.time() - 2 * HOUR)
    put(server, range(20, 40), arrival=time.time() - 60)
    following = query(startingPosition=first.log.ends[-1])
    assert numbers(following.batch(commit=False)) == list(range(20, 40))
    server.set_clock(25 * HOUR)
    server.enforce_retention("events")
    with pytest.raises(DataLossError, match="was never looked for"):
        following.restart()


def test_a_stream_that_was_made_again_is_told(server: KinesisServer, query: MakeQuery) -> None:
    first = drained(server, query, 20)
    server.delete_stream("events")
    server.create_stream("events", 2)
    with pytest.raises(DataLossError, match="deleted and made again"):
        query(startingPosition=first.log.ends[-1]).batch()


@pytest.mark.parametrize(
    ("position", "said"),
    [
        ('{"version": 1, "stream": "others", "shards": {}}', "an offset of stream others, not of events"),
        ('{"version": 1', "no JSON offset"),
        ('{"logOffset": 3}', "not an offset that this version"),
    ],
)
def test_an_offset_that_is_none_of_this_stream_is_refused(position: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        Options.parse({"streamName": "events", "startingPosition": position})


def test_offsets_keep_what_a_first_start_needs_through_json(server: KinesisServer, query: MakeQuery) -> None:
    first = drained(server, query, 5)
    start = first.offset.as_start()
    assert type(start).from_json(json.loads(json.dumps(start.to_json()))) == start
    assert start.begun().shards == first.offset.shards
