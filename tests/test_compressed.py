"""Compressed records are unpacked within bounds, whatever their bytes; nothing raises, nothing is cut off silently."""

from __future__ import annotations

import gzip
import time
import zlib

import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from event_lake.compressed import FREE_OF_RATIO, GZIP, MOST_MEMBERS, MOST_RATIO, ZSTD, NotUnpacked, unpack
from event_lake.verdict import judge
from gzipped import gzipped
from records import ARRIVED_MICROS, event_bytes

MIB = 1024 * 1024


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return packed


PACK = pytest.mark.parametrize("pack", [gzip.compress, zstd])


def problem_of(data: bytes, most: int = 64 * MIB) -> str | None:
    try:
        unpack(data, most)
    except NotUnpacked as error:
        return error.problem
    return None


@PACK
@given(data=st.binary(max_size=2000))
def test_what_was_packed_comes_out(pack: object, data: bytes) -> None:
    assert unpack(pack(data)) == data  # type: ignore[operator]


@PACK
@given(data=st.binary(max_size=300), end=st.integers(1, 12))
@example(data=b"", end=1)
def test_what_is_cut_short_is_corrupt(pack: object, data: bytes, end: int) -> None:
    packed = pack(data)  # type: ignore[operator]
    assert problem_of(packed[: max(4, len(packed) - end)]) == "compressed_corrupt"


@PACK
@given(data=st.binary(max_size=300), more=st.binary(min_size=1, max_size=40))
@example(data=b"x", more=b"\x00" * 8)
@example(data=b"x", more=GZIP)
@example(data=b"x", more=ZSTD)
@example(data=b"x", more=ZSTD[:1])
def test_nothing_may_follow(pack: object, data: bytes, more: bytes) -> None:
    assume(not b"\x50" <= more[:1] <= b"\x5f")  # frames that zstd is to skip begin so
    assert problem_of(pack(data) + more) == "compressed_corrupt"  # type: ignore[operator]


@PACK
def test_parts_one_after_the_other_are_one_record(pack: object) -> None:
    one, two = event_bytes()[:20], event_bytes()[20:]
    data = pack(one) + pack(b"") + pack(two)  # type: ignore[operator]
    verdict = judge(data, ARRIVED_MICROS)
    assert (verdict.problem, verdict.unpacked) == (None, event_bytes())


@PACK
def test_the_bound_is_exact(pack: object) -> None:
    data = pack(b"x" * 1000)  # type: ignore[operator]
    assert problem_of(data, 1000) is None
    assert problem_of(data, 999) == "unpacked_too_large"


@PACK
def test_a_bomb_costs_neither_memory_nor_time(pack: object) -> None:
    bomb = pack(b"0" * (300 * MIB))  # type: ignore[operator]
    began = time.process_time()
    assert problem_of(bomb) == "unpacked_too_large"
    assert time.process_time() - began < 2


def test_the_ratio_counts_where_the_result_is_large() -> None:
    packed = zstd(b"0" * (FREE_OF_RATIO + 1))
    assert len(packed) * MOST_RATIO < FREE_OF_RATIO
    assert problem_of(packed) == "unpacked_too_large"
    assert problem_of(zstd(b"0" * FREE_OF_RATIO)) is None


def test_very_many_parts_are_refused_soon() -> None:
    data = gzip.compress(b"") * 400_000
    began = time.process_time()
    assert problem_of(data) == "compressed_corrupt"
    assert problem_of(gzip.compress(b"") * MOST_MEMBERS) is None
    assert time.process_time() - began < 2


@given(
    head=st.sampled_from([GZIP, ZSTD, GZIP + b"\x08\x00" + bytes(6), zstd(b"abc"), gzip.compress(b"abc")]),
    data=st.binary(),
)
def test_no_bytes_make_it_raise(head: bytes, data: bytes) -> None:
    problem_of(head + data)
    assert judge(head + data, ARRIVED_MICROS).problem is not None


@given(place=st.integers(0, 200), bits=st.integers(1, 255))
def test_a_damaged_gzip_record_is_never_taken_for_another_event(place: int, bits: int) -> None:
    packed = bytearray(gzipped(event_bytes()))
    packed[place % len(packed)] ^= bits
    verdict = judge(bytes(packed), ARRIVED_MICROS)
    assert verdict.problem is not None or verdict.unpacked == event_bytes()


def test_deflate_without_a_header_is_not_looked_for() -> None:
    assert judge(zlib.compress(event_bytes()), ARRIVED_MICROS).problem == "not_json"
