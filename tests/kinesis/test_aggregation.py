"""Records that the KPL packed into one. The independent reference is AWS's own library, and protobuf's own code."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable

import pytest
from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import iter_deaggregate_records
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st
from messages_pb2 import AggregatedRecord  # the library puts its folder on the path

from kinesis_query import KinesisQuery
from kinesis_server import KinesisServer
from kinesis_source.aggregation import LONGEST_KEY, MAGIC, unpack
from kinesis_source.batches import BATCH_BYTES, to_arrow

MakeQuery = Callable[..., KinesisQuery]
Inside = tuple[str, str | None, bytes]  # partition key, explicit hash key, data

KEYS = st.text(min_size=1, max_size=8)
HASH_KEYS = st.none() | st.integers(0, 2**128 - 1).map(str)
INSIDE = st.lists(st.tuples(KEYS, HASH_KEYS, st.binary(max_size=40)), min_size=1, max_size=12)


def sealed(message: bytes) -> bytes:
    return MAGIC + message + hashlib.md5(message).digest()


def packed(inside: list[Inside]) -> bytes:
    """One Kinesis record of these, as AWS's library makes it."""
    aggregator = RecordAggregator()
    for key, hash_key, data in inside:
        assert aggregator.add_user_record(key, data, hash_key) is None
    contents: bytes = aggregator.clear_and_get().get_contents()[2]
    return contents


def unpacked(record: bytes) -> list[tuple[str, bytes]] | None:
    found = unpack(record)
    return None if found is None else [(found.partition_key(n), found.data(n)) for n in range(len(found))]


def by_protobuf(message: bytes) -> list[tuple[str, bytes]] | None:
    """What protobuf's own parser finds; None where it refuses, or where the contents contradict the format."""
    try:
        found = AggregatedRecord.FromString(message)
        keys = [found.partition_key_table[record.partition_key_index] for record in found.records]
        hashes = [r.explicit_hash_key_index for r in found.records if r.HasField("explicit_hash_key_index")]
    except (DecodeError, IndexError):
        return None
    if not keys or max(hashes, default=-1) >= len(found.explicit_hash_key_table):
        return None
    if max(map(len, found.partition_key_table)) > LONGEST_KEY:
        return None
    return list(zip(keys, [record.data for record in found.records], strict=True))


@given(INSIDE)
def test_what_the_library_packs_comes_out_record_by_record(inside: list[Inside]) -> None:
    record = packed(inside)
    assert unpacked(record) == [(key, data) for key, _, data in inside]
    kinesis = {"SequenceNumber": "1", "PartitionKey": "a", "ApproximateArrivalTimestamp": 1.0, "Data": record}
    theirs = [each["kinesis"] for each in iter_deaggregate_records([kinesis], data_format="Boto3")]
    assert [(each["partitionKey"], each["subSequenceNumber"]) for each in theirs] == [
        (key, number) for number, (key, _, _) in enumerate(inside)
    ]


