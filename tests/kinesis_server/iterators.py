"""Shard iterators and page tokens: opaque text for the client, everything a stateless server must know for us.

An iterator lives five minutes (API reference, GetShardIterator), a ListShards token 300 seconds (ListShards).
"""

from __future__ import annotations

import base64
import itertools
import time
from typing import Any, NamedTuple

import orjson

from .errors import ServiceError, invalid_argument

LIFETIME_MS = 300_000
_serial = itertools.count()


class Iterator(NamedTuple):
    stream: str
    generation: int
    """Which of the streams that ever had this name."""
    shard: str
    position: int
    moment: int | None
    """Of AT_TIMESTAMP: records before the first one of this time (ms) or later are passed over."""
    empty_pages: int
    """How many empty answers come before the next record."""
    created: int
    epoch: int
    """Iterators of an earlier epoch were expired on command."""


class PageToken(NamedTuple):
    stream: str
    generation: int
    after: str
    filter: dict[str, object] | None
    created: int


def encode(token: Iterator | PageToken) -> str:
    """No two answers carry the same text, as on the service: a client must never compare them."""
    return base64.b64encode(orjson.dumps([*token, next(_serial)])).decode()


def iterator(text: str) -> Iterator:
    try:
        return Iterator(*_decode(text, 8))
    except ValueError:
        raise invalid_argument("Invalid ShardIterator.") from None


def page_token(text: str) -> PageToken:
    try:
        return PageToken(*_decode(text, 5))
    except ValueError:
        raise invalid_argument("Invalid NextToken.") from None


def check_alive(token: Iterator, epoch: int, now: int) -> None:
    if token.epoch != epoch or now - token.created > LIFETIME_MS:
        raise expired(token.created, now)


def check_page(token: PageToken, now: int) -> None:
    if now - token.created > LIFETIME_MS:
        raise ServiceError("ExpiredNextTokenException", f"NextToken was created at {_utc(token.created)} and expired.")


def expired(created: int, now: int) -> ServiceError:
    return ServiceError(
        "ExpiredIteratorException",
        f"Iterator expired. The iterator was created at time {_utc(created)} while right now it is {_utc(now)} which is"
        f" further in the future than the tolerated delay of {LIFETIME_MS} milliseconds.",
    )


def _decode(text: str, length: int) -> list[Any]:
    fields = orjson.loads(base64.b64decode(text, validate=True))
    if not isinstance(fields, list) or len(fields) != length + 1:
        raise ValueError(text)
    return fields[:-1]


def _utc(moment: int) -> str:
    return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(moment / 1000))
