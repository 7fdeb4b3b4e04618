"""Segments: sorted runs of keys that have been seen, each an immutable Arrow file that is read in place.

A key is 128 bits of the SHA-256 of an event_uuid: nobody has to fear, or can make, two uuids with the same. In a file
its halves stand in two columns, so that a search touches 8 bytes a key and only what it needs of the file is in memory.
32 bytes a key in all, on disk and at most in memory.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

PREFIX_BITS = 16  # keys are dealt into buckets by their first bits
PREFIXES = 1 << PREFIX_BITS

SCHEMA = pa.schema([("hi", pa.uint64()), ("lo", pa.uint64()), ("arrived", pa.int64()), ("payload_hash", pa.int64())])


@dataclass(frozen=True)
class Segment:
    """What the index knows of one file."""

    name: str
    rows: int
    low: int  # its keys' first bits are in [low, high)
    high: int
    until: int  # Unix microseconds; its keys are remembered for the window from here
    level: int  # 0: as a micro-batch wrote it; each merge adds one


class Keys(NamedTuple):
    """Keys in ascending order, each once; and of each, the first copy's arrival and a hash of its payload."""

    hi: U64
    lo: U64
    arrived: I64  # Unix microseconds
    payload_hash: I64

    def slice(self, start: int, stop: int) -> Keys:
        return self._each(lambda column: column[start:stop])

    def where(self, chosen: npt.NDArray[Any]) -> Keys:
        return self._each(lambda column: column[chosen])

    def _each(self, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Keys:
        return Keys(change(self.hi), change(self.lo), change(self.arrived), change(self.payload_hash))


def bucket_range(bucket: int, buckets: int) -> range:
    """The first 16 bits of the keys in a bucket; the buckets follow each other in the order of the keys."""
    return range(-(-bucket * PREFIXES // buckets), -(-(bucket + 1) * PREFIXES // buckets))


def joined(parts: Sequence[Keys]) -> Keys:
    """One after the other; they are in order already, or to be sorted."""
    columns = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Keys(*columns)


def merged(parts: Sequence[Keys]) -> Keys:
    """All of them in one order. A key stands in one segment only, so none is dropped."""
    keys = joined(parts)
    return keys.where(np.lexsort((keys.lo, keys.hi)))


def encode(keys: Keys) -> pa.Buffer:
    """The bytes of a segment file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([pa.array(column) for column in keys], schema=SCHEMA))
    return sink.getvalue()


def open_keys(path: str) -> Keys:
    """A segment file mapped into memory. A path never gets other contents, so what is open stays right."""
    if path not in _open:
        with open(path, "rb") as file:
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        batch = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(pages))).get_batch(0)
        _open[path] = Keys(*(column.to_numpy() for column in batch.columns)), pages
    return _open[path][0]


def keep_open(paths: Container[str]) -> None:
    """Lets go of all other files."""
    for path in [path for path in _open if path not in paths]:
        del _open[path]


def let_go_of_pages() -> None:
    """Takes the files' pages out of this process's memory; they stay in the machine's cache while there is room.

    Keys are sought in ascending order, so what has been touched is not needed again before the next micro-batch.
    """
    for _, pages in _open.values():
        if hasattr(mmap, "MADV_DONTNEED"):
            pages.madvise(mmap.MADV_DONTNEED)


_open: dict[str, tuple[Keys, mmap.mmap]] = {}


def find(keys: Keys, hi: U64, lo: U64) -> npt.NDArray[np.intp]:
    """Where each sought key stands in `keys`; -1 where it does not. Quickest when the sought are in order too."""
    places = np.searchsorted(keys.hi, hi)
    found = np.full(len(hi), -1, np.intp)
    candidates = np.flatnonzero(places < len(keys.hi))
    while len(candidates):
        at = places[candidates]
        same_half = keys.hi[at] == hi[candidates]
        candidates, at = candidates[same_half], at[same_half]
        same = keys.lo[at] == lo[candidates]
        found[candidates[same]] = at[same]
        # Another key with the same first half may follow; one in 2^64 does.
        candidates = candidates[~same]
        places[candidates] += 1
        candidates = candidates[places[candidates] < len(keys.hi)]
    return found
