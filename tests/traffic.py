"""What producers send: the events of the original system, and as many made-up ones as wanted.

`generate` gives a mix as it comes from real producers: some event types are busy and most are not, some events are
sent twice, some are broken. The same arguments give the same bytes. A `Ledger` reads along and knows what must be
in the lake afterwards.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import orjson

from odd_events import BROKEN, UNUSUAL, UNUSUAL_UUIDS

THREE_DAYS = 3 * 86_400
BLOCK = 512  # random numbers are drawn in blocks: one call each would cost more than the event
REMEMBERED = 4096  # how many earlier events can be sent again later
SHAPE_WEIGHTS = (4, 4, 4, 4, 1, 1)  # of the bodies that each event name has; see _template

SAMPLE_EVENTS: tuple[bytes, ...] = (
    (
        b'{"event_uuid":"1234567890","event_name":"account:created","created_at":1644838800,'
        b'"account_id":"acc-1001","email":"ada@example.com","name":"Ada","age":36}'
    ),
    (
        b'{"event_uuid":"0987654321","event_name":"lesson:started","created_at":1644842400,'
        b'"lesson_id":"les-2001","title":"Fractions","duration_minutes":45,"instructor":"Grace"}'
    ),
    (
        b'{"event_uuid":"5678901234","event_name":"payment:order:completed","created_at":1644849600,'
        b'"order_id":"ord-3001","amount":49.99,"currency":"EUR","payment_method":"card","status":"completed"}'
    ),
    (
        b'{"event_uuid":"1357924680","event_name":"lesson:completed","created_at":1644856800,'
        b'"lesson_id":"les-2001","completion_status":"passed","completion_date":"2022-02-14"}'
    ),
)


@dataclass(slots=True)
class Put:
    """One record as it goes into the stream."""

    data: bytes
    partition_key: str
    explicit_hash_key: str | None = None
    event_uuid: str | None = None  # where a strict reader finds a string under this key
    problem: str | None = None  # None: a good event; else the code under which quarantine must hold it
    copy_of_earlier: bool = False  # a good event whose uuid was put before


def samples() -> list[Put]:
    """The four events of the original system, the first of them sent twice."""
    puts = [Put(data, uuid := orjson.loads(data)["event_uuid"], None, uuid) for data in SAMPLE_EVENTS]
    first = puts[0]
    return [*puts, Put(first.data, first.partition_key, None, first.event_uuid, None, True)]


@dataclass
class Ledger:
    """What the lake must hold once every put that was added has been processed."""

    received: int = 0
    copies: Counter[str] = field(default_factory=Counter)  # by uuid: duplicates of an event put before
    payloads: dict[str, set[bytes]] = field(default_factory=dict)  # by uuid: each must be stored once, as one of these
    set_aside: Counter[tuple[str, bytes]] = field(default_factory=Counter)  # problem and record, as often as it was put
    quarantined: Counter[str] = field(default_factory=Counter)  # the same by problem

    def add(self, put: Put) -> None:
        self.received += 1
        if put.problem is not None:
            self.quarantined[put.problem] += 1
            self.set_aside[put.problem, put.data] += 1
        elif (seen := self.payloads.get(put.event_uuid or "")) is not None:
            self.copies[put.event_uuid or ""] += 1
            seen.add(put.data)
        else:
            self.payloads[put.event_uuid or ""] = {put.data}

    @property
    def duplicates(self) -> int:
        return self.copies.total()

    @property
    def stored(self) -> int:
        return len(self.payloads)

    def counts(self) -> dict[str, int]:
        """The numbers that the job reports, under its keys."""
        return {
            "received": self.received,
            "stored": self.stored,
            "duplicates": self.duplicates,
            "quarantined": self.quarantined.total(),
        }


def generate(
    count: int, *, types: int = 20, duplicates: float = 0.05, broken: float = 0.01, seed: int = 0, now: float
) -> Iterator[Put]:
    """`count` puts; `duplicates` and `broken` are shares of them, `now` is Unix time: events are up to 3 days older."""
    rng = random.Random(seed)
    templates, weights = _templates(types, rng)
    copies, odd = _Copies(rng), _Odd(rng, now)
    unusual = (1 - duplicates - broken) * 0.005
    to_broken, to_copy = broken, broken + duplicates
    made = 0
    while made < count:
        block = min(BLOCK, count - made)
        digits = rng.randbytes(16 * block).hex()
        for place, template in enumerate(rng.choices(templates, cum_weights=weights, k=block)):
            kind = rng.random()
            if kind < to_broken:
                yield odd.broken(copies.last)
                continue
            if kind < to_copy and copies.last is not None:
                yield copies.make()
                continue
            if kind > 1 - unusual:
                put = odd.unusual()
            else:
                age = rng.random()
                put = template(_uuid(digits[place * 32 : place * 32 + 32]), now - age * age * THREE_DAYS)
            copies.remember(put)
            yield put
        made += block


class _Copies:
    """Sends earlier events again: at once or much later, to the same shard or another, byte for byte or changed."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.last: Put | None = None
        self.earlier: list[Put] = []
        self.seen = self.made = 0

    def remember(self, put: Put) -> None:
        """Keeps an even sample of everything so far."""
        self.last = put
        self.seen += 1
        if len(self.earlier) < REMEMBERED:
            self.earlier.append(put)
        elif (place := int(self.rng.random() * self.seen)) < REMEMBERED:
            self.earlier[place] = put

    def make(self) -> Put:
        rng, kind = self.rng, self.made % 10
        self.made += 1
        assert self.last is not None
        original = self.last if kind < 4 else rng.choice(self.earlier)
        data, key, hash_key = original.data, original.partition_key, original.explicit_hash_key
        if kind in (3, 7):
            hash_key = str(rng.getrandbits(128))
        elif kind == 8:
            key = f"retry-{rng.getrandbits(32)}"
        elif kind == 9:
            data = data.rstrip()[:-1] + b',"retry":%d}' % (1 + self.made % 3)
        return Put(data, key, hash_key, original.event_uuid, None, True)


