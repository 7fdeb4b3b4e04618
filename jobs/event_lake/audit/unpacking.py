"""What compressed records hold, by the README's words and not by `event_lake.compressed`."""

from __future__ import annotations

import zlib

import pyarrow as pa

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def unpack(data: bytes, most: int) -> bytes | None:
    """What gzip or zstd data hold; None where they are damaged or cut short, where something follows them, and where
    they hold more than `most` bytes, or than 250 times their size and 1 MiB."""
    bound = min(most, max(1024 * 1024, 250 * len(data)))
    try:
        return _gzip(data, bound) if data[:2] == GZIP else _zstd(data, bound)
    except (zlib.error, OSError, pa.ArrowException):
        return None


def _gzip(data: bytes, bound: int) -> bytes | None:
    found, rest, members = b"", data, 0
    while rest:
        member = zlib.decompressobj(wbits=31)
        found += member.decompress(rest, bound - len(found) + 1)
        rest, members = member.unused_data, members + 1
        if not member.eof or len(found) > bound or members > 1000:
            return None
    return found


def _zstd(data: bytes, bound: int) -> bytes | None:
    found = b""
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        while piece := stream.read(min(1024 * 1024, bound - len(found) + 1)):
            found += piece
            if len(found) > bound:
                return None
    return found
