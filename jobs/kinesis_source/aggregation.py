"""Records that the Kinesis Producer Library (KPL) packed into one: reading its format, safely on any bytes.

    magic F3 89 9A C2 | protobuf AggregatedRecord | MD5 of the protobuf (16 bytes)

    AggregatedRecord  1: partition keys  2: explicit hash keys  3: records (each repeated)
    record            1: index of its partition key  2: index of its explicit hash key (optional)  3: data  4: tags

(aggregation-format.md in awslabs/amazon-kinesis-producer; frozen since 2014.) Why this is not the protobuf package's
business stands in docs/decisions.md.
"""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass

MAGIC = b"\xf3\x89\x9a\xc2"
CHECKSUM_BYTES = 16

# Of a partition key, in characters (API reference, PutRecord). Without this bound a record of 10 MiB could name one
# key of megabytes a million times.
LONGEST_KEY = 256

_PARTITION_KEY, _HASH_KEY, _RECORD = 0x0A, 0x12, 0x1A  # tags of AggregatedRecord: field number << 3 | wire type
_KEY_INDEX, _HASH_INDEX, _DATA = 0x08, 0x10, 0x1A  # tags of a record


class _Malformed(Exception):
    """These bytes are no message of this format."""


@dataclass(frozen=True)
class Aggregate:
    """The records inside one Kinesis record, as places in its bytes: 12 bytes each, however many there are."""

    packed: bytes
    keys: list[str]
    key_of: array[int]
    starts: array[int]
    ends: array[int]

    def __len__(self) -> int:
        return len(self.key_of)

    def data(self, number: int) -> bytes:
        return self.packed[self.starts[number] : self.ends[number]]

    def partition_key(self, number: int) -> str:
        return self.keys[self.key_of[number]]


def unpack(packed: bytes) -> Aggregate | None:
    """The records in `packed`; None where it is not, in every part, what the KPL writes. Never raises."""
    end = len(packed) - CHECKSUM_BYTES
    if not packed.startswith(MAGIC) or end <= len(MAGIC):
        return None
    checksum = hashlib.md5(memoryview(packed)[len(MAGIC) : end], usedforsecurity=False).digest()
    if checksum != packed[end:]:
        return None
    try:
        return _message(packed, len(MAGIC), end)
    except (_Malformed, UnicodeDecodeError):
        return None


def _message(packed: bytes, at: int, end: int) -> Aggregate:
    keys: list[str] = []
    hash_keys = 0
    key_of, hash_of, starts, ends = (array("I") for _ in range(4))
    while at < end:
        tag, at = _varint(packed, at, end)
        if tag not in (_PARTITION_KEY, _HASH_KEY, _RECORD):
            at = _skip(packed, tag, at, end)
            continue
        size, at = _varint(packed, at, end)
        stop = at + size
        if stop > end:
            raise _Malformed
        if tag == _RECORD:
            key, hash_key, start, data_end = _record(packed, at, stop)
            key_of.append(key)
            hash_of.append(hash_key)
            starts.append(start)
            ends.append(data_end)
        elif tag == _PARTITION_KEY:
            keys.append(packed[at:stop].decode())
        else:
            packed[at:stop].decode()
            hash_keys += 1
        at = stop
    known = key_of and max(key_of) < len(keys) and max(hash_of) <= hash_keys
    if not known or len(max(keys, key=len)) > LONGEST_KEY:
        raise _Malformed
    return Aggregate(packed, keys, key_of, starts, ends)


def _record(packed: bytes, at: int, stop: int) -> tuple[int, int, int, int]:
    """Index of the key, index of the explicit hash key + 1 (0: none), first byte of the data and the one behind it."""
    key, hash_key, start, data_end = -1, 0, -1, -1
    while at < stop:
        tag, at = _varint(packed, at, stop)
        if tag == _DATA:
            size, at = _varint(packed, at, stop)
            start, data_end = at, at + size
            at = data_end
        elif tag == _KEY_INDEX:
            key, at = _varint(packed, at, stop)
        elif tag == _HASH_INDEX:
            hash_key, at = _varint(packed, at, stop)
            hash_key += 1
        else:
            at = _skip(packed, tag, at, stop)
    # An index fits in the array: there are fewer keys than bytes in a record.
    if at != stop or start < 0 or not 0 <= key < len(packed) or hash_key > len(packed):
        raise _Malformed
    return key, hash_key, start, data_end


def _varint(packed: bytes, at: int, end: int) -> tuple[int, int]:
    """A number, and the place behind it."""
    if at >= end:
        raise _Malformed
    value = packed[at]
    at += 1
    if value < 128:
        return value, at
    value &= 127
    for shift in range(7, 70, 7):
        if at >= end:
            raise _Malformed
        byte = packed[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise _Malformed


def _skip(packed: bytes, tag: int, at: int, end: int) -> int:
    """The place behind a field that this format does not have; a later version of it may."""
    if not 8 <= tag < 1 << 32:
        raise _Malformed
    match tag & 7:
        case 0:
            at = _varint(packed, at, end)[1]
        case 1:
            at += 8
        case 2:
            size, at = _varint(packed, at, end)
            at += size
        case 5:
            at += 4
        case _:  # groups: protobuf gave them up before there was a KPL
            raise _Malformed
    if at > end:
        raise _Malformed
    return at
