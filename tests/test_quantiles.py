"""Quantiles from the parts of tasks, against those of all numbers at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_lake.quantiles import MOST, Summary, quantiles, summary

SHARES = [0.01, 0.05, 0.5, 0.95, 0.99]


@given(parts=st.lists(st.lists(st.integers(-(2**62), 2**62), max_size=40), max_size=4))
def test_of_few_numbers_they_are_the_nearest_ones(parts: list[list[int]]) -> None:
    found = quantiles([summary(np.array(part, np.int64)) for part in parts], SHARES)
    every = sorted(number for part in parts for number in part)
    assert found == [every[round(share * (len(every) - 1))] for share in SHARES] if every else found == []


@pytest.mark.parametrize("sizes", [(100_000,), (MOST + 1, 3), (40_000, 7, 160_000), (1, 1, 90_000)])
def test_of_many_the_rank_is_off_by_a_thousandth_at_most_also_where_tasks_hold_other_times(
    sizes: tuple[int, ...],
) -> None:
    random = np.random.default_rng(1)
    parts = [random.lognormal(10 + number, 2, size).astype(np.int64) for number, size in enumerate(sizes)]
    every = np.sort(np.concatenate(parts))
    for share, found in zip(SHARES, quantiles([summary(part) for part in parts], SHARES), strict=True):
        below, up_to = (np.searchsorted(every, found, side) / len(every) for side in ("left", "right"))
        slack = 0.001 + 1 / len(every)
        assert below - slack <= share <= up_to + slack


def test_few_of_many_are_sent() -> None:
    sent = summary(np.arange(1_000_000))
    assert (len(sent.values), sent.count) == (MOST, 1_000_000)
    assert summary(np.array([3, 1, 2])) == Summary((1, 2, 3), 3)
