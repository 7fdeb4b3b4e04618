"""GetShardIterator and GetRecords."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from . import iterators
from .errors import invalid_argument, not_found, throughput_exceeded
from .iterators import Iterator
from .journal import Call
from .requests import millis, required, whole
from .shard import Page, Shard
from .stream import Stream

if TYPE_CHECKING:
    from .service import Service

Request = dict[str, Any]

MAX_RECORDS = 10_000


def get_shard_iterator(service: Service, request: Request, call: Call) -> dict[str, Any]:
    name, kind = required(request, "ShardId", str), required(request, "ShardIteratorType", str)
    stream = service.usable_stream_of(request)
    now = service.now()
    with stream.lock:
        shard = stream.shard(name)
        if service.meters and not service.meters.may_call("GetShardIterator", (stream.arn, shard.id)):
            raise throughput_exceeded(shard.id, stream.name, stream.account)
        position, moment = _starting(stream, shard, kind, request, now)
    token = Iterator(
        stream.name, stream.generation, shard.id, position, moment, service.empty_pages, now, service.epoch
    )
    return {"ShardIterator": iterators.encode(token)}


def _starting(stream: Stream, shard: Shard, kind: str, request: Request, now: int) -> tuple[int, int | None]:
    number, rule = (
        request.get("StartingSequenceNumber"),
        (
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "
            f"(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and "
        ),
    )
    if kind in ("TRIM_HORIZON", "LATEST"):
        if number is not None:
            raise invalid_argument(rule + "also a StartingSequenceNumber.")
        return (shard.first if kind == "TRIM_HORIZON" else shard.end), None
    if kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        if not isinstance(number, str):
            raise invalid_argument(rule + "no StartingSequenceNumber.")
        return stream.position(shard, number, after=kind == "AFTER_SEQUENCE_NUMBER"), None
    if kind != "AT_TIMESTAMP":
        raise invalid_argument(f"Invalid ShardIteratorType {kind}.")
    if request.get("Timestamp") is None:
        raise invalid_argument(
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no"
            " timestamp parameter."
        )
    moment = millis(request, "Timestamp")
    if moment > now:
        raise invalid_argument(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis."
            f" timestampInMillis: {moment}, currentTimestampInMillis: {now}"
        )
    return shard.first, moment


def get_records(service: Service, request: Request, call: Call) -> list[bytes]:
    """MillisBehindLatest is 0 only where nothing waits.

    The last answer of a closed shard names the children and has no NextShardIterator: absent, not null (seen on the
    service by kinesalite's authors). The documents leave open whether the last records come with it.
    """
    token = iterators.iterator(required(request, "ShardIterator", str))
    limit = whole(request, "Limit", MAX_RECORDS, 1)
    if limit > MAX_RECORDS:
        raise invalid_argument(f"Limit {limit} is above {MAX_RECORDS}.")
    now = service.now()
    iterators.check_alive(token, service.epoch, now)
    stream = service.stream(token.stream)
    if stream.generation != token.generation:
        raise not_found(f"Shard {token.shard} in stream {token.stream} under account {stream.account} does not exist")
    where = (stream.arn, token.shard)
    with stream.lock:
        shard = stream.shard(token.shard)
        if service.meters and not service.meters.may_call("GetRecords", where):
            raise throughput_exceeded(shard.id, stream.name, stream.account)
        page, following, waiting = _step(service, shard, token, limit)
        if service.meters:
            service.meters.was_read(where, page.size)
        tail: dict[str, Any] = {"MillisBehindLatest": 0 if waiting is None else max(1, now - waiting)}
        if waiting is None and shard.closed is not None and (service.end_with_records or not page.records):
            tail["ChildShards"] = _children(shard)
        else:
            tail["NextShardIterator"] = iterators.encode(following._replace(created=now, epoch=service.epoch))
    call["records"], call["bytes"] = len(page.records), page.size
    return [b'{"Records":[', b",".join(page.records), b"]," + orjson.dumps(tail)[1:]]


def _step(service: Service, shard: Shard, token: Iterator, limit: int) -> tuple[Page, Iterator, int | None]:
    """The records to answer with, the iterator after them, and the arrival of the next record, None at the tip."""
    position = max(token.position, shard.first)
    if token.moment is not None:
        position = shard.find_time(position, token.moment)
    if position >= shard.end:
        return Page([], 0, position), token._replace(position=position, empty_pages=0), None
    if token.empty_pages:
        following = token._replace(position=position, empty_pages=token.empty_pages - 1)
        return Page([], 0, position), following, shard.arrival(position)
    page = shard.read(position, limit)
    pages = service.empty_pages if service.empty_pages_between else 0
    waiting = shard.arrival(page.next) if page.next < shard.end else None
    return page, token._replace(position=page.next, moment=None, empty_pages=pages), waiting


def _children(shard: Shard) -> list[dict[str, Any]]:
    return [
        {"ShardId": child.id, "ParentShards": list(child.parents), "HashKeyRange": child.hash_keys()}
        for child in shard.children
    ]
