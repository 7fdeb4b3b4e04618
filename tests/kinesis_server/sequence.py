"""Sequence numbers as Kinesis builds them: decimal strings of 56 digits that begin with 49.

The layout (found by the authors of kinesalite, ``db/index.js``) in hexadecimal digits, highest first::

    2 | 9: shard created, s | 1: shard, low digit | 16: index | 2: zero | 9: time of the record, s | 8: shard | 2

So numbers grow within a shard by index whatever the time stamps do, the shards of a later generation are above those of
an earlier one, and a number tells the shard that it came from: the service refuses it on any other.
"""

from __future__ import annotations

from typing import NamedTuple

_VERSION = 2
LAST_INDEX = 0x7FFF_FFFF_FFFF_FFFF
"""The index in the EndingSequenceNumber of a closed shard: above any record's."""


class SequenceNumber(NamedTuple):
    created: int
    """When the shard was made, in Unix seconds."""
    shard: int
    number_in_shard: int
    time: int
    """When the record came in, in Unix seconds."""


def number(created: int, shard: int, index: int, time: int) -> int:
    return (
        (_VERSION << 184)
        | (created << 148)
        | ((shard & 15) << 144)
        | (index << 80)
        | (time << 36)
        | (shard << 4)
        | _VERSION
    )


def parse(text: str) -> SequenceNumber | None:
    """The parts of a sequence number, or None where it is not one of this layout."""
    if not (text.isascii() and text.isdigit()):
        return None
    value = int(text)
    if value >> 184 != _VERSION or value & 15 != _VERSION:
        return None
    return SequenceNumber(
        created=(value >> 148) & 0xF_FFFF_FFFF,
        shard=(value >> 4) & 0xFFFF_FFFF,
        number_in_shard=(value >> 80) & 0xFFFF_FFFF_FFFF_FFFF,
        time=(value >> 36) & 0xF_FFFF_FFFF,
    )