class _Odd:
    """Broken and unusual events, one variant after the other."""

    def __init__(self, rng: random.Random, now: float) -> None:
        self.rng, self.now = rng, now
        self.breaks = self.oddities = 0

    def _event(self) -> dict[str, Any]:
        rng = self.rng
        return {
            "event_uuid": _uuid(rng.randbytes(16).hex()),
            "event_name": "lesson:started",
            "created_at": int(self.now - rng.random() * THREE_DAYS),
            "lesson_id": f"les-{rng.randrange(10_000)}",
            "title": rng.choice(TITLES),
            "duration_minutes": rng.choice((15, 30, 45, 90)),
        }

    def broken(self, good: Put | None) -> Put:
        """Every third one carries the uuid of an event that was sent well: neither may disturb the other."""
        event = self._event()
        if good is not None and self.breaks % 3 == 0:
            event["event_uuid"] = good.event_uuid
        problem, make = BROKEN[self.breaks % len(BROKEN)]
        self.breaks += 1
        data = make(event)
        return Put(data, f"user-{self.rng.randrange(50_000)}", None, _readable_uuid(data), problem)

    def unusual(self) -> Put:
        event = self._event()
        turn, self.oddities = self.oddities, self.oddities + 1
        if turn % 4 == 3:
            event["event_uuid"] = UNUSUAL_UUIDS[turn // 4 % len(UNUSUAL_UUIDS)](event["event_uuid"])
            return Put(orjson.dumps(event), "\N{KEY}" * (1 + turn % 128), None, event["event_uuid"])
        make = UNUSUAL[(turn - turn // 4) % len(UNUSUAL)]
        return Put(make(event), f"user-{self.rng.randrange(50_000)}", None, event["event_uuid"])


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _readable_uuid(data: bytes) -> str | None:
    try:
        uuid = orjson.loads(data)["event_uuid"]
    except (ValueError, TypeError, KeyError):
        return None
    return uuid if isinstance(uuid, str) else None


# Bodies: names and fields of a learning platform

# fmt: off
NOUNS = (
    "lesson", "account", "payment", "course", "quiz", "video", "user-profile", "search",
    "mobile.app", "subscription", "message", "certificate", "ab_test", "classroom", "homework",
    "invite", "notification", "device", "refund", "support",
)
# fmt: on
VERBS = ("started", "completed", "created", "viewed", "updated", "failed")
DEEP_VERBS = ("order:completed", "item:added", "plan:changed")
TITLES = ("Fractions", "Élan vital", "量子力学入門", "Verbs of motion \N{RUNNER}", "Größen und Maße", "Photosynthesis")
CITIES = ("São Paulo", "Zürich", "Łódź", "北京", "Nairobi", "Reykjavík")
AGENTS = ("ios/17.2 (iPhone15,3)", "android/14 (Pixel 8)", "web/128.0 (Windows NT 10.0; x64)", "smart-tv/3.1")


def event_types(count: int) -> list[str]:
    return [NOUNS[i] if i < len(NOUNS) else f"{NOUNS[i % len(NOUNS)]}-{i // len(NOUNS) + 1}" for i in range(count)]


def _templates(types: int, rng: random.Random) -> tuple[list[Callable[[str, float], Put]], list[float]]:
    """One function per event name and shape, and the cumulated weights by which to draw them (Zipf over the types)."""
    templates: list[Callable[[str, float], Put]] = []
    weights: list[float] = []
    for rank, event_type in enumerate(event_types(types), start=1):
        names = [f"{event_type}:{verb}" for verb in (*VERBS, DEEP_VERBS[rank % len(DEEP_VERBS)])]
        for name in names:
            for shape, weight in enumerate(SHAPE_WEIGHTS):
                templates.append(_template(name, shape, rng))
                weights.append(weight / rank / len(names))
    return templates, list(accumulate(weights))


def _body(rng: random.Random) -> dict[str, Any]:
    return {
        "session": {"id": f"{rng.getrandbits(64):016x}", "agent": rng.choice(AGENTS), "page": rng.randrange(40)},
        "title": rng.choice(TITLES),
        "place": {"city": rng.choice(CITIES), "lat": round(rng.uniform(-60, 70), 5), "lon": rng.uniform(-180, 180)},
        "tags": rng.sample(["new", "mobile", "trial", "premium", "2026"], k=rng.randrange(4)),
        "amount": rng.choice((None, 0, 9.99, 49.5, 120)),
    }


def _template(name: str, shape: int, rng: random.Random) -> Callable[[str, float], Put]:
    """Shapes differ in the order of the keys, in spacing and escapes, and in how `created_at` is written."""
    body = orjson.dumps(_body(rng)).decode()[1:-1] if shape % 2 else json.dumps(_body(rng))[1:-1]
    draw = random.Random(rng.getrandbits(64)).random

    def user_id() -> str:
        share = draw()
        return f"user-{int(share * share * share * 50_000)}"

    def uuid_first(uuid: str, created: float) -> Put:
        user = user_id()
        text = f'{{"event_uuid":"{uuid}","event_name":"{name}","created_at":{int(created)},"user_id":"{user}",{body}}}'
        return Put(text.encode(), user, None, uuid)

    def uuid_last(uuid: str, created: float) -> Put:
        user = user_id()
        text = f'{{{body},"user_id":"{user}","created_at":{int(created)},"event_name":"{name}","event_uuid":"{uuid}"}}'
        return Put(text.encode(), user, None, uuid)

    def with_fraction(uuid: str, created: float) -> Put:
        user = user_id()
        text = (
            f'{{"event_name": "{name}", "event_uuid": "{uuid}", "created_at": {created:.6f}, "user": "{user}", {body}}}'
        )
        return Put(text.encode(), user, None, uuid)

    def number_in_string(uuid: str, created: float) -> Put:
        user = user_id()
        text = (
            f'{{"created_at":"{int(created)}","event_name":"{name}",{body},"user_id":"{user}","event_uuid":"{uuid}"}}'
        )
        return Put(text.encode(), user, None, uuid)

    return (uuid_first, uuid_last, uuid_first, uuid_last, with_fraction, number_in_string)[shape]
