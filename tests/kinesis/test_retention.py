"""Retention may pass a part of a range between its planning and its reading: AWS then goes on behind it and says
nothing. The reader tells."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from kinesis_query import KinesisQuery
from kinesis_server import KinesisServer
from kinesis_source import DataLossError
from kinesis_source.batches import Record
from kinesis_source.client import KinesisClient
from kinesis_source.expiry import Keeping
from kinesis_source.options import Options
from kinesis_source.position import TRIM_HORIZON, after
from kinesis_source.reader import RangeReader, ShardRange
from kinesis_source.shards import Page

MakeQuery = Callable[..., KinesisQuery]
HOUR = 3600.0


def put(server: KinesisServer, *data: str, age: float = 0.0) -> str:
    """Puts records that arrived so long ago into the first shard; the last one's sequence number."""
    shard = server.shards("events")[0]["ShardId"]
    for each in data:
        where = server.put("events", each.encode(), partition_key="k", shard=shard, arrival=server.now() - age)
    return str(where["SequenceNumber"])


def pass_time(server: KinesisServer, hours: float, trims: bool) -> None:
    """The server's clock goes on; AWS may be late in letting go of what is older than retention."""
    server.set_clock(server.now() - time.time() + hours * HOUR)
    if trims:
        server.enforce_retention("events")


def next_records(reader: RangeReader) -> list[Record]:
    """The next answer that has any: an iterator that is hours old has expired."""
    while True:
        records, wait = reader.next_page(lambda size: True)
        if records:
            return records
        time.sleep(wait)


def half_read(server: KinesisServer, options: dict[str, str]) -> tuple[RangeReader, str]:
    """A reader after its first answer, and the last record of it; what comes next is to arrive a while later."""
    shard = server.shards("events")[0]["ShardId"]
    last = put(server, "read 1", "read 2", age=23.5 * HOUR)
    put(server, "next 1", "next 2", age=23.4 * HOUR)
    end = put(server, "left", age=HOUR)
    parsed = Options.parse(options)
    reader = RangeReader(
        KinesisClient(parsed), ShardRange(shard, TRIM_HORIZON, after(end), Keeping(None, 24 * HOUR)), parsed
    )
    reader._pages.limit = 2
    records = next_records(reader)
    assert (len(records), records[-1]["SequenceNumber"], reader.gap) == (2, last, None)
    return reader, last


def test_what_retention_passes_in_the_middle_of_a_range_is_told(server: KinesisServer, query: MakeQuery) -> None:
    reader, last = half_read(server, query(failOnDataLoss="false").options)
    pass_time(server, 0.7, trims=True)
    records = next_records(reader)
    assert [len(records), reader.finished] == [1, True]
    assert reader.gap is not None
    assert (reader.gap.sequence, reader.gap.arrived) == (last, records[0]["ApproximateArrivalTimestamp"])
    assert f"retention (24 hours) has passed {last}" in reader.gap.what


def test_what_retention_passes_in_the_middle_of_a_range_stops_the_query(
    server: KinesisServer, query: MakeQuery
) -> None:
    reader, _ = half_read(server, query().options)
    pass_time(server, 0.7, trims=True)
    with pytest.raises(DataLossError, match="the oldest left is"):
        next_records(reader)


def test_a_range_older_than_retention_that_is_still_there_has_lost_nothing(
    server: KinesisServer, query: MakeQuery
) -> None:
    reader, _ = half_read(server, query().options)
    pass_time(server, 0.7, trims=False)
    records = next_records(reader)
    assert [len(records), reader.gap] == [3, None]


def reader_up_to(end: str, server: KinesisServer, given: dict[str, str]) -> RangeReader:
    """From the trim horizon to a record, which it reads."""
    options = Options.parse(given)
    shard = server.shards("events")[0]["ShardId"]
    return RangeReader(KinesisClient(options), ShardRange(shard, TRIM_HORIZON, after(end)), options)


def test_a_planned_end_that_is_gone_is_told_where_later_records_are_there(
    server: KinesisServer, query: MakeQuery
) -> None:
    end, later = put(server, "a", "b"), put(server, "c")
    reader = reader_up_to(end, server, query().options)
    server.trim("events", reader.range.shard_id, before_sequence_number=later)
    with pytest.raises(DataLossError, match=f"the record {end}, where reading was to end, is gone; .* left is {later}"):
        reader.next_page(lambda size: True)


def test_one_or_two_empty_answers_at_the_tip_do_not_prove_that_a_planned_end_is_gone(
    server: KinesisServer, query: MakeQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = reader_up_to(put(server, "a", "b"), server, query().options)
    read_once = reader._cursor.read_once
    early = [Page([], at_tip=True, at_end=False)] * 2
    monkeypatch.setattr(reader._cursor, "read_once", lambda *given: early.pop() if early else read_once(*given))
    assert [len(next_records(reader)), reader.finished, reader.gap] == [2, True, None]


@pytest.mark.parametrize("trims", [True, False])
def test_what_retention_passes_between_planning_and_reading_is_told(
    server: KinesisServer, query: MakeQuery, trims: bool
) -> None:
    last = put(server, "a")
    running = query(failOnDataLoss="false")
    running.drain(1)
    put(server, "next")
    pass_time(server, 23, trims)
    put(server, "left", age=5)
    end = json.dumps(running._reader.latestOffset())
    pass_time(server, 2, trims)
    records = running._read(running.log.ends[-1], end)
    found = [(record.sequence_number, None) if record.lost else record.data for record in records]
    assert found == ([(last, None), b"left"] if trims else [b"next", b"left"])


def test_what_retention_passes_in_a_child_before_it_is_read_is_told(server: KinesisServer, query: MakeQuery) -> None:
    shard = server.shards("events")[0]["ShardId"]
    put(server, "a")
    running = query(failOnDataLoss="false", sliceSeconds="100000")
    running.drain(1)
    left, _ = server.split("events", shard)
    while left not in running.offset.shards:
        running.batch()
    server.put("events", b"next", partition_key="k", shard=left)
    pass_time(server, 23, trims=True)
    server.put("events", b"left", partition_key="k", shard=left, arrival=server.now() - 5)
    end = json.dumps(running._reader.latestOffset())
    pass_time(server, 2, trims=True)
    records = [record for record in running._read(running.log.ends[-1], end) if record.shard_id == left]
    assert [bool(record.lost) or record.data for record in records] == [True, b"left"]
