"""What is to happen, life by life; a seed fixes all of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .moments import MOMENTS, Moment

ANY_TIME = "at any time"
KILLED_ANY_TIME = 12  # in a deck, beside one for each moment
OTHER_ENDS = (
    "SIGTERM",
    "stop marker",
    "Python workers killed",
    "Python workers killed",
    "disk full",
    "clock an hour forward and back",
    "clock three hours back",
)
CLUSTER_ENDS = ("executors killed",) * 4
KINESIS_FAULTS = (0.0, 0.3, 0.3)
S3_FAULTS = (0.0, 0.02, 0.06)
EMPTY_PAGES = (0, 2)
RESHARDED = 0.3


@dataclass(frozen=True)
class Life:
    """One start of the job, and what becomes of it."""

    number: int
    end: str  # a moment's name, ANY_TIME, or one of OTHER_ENDS and CLUSTER_ENDS
    moment: Moment | None
    nth: int  # which request of the moment's kind
    chance: float  # 0 to 1: when, where there is a choice
    kinesis_faults: float
    s3_faults: float
    empty_pages: int
    reshards: bool
    seed: int

    @property
    def kills(self) -> bool:
        """Whether it ends with kill -9 of the driver."""
        return self.moment is not None or self.end == ANY_TIME


def lives(seed: int, engine: str, clustered: bool = False) -> Iterator[Life]:
    """For ever: decks that hold each moment once, in an order of their own."""
    rng = random.Random(seed)
    number = 0
    while True:
        deck: list[str | Moment] = [moment for moment in MOMENTS if engine in moment.engines]
        deck += [ANY_TIME] * KILLED_ANY_TIME
        deck += OTHER_ENDS + (CLUSTER_ENDS if clustered else ())
        rng.shuffle(deck)
        for card in deck:
            number += 1
            yield _life(number, card, rng)


def aimed(names: Sequence[str], seed: int) -> Iterator[Life]:
    """One life for each end named, in this order; moments are met the first time they come, S3 lets every job live."""
    rng = random.Random(seed)
    by_name = {moment.name: moment for moment in MOMENTS}
    for number, name in enumerate(names, start=1):
        yield replace(_life(number, by_name.get(name, name), rng), nth=1, s3_faults=0.0)


def _life(number: int, card: str | Moment, rng: random.Random) -> Life:
    moment = card if isinstance(card, Moment) else None
    return Life(
        number=number,
        end=moment.name if moment else str(card),
        moment=moment,
        nth=rng.randint(1, moment.most) if moment else 1,
        chance=rng.random(),
        kinesis_faults=rng.choice(KINESIS_FAULTS),
        s3_faults=rng.choice(S3_FAULTS),
        empty_pages=rng.choice(EMPTY_PAGES),
        reshards=rng.random() < RESHARDED,
        seed=rng.getrandbits(32),
    )