@given(INSIDE, st.data())
@example([("k", None, b"")], None)
def test_damaged_messages_with_a_right_checksum_are_read_as_protobuf_reads_them_or_not_at_all(
    inside: list[Inside], data: st.DataObject | None
) -> None:
    message = bytearray(packed(inside)[4:-16])
    if data is not None:
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(message) - 1))
            message[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
            if not message:
                return
    found = unpacked(sealed(bytes(message)))
    assert found is None or found == by_protobuf(bytes(message))


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    unpack(data)
    unpack(MAGIC + data)
    found = unpacked(sealed(data))
    assert found is None or found == by_protobuf(data)


def looks_aggregated() -> dict[str, bytes]:
    good = packed([("k", None, b"one"), ("k", "12", b"two")])
    message = good[4:-16]
    return {
        "the magic alone": MAGIC,
        "magic and checksum of nothing": sealed(b""),
        "a wrong checksum": good[:-1] + bytes([good[-1] ^ 1]),
        "a checksum cut short": good[:-1],
        "no protobuf": sealed(b"\xff" * 30),
        "a message cut short": sealed(message[:-1]),
        "no records in it": sealed(b"\x0a\x01k"),
        "a key index beyond the table": sealed(b"\x0a\x01k\x1a\x05\x08\x01\x1a\x01x"),
        "a hash key index beyond the table": sealed(b"\x0a\x01k\x1a\x07\x08\x00\x10\x00\x1a\x01x"),
        "an index of 64 bits": sealed(b"\x0a\x01k\x1a\x0e\x08" + b"\xff" * 9 + b"\x01\x1a\x01x"),
        "a record without data": sealed(b"\x0a\x01k\x1a\x02\x08\x00"),
        "a record without a key": sealed(b"\x0a\x01k\x1a\x03\x1a\x01x"),
        "a key that is not text": sealed(b"\x0a\x01\xff\x1a\x05\x08\x00\x1a\x01x"),
        "a key longer than Kinesis takes": sealed(b"\x0a\xac\x02" + b"k" * 300 + b"\x1a\x05\x08\x00\x1a\x01x"),
        "a length beyond the end": sealed(b"\x0a\xff\xff\xff\xff\x0fk"),
        "a data length beyond its record": sealed(b"\x0a\x01k\x1a\x05\x08\x00\x1a\x7fx"),
        "a number without an end": sealed(b"\x0a\x01k\x1a\x0d\x08" + b"\xff" * 12),
    }


@pytest.mark.parametrize("name", looks_aggregated())
def test_a_record_that_only_looks_aggregated_passes_whole(server: KinesisServer, query: MakeQuery, name: str) -> None:
    data = looks_aggregated()[name]
    server.put("events", data, partition_key="outer")
    (record,) = query().drain(1)
    assert (record.data, record.sub_sequence_number, record.partition_key) == (data, 0, "outer")


def test_fields_that_a_later_version_may_add_are_passed_over() -> None:
    assert unpacked(sealed(b"\x0a\x01k\x7a\x01z\x1a\x09\x08\x00\x1a\x01x\x22\x02\x0a\x00")) == [("k", b"x")]


def test_records_packed_into_one_are_delivered_as_themselves(server: KinesisServer, query: MakeQuery) -> None:
    shard = server.shards("events")[0]["ShardId"]
    server.put("events", b"before", partition_key="a", shard=shard)
    inside: list[Inside] = [("b", None, b"0"), ("c", "7", b""), ("b", None, b"2")]
    where = server.put("events", packed(inside), partition_key="outer", shard=shard)
    server.put("events", b"behind", partition_key="d", shard=shard)
    records = query().drain(5)
    assert [(r.data, r.partition_key, r.sub_sequence_number) for r in records] == [
        (b"before", "a", 0),
        (b"0", "b", 0),
        (b"", "c", 1),
        (b"2", "b", 2),
        (b"behind", "d", 0),
    ]
    assert {r.sequence_number for r in records[1:4]} == {where["SequenceNumber"]}


def test_all_records_of_one_kinesis_record_travel_in_one_micro_batch(server: KinesisServer, query: MakeQuery) -> None:
    now = server.now()
    for number in range(200):
        inside: list[Inside] = [("k", None, b"%d-%d" % (number, sub)) for sub in range(5)]
        server.put("events", packed(inside), partition_key=str(number), arrival=now - 200 + number)
    running, count = query(sliceSeconds="20"), 0
    while (records := running.batch(commit=count % 2 == 0)) is not None:
        replayed = running.restart()
        subs: dict[str, list[int]] = {}
        for record in records:
            subs.setdefault(record.sequence_number, []).append(record.sub_sequence_number)
        assert all(numbers == [0, 1, 2, 3, 4] for numbers in subs.values())
        assert not replayed or sorted(r.data for r in replayed) == sorted(r.data for r in records)
        count += len(records)
    assert count == 1000


def test_a_record_that_unpacks_to_very_much_comes_in_batches_of_bounded_size() -> None:
    key = "k" * LONGEST_KEY
    message = b"\x0a\x80\x02" + key.encode() + b"\x1a\x04\x08\x00\x1a\x00" * 100_000
    kinesis = {"SequenceNumber": "1", "PartitionKey": "a", "ApproximateArrivalTimestamp": 1.0}
    batches = list(to_arrow([{**kinesis, "Data": b64encode(sealed(message)).decode()}], "events", "shard"))
    assert sum(batch.num_rows for batch in batches) == 100_000
    assert max(batch.column("partitionKey").nbytes for batch in batches) < 2 * BATCH_BYTES
    subs = [sub for batch in batches for sub in batch.column("subSequenceNumber").to_pylist()]
    assert subs == list(range(100_000))
