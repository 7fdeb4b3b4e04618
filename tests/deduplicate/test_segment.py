"""Segments of the index: keys are compared by all of their 128 bits, in any order, in files read in place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_lake.deduplicate.segment import (
    PREFIXES,
    Keys,
    bucket_range,
    encode,
    find,
    keep_open,
    let_go_of_pages,
    merged,
    open_keys,
)

# Few values for the first half, so that many keys differ in the second one only.
HALF = st.sampled_from([0, 1, 2**63, 2**64 - 1])
KEY = st.tuples(HALF, st.one_of(HALF, st.integers(0, 2**64 - 1)))


def keys(pairs: list[tuple[int, int]]) -> Keys:
    """In order, each once; a key's arrival and payload tell which it is."""
    ordered = sorted(set(pairs))
    hi, lo = (np.array([pair[n] for pair in ordered], np.uint64) for n in (0, 1))
    numbers = np.arange(len(ordered), dtype=np.int64)
    return Keys(hi, lo, numbers, -numbers)


@given(known=st.lists(KEY, max_size=40), sought=st.lists(KEY, max_size=40))
def test_a_key_is_found_where_it_is_and_only_there(known: list[tuple[int, int]], sought: list[tuple[int, int]]) -> None:
    segment = keys(known)
    hi, lo = (np.array([pair[n] for pair in sought], np.uint64) for n in (0, 1))
    found = find(segment, hi, lo)
    places = {pair: place for place, pair in enumerate(sorted(set(known)))}
    assert found.tolist() == [places.get(pair, -1) for pair in sought]


@given(st.lists(st.lists(KEY, min_size=1, max_size=10), min_size=1, max_size=5))
def test_a_merge_holds_every_key_in_order(parts: list[list[tuple[int, int]]]) -> None:
    seen: set[tuple[int, int]] = set()
    distinct = []
    for part in parts:
        distinct.append(keys([pair for pair in part if pair not in seen]))
        seen |= set(part)
    one = merged(distinct)
    assert list(zip(one.hi.tolist(), one.lo.tolist(), strict=True)) == sorted(seen)


@pytest.mark.parametrize("buckets", [1, 3, 8, 4096])
def test_buckets_hold_each_prefix_once_in_order(buckets: int) -> None:
    ranges = [bucket_range(bucket, buckets) for bucket in range(buckets)]
    assert [prefix for one in ranges for prefix in one] == list(range(PREFIXES))
    assert all(prefix * buckets // PREFIXES == n for n, one in enumerate(ranges) for prefix in (one[0], one[-1]))


def test_a_file_is_read_in_place_until_it_is_let_go(tmp_path: Path) -> None:
    path = str(tmp_path / "one.arrow")
    Path(path).write_bytes(encode(keys([(1, 2), (3, 4)])))
    first = open_keys(path)
    assert first.hi.tolist() == [1, 3]
    assert not first.hi.flags.owndata, "the column is a copy, not the file"
    keep_open({path})
    let_go_of_pages()
    assert open_keys(path) is first
    assert first.lo.tolist() == [2, 4]
    keep_open(set())
    assert open_keys(path) is not first
