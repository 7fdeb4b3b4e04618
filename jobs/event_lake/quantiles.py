"""Quantiles of many numbers that lie in several tasks: each sends some of its own, evenly spaced in their order.

Of what a task sends, each number stands for as many as lie around it, so a quantile's rank is off by a thousandth at
most; where no task has more than MOST, nothing is off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MOST = 500


@dataclass(frozen=True)
class Summary:
    """Some of a task's numbers, in ascending order, and of how many they are."""

    values: tuple[int, ...]
    count: int


def summary(numbers: npt.NDArray[np.int64]) -> Summary:
    ordered = np.sort(numbers)
    count = len(ordered)
    if count > MOST:
        ordered = ordered[((np.arange(MOST) + 0.5) * count / MOST).astype(np.intp)]
    return Summary(tuple(ordered.tolist()), count)


def quantiles(parts: Sequence[Summary], shares: Sequence[float]) -> list[int]:
    """The number below which lies each of these shares of them all, as a number that is there; none of no numbers."""
    some = [part for part in parts if part.count]
    if not some:
        return []
    values = np.concatenate([np.array(part.values, np.int64) for part in some])
    weights = np.concatenate([np.full(len(part.values), part.count / len(part.values)) for part in some])
    order = np.argsort(values, kind="stable")
    ends = np.cumsum(weights[order])
    ranks = np.round(np.array(shares) * (sum(part.count for part in some) - 1))
    # A rank is where a number begins, and sums of shares are not exact: half a number's room on either side.
    found = np.searchsorted(ends, ranks + 0.5).clip(max=len(values) - 1)
    return [int(value) for value in values[order][found]]
