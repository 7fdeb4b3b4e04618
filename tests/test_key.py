"""Keys are 128 bits of SHA-256, in two numbers that Spark can sort by."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from event_lake.key import signed_halves, unsigned


def digest(uuid: str) -> bytes:
    return hashlib.sha256(uuid.encode()).digest()[:16]


@given(st.lists(st.text(max_size=20)))
def test_a_key_is_the_first_half_of_the_sha_256_as_it_stands_in_every_index(uuids: list[str]) -> None:
    found = zip(*(unsigned(half).tolist() for half in signed_halves(uuids)), strict=True)
    assert [hi << 64 | lo for hi, lo in found] == [int.from_bytes(digest(uuid), "big") for uuid in uuids]


@given(st.lists(st.text(max_size=20)))
def test_signed_halves_sort_as_the_bytes_do(uuids: list[str]) -> None:
    halves = [tuple(map(int, pair)) for pair in zip(*signed_halves(uuids), strict=True)]
    assert sorted(range(len(uuids)), key=lambda n: halves[n]) == sorted(
        range(len(uuids)), key=lambda n: digest(uuids[n])
    )


def test_where_there_is_no_uuid_there_is_a_row_all_the_same() -> None:
    hi, lo = signed_halves([None, "a", None])
    assert len(hi) == len(lo) == 3
    assert [array.tolist() for array in signed_halves([])] == [[], []]
