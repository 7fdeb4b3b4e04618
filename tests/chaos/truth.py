"""Whether the tables hold each record of the stream exactly once: by what was put, not by what the job says."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "lib"))
from lake_check import differences as content_differences
from lake_tables import LakeTables

from .producers import Book, Place

EXAMPLES = 3
TABLES = ("events", "quarantine", "duplicates")


def differences(tables: LakeTables, book: Book, engine: str) -> Iterator[str]:
    """Says in words what is lost, there twice, or not what was put."""
    yield from _places_differ(tables, book, engine)
    yield from _contents_of_places_differ(tables, book)
    every = content_differences(tables, book.ledger)
    if engine == "spark":  # it counts duplicates and lists none
        every = (line for line in every if not line.startswith("missing in duplicates"))
    yield from every


def _places_differ(tables: LakeTables, book: Book, engine: str) -> Iterator[str]:
    """Each record of the stream is a row of exactly one table."""
    found: Counter[Place] = Counter()
    for table in TABLES:
        found.update(tables.rows(f"SELECT shard_id, sequence_number FROM {table}"))
    lost = [place for place in book.places if place not in found]
    if engine == "spark":
        # It lists no duplicates: of copies one must be there, which `content_differences` looks for.
        lost = [place for place in lost if book.ledger.copies[book.places[place].event_uuid or ""] == 0]
    yield from _some("lost: in no table", lost)
    yield from _some("twice: in more than one row", [place for place, times in found.items() if times > 1])
    yield from _some("never put", [place for place in found if place not in book.places])


def _contents_of_places_differ(tables: LakeTables, book: Book) -> Iterator[str]:
    events = tables.rows("SELECT shard_id, sequence_number, encode(payload) FROM events")
    quarantine = tables.rows("SELECT shard_id, sequence_number, data FROM quarantine")
    wrong = [
        (shard, number)
        for shard, number, data in chain(events, quarantine)
        if (put := book.places.get((shard, number))) and put.data != bytes(data)
    ]
    yield from _some("not the bytes that were put there", wrong)


def _some(what: str, places: list[Place]) -> Iterator[str]:
    for place in islice(sorted(places), EXAMPLES):
        yield f"{what}: {place[0]} {place[1]}"
    if len(places) > EXAMPLES:
        yield f"{what}: {len(places) - EXAMPLES} more"
