"""Filling a stream fast: millions of records in seconds, for benchmarks and backlogs."""

from __future__ import annotations

import itertools
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from .shard import Row, Shard
from .stream import Stream

_CHUNK = 10_000
_KEYS_PER_SHARD = 16
_serial = itertools.count(1)


@dataclass(frozen=True)
class Arrivals:
    """Record k arrives at ``start + k / rate``; without a rate all arrive at ``start``. Start in Unix ms."""

    start: int
    rate: float | None

    def at(self, k: int) -> int:
        return self.start + int(k * 1000 / self.rate) if self.rate else self.start


def read_lines(path: str) -> list[bytes]:
    return [line for line in Path(path).read_bytes().split(b"\n") if line.strip()]


def fill_each_shard(stream: Stream, payloads: Sequence[bytes], per_shard: int, arrivals: Arrivals) -> int:
    """The same number of records in every open shard, in turn; payloads repeat. Partition keys hash to their shard."""
    with stream.lock:
        shards = stream.open()
        keys = _keys(stream, shards)
        places = itertools.cycle(range(len(shards)))
        turns = [itertools.cycle(keys[shard.id]) for shard in shards]

        def place(k: int, payload: bytes) -> tuple[Shard, bytes]:
            i = next(places)
            return shards[i], next(turns[i])

        return _store(payloads, per_shard * len(shards), arrivals, place)


def fill_by_key(stream: Stream, payloads: Sequence[bytes], records: int, arrivals: Arrivals, key_field: str) -> int:
    """Records by the hash of their key: the payload's ``key_field`` if it is JSON and has one, else its number."""
    with stream.lock:

        def place(k: int, payload: bytes) -> tuple[Shard, bytes]:
            key = _key(payload, key_field) or str(k)
            return stream.route(key), orjson.dumps(key)

        return _store(payloads, records, arrivals, place)


def _store(
    payloads: Sequence[bytes], records: int, arrivals: Arrivals, place: Callable[[int, bytes], tuple[Shard, bytes]]
) -> int:
    numbered = enumerate(itertools.islice(_rendered(payloads, arrivals), records))
    while chunk := list(itertools.islice(numbered, _CHUNK)):
        rows: dict[Shard, list[Row]] = {}
        for k, payload in chunk:
            shard, key = place(k, payload)
            row = (b2a_base64(payload, newline=False), key, arrivals.at(k), len(payload) + len(key) - 2)
            rows.setdefault(shard, []).append(row)
        for shard, shard_rows in rows.items():
            shard.append(shard_rows)
    return records


def _rendered(payloads: Sequence[bytes], arrivals: Arrivals) -> Iterator[bytes]:
    """The payloads over and over, ``{uuid}`` and ``{created_at}`` in them replaced: no two events are then the same."""
    templates = [b"{uuid}" in payload or b"{created_at}" in payload for payload in payloads]
    fill = next(_serial)
    for k, (payload, template) in enumerate(zip(itertools.cycle(payloads), itertools.cycle(templates), strict=False)):
        if not template:
            yield payload
            continue
        named = payload.replace(b"{uuid}", b"%08x-0000-4000-8000-%012x" % (fill, k))
        yield named.replace(b"{created_at}", b"%.3f" % (arrivals.at(k) / 1000))


def _keys(stream: Stream, shards: Sequence[Shard]) -> dict[str, list[bytes]]:
    """Some partition keys for each shard. A shard with hardly any hash keys may have to do with a key of another."""
    keys: dict[str, list[bytes]] = {shard.id: [] for shard in shards}
    missing = len(shards) * _KEYS_PER_SHARD
    for i in range(50 * missing):
        key = f"key-{i}"
        found = keys[stream.route(key).id]
        if len(found) < _KEYS_PER_SHARD:
            found.append(orjson.dumps(key))
            missing -= 1
            if not missing:
                break
    return {name: found or [b'"key"'] for name, found in keys.items()}


def _key(payload: bytes, field: str) -> str | None:
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    value = event.get(field) if isinstance(event, dict) else None
    return value if isinstance(value, str) and 1 <= len(value) <= 256 else None
