"""Unpacking records that a producer compressed with gzip or zstd, safely on any bytes.

A small record can unpack to gigabytes, so the result is bounded twice: by size, and by ratio, which bounds what a whole
micro-batch of such records can cost. Nothing is held beyond the bound, and nothing may follow the compressed data.
"""

from __future__ import annotations

import zlib

import pyarrow as pa

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"

MOST_UNPACKED = 64 * 1024 * 1024
# JSON compresses 5 to 100 times. Small records may do so better: there the ratio does not count.
MOST_RATIO = 250
FREE_OF_RATIO = 1024 * 1024
MOST_MEMBERS = 1_000  # of one gzip record; each costs a decompressor
PIECE = 64 * 1024


class NotUnpacked(Exception):
    """Why not: a problem code of `event_lake.verdict`, and the detail."""

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(detail)
        self.problem, self.detail = problem, detail


def is_compressed(data: bytes) -> bool:
    """By the first bytes; no JSON begins with them."""
    return data.startswith((GZIP, ZSTD))


def unpack(data: bytes, most: int = MOST_UNPACKED) -> bytes:
    """What is in `data`, all of it, in at most `most` bytes. Raises NotUnpacked and nothing else."""
    bound = min(most, max(FREE_OF_RATIO, MOST_RATIO * len(data)))
    if data.startswith(GZIP):
        return _gunzip(data, bound)
    return _unzstd(data, bound)


def _gunzip(data: bytes, bound: int) -> bytes:
    """One gzip member after the other, as RFC 1952 has it."""
    found, at = bytearray(), 0
    for _ in range(MOST_MEMBERS):
        member = zlib.decompressobj(wbits=31)  # a gzip header, and its checksum verified
        while not member.eof:
            piece = data[at : at + PIECE]
            if not piece:
                raise NotUnpacked("compressed_corrupt", f"gzip data end too early, after {len(data)} bytes")
            try:
                found += member.decompress(piece, bound - len(found) + 1)
            except zlib.error as error:
                raise NotUnpacked("compressed_corrupt", f"gzip: {error}") from None
            if len(found) > bound:
                raise _too_large(data, bound)
            at += len(piece) - len(member.unused_data)
        if at == len(data):
            return bytes(found)
        if not data.startswith(GZIP, at):
            raise NotUnpacked("compressed_corrupt", f"{len(data) - at} bytes follow the gzip data")
    raise NotUnpacked("compressed_corrupt", f"gzip data in more than {MOST_MEMBERS} parts")


def _unzstd(data: bytes, bound: int) -> bytes:
    """Python has zstd from 3.14 on; Arrow is there already."""
    found = bytearray()
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            while piece := stream.read(min(PIECE, bound - len(found) + 1)):
                found += piece
                if len(found) > bound:
                    raise _too_large(data, bound)
    except (OSError, pa.ArrowException) as error:
        raise NotUnpacked("compressed_corrupt", f"zstd: {error}") from None
    return bytes(found)


def _too_large(data: bytes, bound: int) -> NotUnpacked:
    return NotUnpacked("unpacked_too_large", f"{len(data)} compressed bytes unpack to more than {bound}")
