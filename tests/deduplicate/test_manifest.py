"""Which segments are made one, and what a manifest says."""

from __future__ import annotations

import json

import pytest

from event_lake.deduplicate.manifest import MERGED_AT_ONCE, MOST_MERGED_ROWS, Manifest, mergeable
from event_lake.deduplicate.segment import Segment
from event_lake.errors import DataLossError

NOW = 1_000


def segment(name: str, rows: int = 10, until: int = NOW + 1, level: int = 0, low: int = 0) -> Segment:
    return Segment(name, rows, low, low + 8, until, level)


def names(groups: list[object]) -> list[list[str]]:
    return [sorted(one.name for one in group) for group in groups]  # type: ignore[attr-defined]


def test_segments_of_one_bucket_block_and_level_are_merged_once_there_are_enough() -> None:
    enough = [segment(f"a{n}") for n in range(MERGED_AT_ONCE)]
    assert mergeable(enough[:-1], NOW) == []
    others = [segment("other bucket", low=8), segment("other block", until=NOW + 2), segment("other level", level=1)]
    assert names(mergeable([*others, *enough], NOW)) == [sorted(one.name for one in enough)]


def test_what_is_left_of_a_past_block_is_made_one_whatever_its_levels() -> None:
    past = [segment("a", until=NOW), segment("b", until=NOW, level=2)]
    assert names(mergeable(past, NOW)) == [["a", "b"]]
    assert mergeable(past[:1], NOW) == []


def test_no_merged_segment_grows_beyond_its_bound() -> None:
    half = MOST_MERGED_ROWS // 2
    past = [segment("large", MOST_MERGED_ROWS, NOW), *(segment(f"{n}", half, NOW) for n in range(3))]
    groups = mergeable(past, NOW)
    assert [sum(one.rows for one in group) for group in groups] == [2 * half]


def test_a_manifest_reads_back_as_it_was_and_one_of_another_version_is_refused() -> None:
    manifest = Manifest(7, "query", "hash", NOW, (segment("a"), segment("b", level=3)))
    text = manifest.to_json()
    assert Manifest.from_json(text) == manifest
    with pytest.raises(DataLossError, match="another version"):
        Manifest.from_json(json.dumps({**json.loads(text), "version": 2}))
