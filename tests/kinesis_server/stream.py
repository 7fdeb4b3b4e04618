"""A stream: which shards it has, which of them takes a hash key, and how they split and merge."""

from __future__ import annotations

import hashlib
import threading
import time
from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from . import sequence
from .errors import ServiceError, in_use, invalid_argument, limit_exceeded, not_found
from .shard import HASH_KEYS, Shard, shard_id


class Stream:
    """All times are Unix milliseconds of the server's clock. Take ``lock`` around whatever reads or changes shards."""

    def __init__(self, name: str, arn: str, shards: int, now: int, *, on_demand: bool, first_created: int) -> None:
        self.name = name
        self.arn = arn
        self.account = arn.split(":")[4]
        self.on_demand = on_demand
        self.created = now
        self.generation = first_created
        self._transition = ("ACTIVE", 0.0)
        self.retention_hours = 24
        self.record_bytes = 1024 * 1024
        self.lock = threading.RLock()
        self.shards: dict[str, Shard] = {}
        self._open: list[Shard] = []
        self._starts: list[int] = []
        bounds = [HASH_KEYS * i // shards for i in range(shards + 1)]
        self._add(Shard(i, first_created, now, (bounds[i], bounds[i + 1] - 1)) for i in range(shards))

    @property
    def last_created(self) -> int:
        """The newest shard's second of creation: a stream of the same name made later starts above it."""
        return max(shard.created for shard in self.shards.values())

    def listed(self) -> list[Shard]:
        """Closed shards stay listed until retention has passed everything in them."""
        return [shard for shard in self.shards.values() if not shard.expired]

    def open(self) -> list[Shard]:
        return self._open

    def shard(self, name: str) -> Shard:
        shard = self.shards.get(name)
        if shard is None or shard.expired:
            raise not_found(f"Shard {name} in stream {self.name} under account {self.account} does not exist")
        return shard

    def route(self, partition_key: str, explicit_hash_key: int | None = None) -> Shard:
        """The open shard for a record: MD5 of the partition key as a 128-bit number (API reference, PutRecord)."""
        key = hash_key(partition_key) if explicit_hash_key is None else explicit_hash_key
        return self._open[bisect_right(self._starts, key) - 1]

    def split(self, name: str, new_starting_hash_key: int, now: int) -> list[Shard]:
        parent = self._resharding(name)
        if not parent.first_key < new_starting_hash_key < parent.last_key:
            raise invalid_argument(
                f"NewStartingHashKey {new_starting_hash_key} used in SplitShard() on shard {name} in stream {self.name}"
                f" under account {self.account} is not both greater than one plus the shard's StartingHashKey"
                f" {parent.first_key} and less than the shard's EndingHashKey {parent.last_key}."
            )
        low = (parent.first_key, new_starting_hash_key - 1)
        high = (new_starting_hash_key, parent.last_key)
        return self._replace([parent], [low, high], now)

    def merge(self, name: str, adjacent: str, now: int) -> Shard:
        lower, upper = self._resharding(name), self._resharding(adjacent)
        if lower.last_key + 1 != upper.first_key and upper.last_key + 1 != lower.first_key:
            raise invalid_argument(
                f"Shards {name} and {adjacent} in stream {self.name} under account {self.account} are not an adjacent"
                " pair of shards eligible for merging"
            )
        keys = (min(lower.first_key, upper.first_key), max(lower.last_key, upper.last_key))
        return self._replace([lower, upper], [keys], now)[0]

    def rescale(self, target: int, now: int) -> None:
        """Uniform shards by single splits and merges, as the service does it: short-lived shards are left behind."""
        current = len(self._open)
        if target > 2 * current or 2 * target < current:
            raise limit_exceeded(
                f"UpdateShardCount cannot scale stream {self.name} from {current} to {target} open shards:"
                " at most double and at least half of them."
            )
        bounds = [HASH_KEYS * i // target for i in range(target + 1)]
        for bound in bounds[1:-1]:
            shard = self._open[bisect_right(self._starts, bound) - 1]
            if shard.first_key != bound:
                self.split(shard.id, bound, now)
        for first, last in pairwise(bounds):
            while len(within := [s for s in self._open if first <= s.first_key < last]) > 1:
                self.merge(within[0].id, within[1].id, now)

    def trim(self, shard: Shard, now: int, number: int | None = None, moment: int | None = None) -> int:
        """Forget the records before a sequence number or that arrived before a time, else all; how many.

        Retention passes a closed shard when it has passed its records and the time at which it was closed.
        """
        if number is not None:
            count = shard.trim(shard.find(number, after=False))
        elif moment is not None:
            count = shard.trim(shard.find_time(shard.first, moment))
        else:
            count = shard.trim(shard.end)
        empty = shard.first == shard.end
        if shard.closed is not None and empty and (moment is None or moment > shard.closed):
            shard.expired = True
        return count

    def require_active(self) -> None:
        if (state := self.status()) != "ACTIVE":
            raise in_use(f"Stream {self.name} under account {self.account} not ACTIVE, instead in state {state}")

    def become(self, status: str, seconds: float) -> None:
        """CREATING or UPDATING, then ACTIVE; DELETING, then GONE; however the server's clock is moved."""
        self._transition = (status, time.monotonic() + seconds)

    def status(self) -> str:
        status, until = self._transition
        if time.monotonic() < until:
            return status
        return "GONE" if status == "DELETING" else "ACTIVE"

    def describe(self) -> dict[str, Any]:
        """What DescribeStream, DescribeStreamSummary and ListStreams have in common."""
        return {
            "StreamName": self.name,
            "StreamARN": self.arn,
            "StreamStatus": self.status(),
            "StreamModeDetails": {"StreamMode": "ON_DEMAND" if self.on_demand else "PROVISIONED"},
            "StreamCreationTimestamp": self.created / 1000,
        }

    def require_provisioned(self) -> None:
        if self.on_demand:
            raise ServiceError(
                "ValidationException",
                f"Stream {self.name} under account {self.account} is in the on-demand capacity mode: this operation"
                " is for provisioned streams.",
            )

    def _resharding(self, name: str) -> Shard:
        shard = self.shards.get(name)
        if shard is None or shard.expired:
            raise not_found(f"Could not find shard {name} in stream {self.name} under account {self.account}.")
        if shard.closed is not None:
            raise invalid_argument(f"Shard {name} in stream {self.name} under account {self.account} is not open.")
        return shard

    def _replace(self, parents: list[Shard], keys: list[tuple[int, int]], now: int) -> list[Shard]:
        created = max(now // 1000, *(parent.created + 1 for parent in parents), 0)
        names = tuple(parent.id for parent in parents)
        children = [Shard(len(self.shards) + i, created, now, within, names) for i, within in enumerate(keys)]
        for parent in parents:
            parent.close(now, children)
        self._add(children)
        return children

    def _add(self, shards: Iterable[Shard]) -> None:
        self.shards.update((shard.id, shard) for shard in shards)
        self._open = sorted((s for s in self.shards.values() if s.closed is None), key=lambda s: s.first_key)
        self._starts = [shard.first_key for shard in self._open]

    def position(self, shard: Shard, text: str, *, after: bool) -> int:
        """Where AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER starts; refused where the number is of another shard."""
        parts = sequence.parse(text)
        used = (
            f"StartingSequenceNumber {text} used in GetShardIterator on shard {shard.id} in stream {self.name}"
            f" under account {self.account} is invalid"
        )
        if parts is None:
            raise invalid_argument(used + ".")
        if parts.shard != shard.index:
            raise invalid_argument(
                f"Invalid StartingSequenceNumber. It encodes {shard_id(parts.shard)}, while it was used in a call to a"
                f" shard with {shard.id}"
            )
        value, ending = int(text), shard.ending_sequence_number
        if value < shard.starting_sequence_number or parts.created != shard.created or (ending and value > ending):
            raise invalid_argument(used + " because it did not come from this stream.")
        return shard.find(value, after)


def hash_key(partition_key: str) -> int:
    return int.from_bytes(hashlib.md5(partition_key.encode(), usedforsecurity=False).digest(), "big")
