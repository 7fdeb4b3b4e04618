"""What earlier versions left on disk is gone on with: nothing lost, nothing twice.

`tests/released/VERSION-ENGINE` is what such a version left (made by `released_form`): checkpoint, index, state, tables.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from event_lake.errors import DataLossError
from event_lake.metrics import Counts
from lake import LakeHouse, event
from released_form import CREATED, FIRST, KEPT, SECOND, put, set_clock, stream

FORMS = [path.name for path in sorted(KEPT.iterdir())]
LATER = [event(n, event_name="type0:x") for n in range(20, 24)] + [FIRST[0], SECOND[1], b"broken 2"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[LakeHouse]:
    """The stream of the earlier version, an hour later."""
    with stream() as server:
        put(server, FIRST, 60)
        put(server, SECOND, 600)
        set_clock(server, 7200)
        put(server, LATER, 7100)
        yield LakeHouse(tmp_path, server)


def left_by(form: str, house: LakeHouse) -> str:
    """Lays out what the version left; its engine."""
    shutil.copytree(KEPT / form, house.folder, dirs_exist_ok=True)
    return form.rpartition("-")[2]


def assert_each_is_there_once(house: LakeHouse) -> None:
    good = {json.loads(data)["event_uuid"] for data in [*FIRST, *SECOND, *LATER] if data.startswith(b"{")}
    assert house.uuids() == sorted(good)
    assert sorted(row["data"] for row in house.quarantine()) == [b"broken 0", b"broken 1", b"broken 2"]


def assert_duplicates_are_known_with_their_first_copies(house: LakeHouse) -> None:
    copies = [row for row in house.duplicates() if row["arrived_at"].timestamp() >= CREATED + 7100]
    found = {row["event_uuid"]: (row["first_arrived_at"].timestamp() - CREATED, row["same_payload"]) for row in copies}
    assert found == {"u-0": (60, True), "u-9": (601, True)}


def test_there_is_a_form_for_each_engine() -> None:
    assert {form.rpartition("-")[2] for form in FORMS} == {"index", "spark"}


@pytest.mark.parametrize("form", FORMS)
def test_a_newer_version_goes_on_where_an_earlier_one_was_stopped(
    spark: SparkSession, house: LakeHouse, form: str
) -> None:
    engine = left_by(form, house)
    # The copies of events that the earlier version stored are recognised.
    assert house.run(spark, dedup_engine=engine) == Counts(received=7, stored=4, duplicates=2, quarantined=1)
    assert_each_is_there_once(house)
    if engine == "index":  # the other one lists none
        assert_duplicates_are_known_with_their_first_copies(house)


@pytest.mark.parametrize("form", FORMS)
def test_a_newer_version_finishes_the_micro_batch_in_which_an_earlier_one_was_killed(
    spark: SparkSession, house: LakeHouse, form: str
) -> None:
    engine = left_by(form, house)
    for gone in ("commits/1", "seen/1.json"):
        (house.checkpoint_path / gone).unlink(missing_ok=True)
    (house.events_path / "_delta_log" / f"{2:020}.json").unlink()
    counts = house.run(spark, dedup_engine=engine)
    assert counts == Counts(received=len(SECOND) + 7, stored=8, duplicates=3, quarantined=2)
    assert_each_is_there_once(house)


def test_an_index_of_another_version_is_refused_and_says_what_to_do(spark: SparkSession, house: LakeHouse) -> None:
    left_by(next(form for form in FORMS if form.endswith("index")), house)
    for manifest in (house.checkpoint_path / "seen").glob("*.json"):
        manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 99'))
    with pytest.raises(
        DataLossError, match=r"seen/1\.json.*version 99.*recover from the tables into a new checkpoint path"
    ):
        house.run(spark, dedup_engine="index")
