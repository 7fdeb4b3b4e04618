"""What is put into the stream while the job lives and dies, and the book that is kept of it."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field

from kinesis_server import KinesisServer
from traffic import Ledger, Put, generate, samples

STREAM = "events"
SHARDS = 3
MOST_SHARDS = 6
PAUSE = 0.25  # seconds between two handfuls
TYPES = 2  # each type and day is a file of its own in every micro-batch
FOR_EVER = 10**9

Place = tuple[str, str]  # shard id and sequence number


@dataclass
class Book:
    """Every record that was put: what it is to become, and where it stands in the stream."""

    ledger: Ledger = field(default_factory=Ledger)
    places: dict[Place, Put] = field(default_factory=dict)

    def note(self, put: Put, where: dict[str, str]) -> None:
        self.ledger.add(put)
        self.places[where["ShardId"], where["SequenceNumber"]] = put


class Producers:
    """Put a handful four times a second, whatever becomes of the job; `held` makes them wait."""

    def __init__(self, server: KinesisServer, book: Book, seed: int, rate: int) -> None:
        self.book = book
        self.reshards = 0
        self._server = server
        self._handful = max(int(rate * PAUSE), 1)
        self._puts = generate(FOR_EVER, types=TYPES, duplicates=0.1, broken=0.015, seed=seed, now=time.time())
        self._going, self._ended = threading.Event(), threading.Event()
        self._putting = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="producers", daemon=True)

    def __enter__(self) -> Producers:
        self._server.create_stream(STREAM, SHARDS)
        for put in samples():
            self._put(put)
        self._going.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._going.set()
        self._thread.join()

    def hold(self) -> None:
        """From now on nothing new is put; what is being put is noted when this returns."""
        self._going.clear()
        with self._putting:
            pass

    def go_on(self) -> None:
        self._going.set()

    def reshard(self, rng: random.Random) -> None:
        """Splits a shard, or merges two where there are many."""
        is_open = [s for s in self._server.shards(STREAM) if "EndingSequenceNumber" not in s["SequenceNumberRange"]]
        ordered = sorted(is_open, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
        ids = [shard["ShardId"] for shard in ordered]
        if len(ids) < 2 or (len(ids) < MOST_SHARDS and rng.random() < 0.5):
            self._server.split(STREAM, rng.choice(ids))
        else:
            left = rng.randrange(len(ids) - 1)
            self._server.merge(STREAM, ids[left], ids[left + 1])
        self.reshards += 1

    def _work(self) -> None:
        while not self._ended.wait(PAUSE):
            self._going.wait()
            with self._putting:
                if self._going.is_set():
                    for _ in range(self._handful):
                        self._put(next(self._puts))

    def _put(self, put: Put) -> None:
        self.book.note(put, self._server.put(STREAM, put.data, put.partition_key))
