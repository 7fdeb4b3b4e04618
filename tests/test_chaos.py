"""The short form of `scripts/chaos`: the job by spark-submit, tables and checkpoint in S3, killed where it hurts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from chaos.campaign import Campaign, Limits
from chaos.moments import MOMENTS
from chaos.plan import aimed, lives
from chaos.world import World

NO_LIMIT = Limits(kills=100, minutes=10, check_every=100)
KILLED = {
    "index": (
        "after Spark's offset log",
        "after a segment of the index",
        "after the commit of quarantine",
        "after the commit of duplicates",
        "after the commit of events",
        "after the index's manifest",
    ),
    "spark": ("after Spark's offset log", "after a file of Spark's state", "after the commit of events"),
}


@pytest.mark.parametrize("engine", KILLED)
def test_killed_with_kill_9_every_event_is_there_once_after_a_restart(tmp_path: Path, engine: str) -> None:
    with World(tmp_path, engine, seed=7, rate=30) as world:
        campaign = Campaign(world)
        campaign.run(aimed(KILLED[engine], seed=7), NO_LIMIT)
    assert campaign.tally.ends() == {end: Counter({"killed there": 1}) for end in KILLED[engine]}


def test_a_seed_fixes_the_plan_and_a_deck_holds_every_moment() -> None:
    drawn = [life for life, _ in zip(lives(3, "index"), range(60), strict=False)]
    assert drawn == [life for life, _ in zip(lives(3, "index"), range(60), strict=False)]
    assert {moment.name for moment in MOMENTS if "index" in moment.engines} <= {life.end for life in drawn}
    assert drawn != [life for life, _ in zip(lives(4, "index"), range(60), strict=False)]
