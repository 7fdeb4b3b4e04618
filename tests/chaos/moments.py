"""Where a micro-batch can be killed, by the request to the store that marks the place.

In the order in which a micro-batch comes by. Aiming at requests needs no hook in the job: whatever it does that lasts,
it does through the store.
"""

from __future__ import annotations

from dataclasses import dataclass

ENGINES = ("index", "spark")
BUCKET = "chaos"
TABLES = ("quarantine", "duplicates", "events")


@dataclass(frozen=True)
class Moment:
    """`request` is a pattern for "METHOD /bucket/key"; `most` bounds which such request of a life is meant."""

    name: str
    request: str
    served: bool = False  # before the store has it, or after, unanswered
    delay: float = 0.0  # seconds within which it strikes after the request; the request is answered
    engines: tuple[str, ...] = ENGINES
    most: int = 3


def _around(what: str, request: str, engines: tuple[str, ...] = ENGINES, most: int = 3) -> list[Moment]:
    return [
        Moment(f"before {what}", request, engines=engines, most=most),
        Moment(f"after {what}", request, served=True, engines=engines, most=most),
    ]


def _of(table: str) -> tuple[str, ...]:
    return ("index",) if table == "duplicates" else ENGINES  # Spark's operator lists no duplicates


CHECKPOINT, LAKE = f"/{BUCKET}/checkpoint", f"/{BUCKET}/lake"
INDEX = ("index",)

MOMENTS: list[Moment] = [
    Moment("planning", rf"PUT {CHECKPOINT}/commits/\d+$", delay=0.4),
    *_around("Spark's offset log", rf"PUT {CHECKPOINT}/offsets/\d+$"),
    Moment("reading and deduplicating", rf"PUT {CHECKPOINT}/offsets/\d+$", delay=1.5),
    *_around("a file of Spark's state", rf"PUT {CHECKPOINT}/state/\d", ("spark",), most=8),
    *_around("a segment of the index", rf"PUT {CHECKPOINT}/seen/segments/[-0-9a-f]+\.arrow$", INDEX, most=6),
    *(
        moment
        for table in TABLES
        for moment in (
            *_around(f"a file of {table}", rf"PUT {LAKE}/{table}/[^_].*\.parquet$", _of(table), most=6),
            *_around(f"the commit of {table}", rf"PUT {LAKE}/{table}/_delta_log/\d+\.json$", _of(table)),
        )
    ),
    Moment("after a checkpoint of a table's log", rf"PUT {LAKE}/\w+/_delta_log/\d+\.checkpoint", served=True, most=1),
    *_around("a merged segment", rf"PUT {CHECKPOINT}/seen/segments/.*-m\d+\.arrow$", INDEX, most=2),
    *_around("the index's manifest", rf"PUT {CHECKPOINT}/seen/\d+\.json$", INDEX),
    Moment("clearing up old segments", rf"DELETE {CHECKPOINT}/seen/", engines=INDEX),
    *_around("Spark's commit log", rf"PUT {CHECKPOINT}/commits/\d+$"),
]
