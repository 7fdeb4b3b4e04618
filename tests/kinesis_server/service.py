"""The service behind the protocol: its streams, its clock, and what every call goes through."""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

import orjson

from . import iterators, operations
from .errors import (
    ServiceError,
    access_denied,
    in_use,
    internal_failure,
    invalid_argument,
    kms_throttled,
    limit_exceeded,
    not_found,
    throughput_exceeded,
    unavailable,
)
from .faults import Fault, Faults
from .journal import Call, Journal
from .limits import Limits, Meters
from .stream import Stream

_THROUGHPUT = frozenset({"GetRecords", "GetShardIterator", "PutRecord", "PutRecords"})
"""Operations that the model lets answer ProvisionedThroughputExceededException; others have LimitExceededException."""


class Reply(NamedTuple):
    status: int
    parts: list[bytes]
    """The body, in pieces."""
    code: str | None = None
    fault: Fault | None = None
    """What the connection must still do to the answer: "reset", "slow" or "truncated"."""


class Service:
    def __init__(self, region: str, account: str, limits: Limits | None, transition_seconds: float) -> None:
        self.region = region
        self.account = account
        self.limits = limits or Limits()
        self.meters = Meters(limits) if limits else None
        self.transition_seconds = transition_seconds
        self.faults = Faults()
        self.journal = Journal()
        self.clock_offset = 0.0
        self.round_trip = 0.0
        self.empty_pages = 0
        self.empty_pages_between = False
        self.end_with_records = False
        self.epoch = 0
        self._streams: dict[str, Stream] = {}
        self._last_created: dict[str, int] = {}
        self._lock = threading.RLock()

    def now(self) -> int:
        """Unix milliseconds of the server's own clock."""
        return int((time.time() + self.clock_offset) * 1000)

    def handle(self, operation: str, body: bytes) -> Reply:
        call = Call(
            operation=operation,
            stream=None,
            shard=None,
            time=self.now() / 1000,
            request_bytes=len(body),
            iterator_type=None,
            limit=None,
            error=None,
            records=0,
            bytes=0,
        )
        try:
            reply = self._answer(operation, body, call)
        except ServiceError as error:
            call["error"] = error.code
            reply = Reply(error.status, [orjson.dumps({"__type": error.code, "message": error.message})], error.code)
        self.journal.add(call)
        return reply

    def _answer(self, operation: str, body: bytes, call: Call) -> Reply:
        run = operations.OPERATIONS.get(operation)
        if run is None:
            raise ServiceError("UnknownOperationException", f"This server has no operation {operation}.")
        try:
            request = orjson.loads(body or b"{}")
        except orjson.JSONDecodeError:
            request = None
        if not isinstance(request, dict):
            raise ServiceError("SerializationException", "The request is not a JSON object.")
        _name_subject(request, call)
        fault = self.faults.pick(operation, call["shard"])
        if fault and fault.kind == "reset":
            call["error"] = fault.kind
            return Reply(0, [], fault=fault)
        if fault:
            self._refuse(fault, call)
            if fault.kind != "slow":
                call["error"] = fault.kind
        result = run(self, request, call)
        if isinstance(result, list):
            return Reply(200, result, fault=fault)
        return Reply(200, [b"" if result is None else orjson.dumps(result)], fault=fault)

    def _refuse(self, fault: Fault, call: Call) -> None:
        if fault.kind == "internal":
            raise internal_failure()
        if fault.kind == "unavailable":
            raise unavailable()
        if fault.kind == "expired_iterator":
            raise iterators.expired(self.now() - iterators.LIFETIME_MS - 1, self.now())
        if fault.kind == "kms_throttle":
            raise kms_throttled()
        if fault.kind == "access_denied":
            raise access_denied(call["operation"], call["stream"] or "-")
        if fault.kind == "throttle" and call["operation"] in _THROUGHPUT:
            raise throughput_exceeded(call["shard"] or "-", call["stream"] or "-", self.account)
        if fault.kind == "throttle":
            raise limit_exceeded(f"Rate exceeded for stream {call['stream']} under account {self.account}.")

    def stream(self, name: str) -> Stream:
        with self._lock:
            stream = self._streams.get(name)
            if stream and stream.status() == "GONE":
                del self._streams[name]
                stream = None
        if stream is None:
            raise not_found(f"Stream {name} under account {self.account} not found.")
        return stream

    def stream_of(self, request: dict[str, Any]) -> Stream:
        """By StreamName, StreamARN or both, as every operation on a stream takes them."""
        name, arn = request.get("StreamName"), request.get("StreamARN")
        if name is None and arn is None:
            raise invalid_argument("Either StreamName or StreamARN must be given.")
        named = arn_name(arn) if arn is not None else name
        if named is None or (name is not None and name != named):
            raise invalid_argument(f"StreamName {name} and StreamARN {arn} do not name one stream.")
        return self.stream(named)

    def usable_stream_of(self, request: dict[str, Any]) -> Stream:
        """The same for operations on data: a stream that is being made is not there yet."""
        stream = self.stream_of(request)
        if stream.status() == "CREATING":
            raise not_found(f"Stream {stream.name} under account {self.account} not found.")
        return stream

    def streams(self) -> list[Stream]:
        with self._lock:
            return [stream for _, stream in sorted(self._streams.items()) if stream.status() != "GONE"]

    def create_stream(self, name: str, shards: int, *, on_demand: bool) -> Stream:
        """A stream made again under an old name has the same shard ids and later sequence numbers."""
        arn = f"arn:aws:kinesis:{self.region}:{self.account}:stream/{name}"
        with self._lock:
            now = self.now()
            try:
                self.stream(name)
            except ServiceError:
                pass
            else:
                raise in_use(f"Stream {name} under account {self.account} already exists.")
            created = max(now // 1000, self._last_created.get(name, 0) + 1)
            stream = Stream(name, arn, shards, now, on_demand=on_demand, first_created=created)
            stream.become("CREATING", self.transition_seconds)
            self._streams[name] = stream
            return stream

    def delete_stream(self, name: str) -> None:
        with self._lock:
            stream = self.stream(name)
            self._last_created[name] = stream.last_created
            stream.become("DELETING", self.transition_seconds)


def arn_name(arn: str) -> str | None:
    """The stream's name in an ARN of any account and region."""
    head, found, name = arn.partition(":stream/")
    return name if found and head.startswith("arn:aws") and ":kinesis:" in head else None


def _name_subject(request: dict[str, Any], call: Call) -> None:
    """Which stream and shard a call is about, for the journal and for faults; the operation itself checks them."""
    arn = request.get("StreamARN")
    call["stream"] = request.get("StreamName") or (arn_name(arn) if isinstance(arn, str) else None)
    call["shard"] = request.get("ShardId")
    call["iterator_type"] = request.get("ShardIteratorType")
    call["limit"] = request.get("Limit", request.get("MaxResults"))
    text = request.get("ShardIterator")
    if isinstance(text, str):
        try:
            token = iterators.iterator(text)
        except ServiceError:
            return
        call["stream"], call["shard"] = token.stream, token.shard
