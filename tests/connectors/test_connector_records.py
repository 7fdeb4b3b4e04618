"""A connector's rows get names of their own, whatever Arrow batches they come in."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_lake.connectors.records import taken_apart, told_apart
from lake import event
from packing import packed
from records import raw_record, raw_table

Names = list[tuple[Any, int]]

# Sequence number and the number made of the bytes: rows of one packed record follow each other.
ROWS = st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 2), min_size=1, max_size=4)), max_size=6)


def batches(rows: list[tuple[str | None, int]], *cuts: int) -> list[pa.RecordBatch]:
    table = raw_table([raw_record(sequenceNumber=name, subSequenceNumber=number) for name, number in rows])
    edges = [0, *sorted(cut for cut in cuts if cut <= len(rows)), len(rows)]
    whole = table.combine_chunks().to_batches()
    return [whole[0].slice(a, b - a) for a, b in pairwise(edges)] if whole else []


def names(found: list[pa.RecordBatch]) -> Names:
    rows = [row for batch in found for row in batch.to_pylist()]
    return [(row["sequenceNumber"], row["subSequenceNumber"]) for row in rows]


@given(ROWS, st.lists(st.integers(0, 24), max_size=3))
def test_no_two_rows_have_one_name_and_a_replay_gives_the_same_however_arrow_cuts_them(
    made: list[tuple[int, list[int]]], cuts: list[int]
) -> None:
    rows = [(f"{at}-{name}", number * 1000) for at, (name, inside) in enumerate(made) for number in inside]
    found = names(list(told_apart(batches(rows, *cuts))))
    assert len(set(found)) == len(rows)
    assert found == names(list(told_apart(batches(rows))))
    assert [name for name, _ in found] == [name for name, _ in rows]


def test_rows_that_stand_alone_keep_the_number_made_of_their_bytes() -> None:
    rows = [("1", 7), ("2", 7), ("3", 8)]
    assert names(list(told_apart(batches(rows, 1)))) == rows


@pytest.mark.parametrize("cuts", [(), (1,), (2,)])
def test_rows_without_a_sequence_number_are_told_apart_too(cuts: tuple[int, ...]) -> None:
    rows = [("1", 7), (None, 7), (None, 7)]
    assert len(set(names(list(told_apart(batches(rows, *cuts)))))) == len(rows)


def test_what_the_kpl_packed_is_taken_apart_in_place_and_numbered_from_0() -> None:
    inside = [event(1), b"broken", event(1)]
    rows = [raw_record(data=data) for data in (event(5), packed(*inside), packed(event(2))[:-1])]
    (found,) = taken_apart(raw_table(rows).combine_chunks().to_batches())
    assert found.column("data").to_pylist() == [event(5), *inside, packed(event(2))[:-1]]
    assert found.column("subSequenceNumber").to_pylist() == [0, 0, 1, 2, 0]
    assert found.column("partitionKey").to_pylist()[1:4] == ["key-0", "key-1", "key-2"]
    assert set(found.column("sequenceNumber").to_pylist()) == {rows[0]["sequenceNumber"]}
