"""The threads that serve a task's shards.

A shard gives at most 2 MB/s, a core can take dozens of shards. So a task serves all its shards from one small pool
of connections: a shard that has to wait (for its pace, after a fault, or because nothing is there yet) waits in a heap
by due time, and the connection goes on with another. Each shard has one request under way at most, so its records stay
in order. Memory is bounded: a request first takes room for its answer, which comes back when Spark has taken the last
batch of it, and only MOST_BATCHES batches exist at a time.
"""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from kinesis_source.batches import Record, gaps_to_arrow, to_arrow
from kinesis_source.memory import MemoryBudget, Share, share_one_heap
from kinesis_source.options import Options

if TYPE_CHECKING:
    from kinesis_source.reader import RangeReader

MOST_BATCHES = 3
DISMISSAL_SECONDS = 0.5  # how long a thread that waits for Spark may take to notice that nobody wants its batch


@dataclass(order=True)
class _Turn:
    """A shard waiting for its next request."""

    due: float
    shard: RangeReader = field(compare=False)


class _Done:
    """A thread has no more turns to take."""


class Crew:
    """Reads all its ranges to their ends."""

    def __init__(self, readers: list[RangeReader], options: Options) -> None:
        self._stream = options.stream_name
        self._turns = [_Turn(0.0, reader) for reader in readers]
        self._left = len(readers)
        self._changed = threading.Condition()
        self._budget = MemoryBudget(options.task_memory)
        self._room = threading.Semaphore(MOST_BATCHES)
        self._out: queue.SimpleQueue[pa.RecordBatch | Share | _Done | BaseException] = queue.SimpleQueue()
        self._dismissed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"kinesis-exact-{n}", daemon=True)
            for n in range(min(options.connections, len(readers)))
        ]

    def batches(self) -> Iterator[pa.RecordBatch]:
        share_one_heap()
        for thread in self._threads:
            thread.start()
        working = len(self._threads)
        while working:
            item = self._out.get()
            if isinstance(item, pa.RecordBatch):
                yield item
                self._room.release()
            elif isinstance(item, Share):
                item.give_back()
            elif isinstance(item, BaseException):
                raise item
            else:
                working -= 1
            del item  # not kept while the next one is waited for

    def dismiss(self) -> None:
        """Lets the threads end; called when everything is read and when reading was given up."""
        with self._changed:
            self._dismissed = True
            self._changed.notify_all()
        self._budget.close()

    def _work(self) -> None:
        try:
            while (turn := self._take_turn()) is not None:
                share = self._budget.take(turn.shard.answer_bytes)
                if share is None:
                    break
                records, wait = turn.shard.next_page(share.admits)
                due = time.monotonic() + wait
                if turn.shard.gap is not None and self._take_room():
                    self._out.put(gaps_to_arrow([turn.shard.gap], self._stream))
                    turn.shard.gap = None
                self._hand_on(records, turn.shard.range.shard_id, share)
                self._give_back(turn.shard, due)
            self._out.put(_Done())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that Spark runs
            self._out.put(error)

    def _hand_on(self, records: list[Record], shard_id: str, share: Share) -> None:
        if not records:
            share.give_back()
            return
        share.shrink()
        made = to_arrow(records, self._stream, shard_id)
        while self._take_room():
            batch = next(made, None)
            if batch is None:
                self._room.release()
                break
            self._out.put(batch)
        self._out.put(share)

    def _take_room(self) -> bool:
        while not self._dismissed:
            if self._room.acquire(timeout=DISMISSAL_SECONDS):
                return True
        return False

    def _take_turn(self) -> _Turn | None:
        with self._changed:
            while self._left and not self._dismissed:
                wait = self._turns[0].due - time.monotonic() if self._turns else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._turns)
                self._changed.wait(wait)
            return None

    def _give_back(self, reader: RangeReader, due: float) -> None:
        with self._changed:
            if reader.finished:
                self._left -= 1
            else:
                heapq.heappush(self._turns, _Turn(due, reader))
            self._changed.notify_all()
