"""A task's memory for answers of AWS, shared by its connections."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections import deque

# What a byte of an answer takes while it is received, parsed and made into Arrow: the text, its strings, the bytes in
# them, the columns; not all at once, but with what Python adds to small records. Measured, see the tests.
COST_OF_A_BYTE = 4


M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # malloc.h of glibc
LARGE_BLOCK = 4 * 1024 * 1024


def share_one_heap() -> None:
    """Where malloc is glibc's: threads that come from now on take memory from the heap that is there; large blocks are
    mapped, and go back to the system at once.

    By default each gets a heap of its own. What one connection has freed, another cannot use; with eight connections a
    task kept three times what it needed. Python's threads take turns anyway, so they do not get into each other's way.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 1)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)


class MemoryBudget:
    """Bytes that are taken before a request is made and given back when Spark has what came of it.

    Whoever asks first is served first, so a large answer is not overtaken for ever by small ones. Nobody waits while
    a connection is open.
    """

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._closed = False

    def take(self, answer_bytes: int) -> Share | None:
        """Waits for room for an answer of this size; what is larger than all there is gets all. None when closed."""
        wanted = min(answer_bytes * COST_OF_A_BYTE, self._most)
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._closed or (self._waiting[0] is ticket and self._free >= wanted))
            self._waiting.remove(ticket)
            self._changed.notify_all()
            if self._closed:
                return None
            self._free -= wanted
            return Share(self, wanted)

    def change(self, by: int) -> bool:
        """Takes more (or less) at once; False where there is not so much."""
        with self._changed:
            if by > self._free:
                return False
            self._free -= by
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """Nobody waits any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def most(self) -> int:
        return self._most


class Share:
    """What one request has taken."""

    def __init__(self, budget: MemoryBudget, held: int) -> None:
        self._budget, self._held, self._needed = budget, held, 0

    def admits(self, answer_bytes: int) -> bool:
        """Whether an answer of this size may be received; takes more for it where there is more."""
        needed = min(answer_bytes * COST_OF_A_BYTE, self._budget.most)
        if needed > self._held and not self._budget.change(needed - self._held):
            return False
        self._needed, self._held = needed, max(needed, self._held)
        return True

    def shrink(self) -> None:
        """Gives back what the answer that was admitted does not need."""
        self._budget.change(self._needed - self._held)
        self._held = self._needed

    def give_back(self) -> None:
        self._needed = 0
        self.shrink()
