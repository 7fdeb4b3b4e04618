"""GetRecords' JSON records as Arrow batches in the raw-record schema: built by column, bounded in bytes.

Records that the KPL packed into one come out as themselves, numbered from 0 in `subSequenceNumber`. All of one Kinesis
record's records belong to one micro-batch, since a micro-batch ends at a sequence number.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from kinesis_source import aggregation
from kinesis_source.aggregation import Aggregate
from kinesis_source.gap import SUB_SEQUENCE_NUMBER, Gap

UTC_MICROS = pa.timestamp("us", tz="UTC")

ARROW_SCHEMA = pa.schema(
    [
        ("data", pa.binary()),
        ("streamName", pa.string()),
        ("shardId", pa.string()),
        ("partitionKey", pa.string()),
        ("sequenceNumber", pa.string()),
        ("subSequenceNumber", pa.int64()),
        ("approximateArrivalTimestamp", UTC_MICROS),
    ]
)

# malloc, as Python has it: Arrow's own allocators keep a heap for each thread, and give back late.
POOL = pa.system_memory_pool()

# Of data and partition keys in one Arrow batch; a single record may be larger.
BATCH_BYTES = 2 * 1024 * 1024
BATCH_RECORDS = 10_000

Record = dict[str, Any]

_DATA, _KEY = itemgetter("Data"), itemgetter("PartitionKey")
_SEQUENCE, _ARRIVAL = itemgetter("SequenceNumber"), itemgetter("ApproximateArrivalTimestamp")


def size_of(records: list[Record]) -> int:
    """Bytes of data and partition keys, as AWS counts them (but for padding and letters beyond ASCII)."""
    return 3 * sum(map(len, map(_DATA, records))) // 4 + sum(map(len, map(_KEY, records)))


def to_arrow(records: list[Record], stream: str, shard_id: str) -> Iterator[pa.RecordBatch]:
    """All of `records`, in order. They are let go of, in the list too, while the batches are being taken."""
    for part in _parts(records):
        data = pa.array(list(map(a2b_base64, map(_DATA, part))), pa.binary(), memory_pool=POOL)
        packed = pc.starts_with(data, aggregation.MAGIC)
        if pc.any(packed).as_py():
            yield from _with_aggregates(part, data, packed.to_pylist(), stream, shard_id)
        else:
            keys, sequences = (
                pa.array(list(map(field, part)), pa.string(), memory_pool=POOL) for field in (_KEY, _SEQUENCE)
            )
            columns = [data, keys, sequences, pa.repeat(pa.scalar(0, pa.int64()), len(part)), _micros(part)]
            yield _batch(columns, stream, shard_id)


def gaps_to_arrow(gaps: list[Gap], stream: str) -> pa.RecordBatch:
    """Gaps as rows among the records, see `gap`."""
    count = len(gaps)
    return pa.RecordBatch.from_arrays(
        [
            pa.nulls(count, pa.binary()),
            pa.repeat(pa.scalar(stream, pa.string()), count),
            pa.array([gap.shard_id for gap in gaps], pa.string()),
            pa.array([gap.said() for gap in gaps], pa.string()),
            pa.array([gap.sequence for gap in gaps], pa.string()),
            pa.repeat(pa.scalar(SUB_SEQUENCE_NUMBER, pa.int64()), count),
            pa.array([round(gap.arrived * 1000) * 1000 for gap in gaps], UTC_MICROS),
        ],
        schema=ARROW_SCHEMA,
    )


def _parts(records: list[Record]) -> Iterator[list[Record]]:
    """The records in parts of at most BATCH_BYTES; usually all of them in one."""
    if size_of(records) <= BATCH_BYTES:
        if records:
            yield records
        return
    records.reverse()
    while records:
        part = [records.pop()]
        size = len(_DATA(part[0]))
        while records and 3 * (size + len(_DATA(records[-1]))) // 4 <= BATCH_BYTES:
            part.append(records.pop())
            size += len(_DATA(part[-1]))
        yield part


def _micros(part: list[Record]) -> pa.Array:
    """Arrival times; AWS's are seconds with three decimals."""
    millis = pc.round(pc.multiply(pa.array(list(map(_ARRIVAL, part)), pa.float64()), 1000))
    return pc.multiply(millis.cast(pa.int64()), 1000).cast(UTC_MICROS)


def _batch(columns: list[pa.Array], stream: str, shard_id: str) -> pa.RecordBatch:
    """`columns` are all but the two names, in the order of the schema."""
    data, *others = columns
    names = [pa.repeat(pa.scalar(name, pa.string()), len(data), memory_pool=POOL) for name in (stream, shard_id)]
    return pa.RecordBatch.from_arrays([data, *names, *others], schema=ARROW_SCHEMA)


def _with_aggregates(
    part: list[Record], data: pa.Array, packed: list[bool], stream: str, shard_id: str
) -> Iterator[pa.RecordBatch]:
    rows = _Rows(stream, shard_id)
    for number, (record, may_be_packed, micros) in enumerate(zip(part, packed, _micros(part), strict=True)):
        own = data[number].as_py()
        inside = aggregation.unpack(own) if may_be_packed else None
        if inside is None:
            yield from rows.add(own, _KEY(record), _SEQUENCE(record), 0, micros.value)
        else:
            yield from rows.add_all(inside, _SEQUENCE(record), micros.value)
    yield from rows.rest()


class _Rows:
    """Rows on their way into batches of bounded size."""

    def __init__(self, stream: str, shard_id: str) -> None:
        self._stream, self._shard_id = stream, shard_id
        self._clear()

    def _clear(self) -> None:
        self._size = 0
        self._data: list[bytes] = []
        self._keys: list[str] = []
        self._sequences: list[str] = []
        self._subs: list[int] = []
        self._micros: list[int] = []

    def add(self, data: bytes, key: str, sequence: str, sub: int, micros: int) -> Iterator[pa.RecordBatch]:
        size = len(data) + len(key)
        if self._data and (self._size + size > BATCH_BYTES or len(self._data) == BATCH_RECORDS):
            yield from self.rest()
        self._size += size
        self._data.append(data)
        self._keys.append(key)
        self._sequences.append(sequence)
        self._subs.append(sub)
        self._micros.append(micros)

    def add_all(self, inside: Aggregate, sequence: str, micros: int) -> Iterator[pa.RecordBatch]:
        for sub in range(len(inside)):
            yield from self.add(inside.data(sub), inside.partition_key(sub), sequence, sub, micros)

    def rest(self) -> Iterator[pa.RecordBatch]:
        """What is left of the rows, as one batch or none."""
        if self._data:
            columns = [
                pa.array(self._data, pa.binary(), memory_pool=POOL),
                pa.array(self._keys, pa.string(), memory_pool=POOL),
                pa.array(self._sequences, pa.string(), memory_pool=POOL),
                pa.array(self._subs, pa.int64()),
                pa.array(self._micros, UTC_MICROS),
            ]
            yield _batch(columns, self._stream, self._shard_id)
            self._clear()
