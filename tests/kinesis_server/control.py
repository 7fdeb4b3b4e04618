"""What a test can do to the server beyond the protocol, from inside its process or from another.

Every method is written once, in ``Control``: on the server itself it runs; on a ``RemoteControl`` it becomes a
``POST /_control`` of the method's name and arguments, and the server in the other process runs it.
"""

from __future__ import annotations

import base64
import functools
import http.client
import inspect
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

import orjson

from .fill import Arrivals, fill_by_key, fill_each_shard, read_lines
from .journal import Call, Counts
from .limits import Meters
from .service import Service
from .shard import Shard
from .stream import Stream

Moment = float | datetime | str
"""Unix seconds, a datetime, or ISO 8601."""

_C = TypeVar("_C", bound="Control")
_P = ParamSpec("_P")
_R = TypeVar("_R")
METHODS: dict[str, Callable[..., Any]] = {}
"""The methods that ``POST /_control`` knows."""


def _controls(method: Callable[Concatenate[_C, _P], _R]) -> Callable[Concatenate[_C, _P], _R]:
    METHODS[method.__name__] = method

    @functools.wraps(method)
    def perform(self: _C, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return cast(_R, self._perform(method, args, kwargs))

    return cast(Callable[Concatenate[_C, _P], _R], perform)


class Control:
    service: Service

    def _perform(self, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return method(self, *args, **kwargs)

    # Streams and shards

    @_controls
    def create_stream(self, stream: str, shards: int = 1, on_demand: bool = False, max_record_kib: int = 1024) -> None:
        self.service.create_stream(stream, shards, on_demand=on_demand).record_bytes = max_record_kib * 1024

    @_controls
    def delete_stream(self, stream: str) -> None:
        self.service.delete_stream(stream)

    @_controls
    def shards(self, stream: str) -> list[dict[str, Any]]:
        """The listed shards, as ListShards has them."""
        found = self.service.stream(stream)
        with found.lock:
            return [shard.describe() for shard in found.listed()]

    @_controls
    def split(self, stream: str, shard: str, new_starting_hash_key: int | str | None = None) -> list[str]:
        """Split a shard, in the middle unless told; the ids of the two children."""
        found = self.service.stream(stream)
        with found.lock:
            parent = found.shard(shard)
            middle = (parent.first_key + parent.last_key + 1) // 2
            key = middle if new_starting_hash_key is None else int(new_starting_hash_key)
            return [child.id for child in found.split(shard, key, self.service.now())]

    @_controls
    def merge(self, stream: str, shard: str, adjacent: str) -> str:
        """Merge two shards; the id of the child."""
        found = self.service.stream(stream)
        with found.lock:
            return found.merge(shard, adjacent, self.service.now()).id

    # Records

    @_controls
    def put(
        self,
        stream: str,
        data: bytes,
        partition_key: str = "key",
        arrival: Moment | None = None,
        shard: str | None = None,
    ) -> dict[str, str]:
        """Store a record whatever the limits, arrived at any time, in any open shard; where it went."""
        found = self.service.stream(stream)
        with found.lock:
            into = found.route(partition_key) if shard is None else found.shard(shard)
            if into.closed is not None:
                raise ValueError(f"{into.id} is closed")
            moment = self.service.now() if arrival is None else _millis(arrival)
            size = len(data) + len(partition_key.encode())
            row = (base64.b64encode(data), orjson.dumps(partition_key), moment, size)
            return {"ShardId": into.id, "SequenceNumber": into.append([row])[0]}

    @_controls
    def fill(
        self,
        stream: str,
        data: Sequence[bytes] | None = None,
        *,
        path: str | None = None,
        records_per_shard: int | None = None,
        records: int | None = None,
        arrival_start: Moment | None = None,
        arrival_rate: float | None = None,
        key_field: str = "event_uuid",
    ) -> int:
        """Store many records at once, whatever the limits; how many they were.

        The payloads are ``data`` or the lines of the file ``path``. With ``records_per_shard`` every open shard gets
        that many, in turn; else ``records`` (each payload once, unless told) go where the hash of their ``key_field``
        sends them. Payloads repeat as needed; ``{uuid}`` and ``{created_at}`` in them are replaced by a new UUID and by
        the time of arrival. Arrivals are ``arrival_rate`` records a second over the whole stream from
        ``arrival_start`` on; with a rate alone the last one is now.
        """
        found = self.service.stream(stream)
        payloads = read_lines(path) if path is not None else list(data or [])
        if not payloads:
            raise ValueError("fill needs data or a path to a file with lines")
        total = records or len(payloads)
        if records_per_shard is not None:
            total = records_per_shard * len(found.open())
        span = total / arrival_rate if arrival_rate else 0.0
        start = self.service.now() - int(span * 1000) if arrival_start is None else _millis(arrival_start)
        arrivals = Arrivals(start, arrival_rate)
        if records_per_shard is not None:
            return fill_each_shard(found, payloads, records_per_shard, arrivals)
        return fill_by_key(found, payloads, total, arrivals, key_field)

    @_controls
    def records(self, stream: str, shard: str | None = None) -> list[dict[str, Any]]:
        """What the stream holds, by shard and in order, as GetRecords has it, and the ShardId."""
        found = self.service.stream(stream)
        with found.lock:
            return [
                {**record, "ShardId": each.id, "Data": base64.b64decode(record["Data"])}
                for each in _shards(found, shard)
                for record in each.held()
            ]

    @_controls
    def trim(
        self,
        stream: str,
        shard: str | None = None,
        before_sequence_number: str | None = None,
        before_time: Moment | None = None,
    ) -> int:
        """Let retention pass: records before a sequence number, that arrived before a time, or all; how many went.

        A closed shard that has nothing left is no longer listed (``before_time``: once that is after its closing too).
        """
        found = self.service.stream(stream)
        number = None if before_sequence_number is None else int(before_sequence_number)
        moment = None if before_time is None else _millis(before_time)
        with found.lock:
            return sum(found.trim(each, self.service.now(), number, moment) for each in _shards(found, shard))

    @_controls
    def enforce_retention(self, stream: str) -> int:
        """Trim what is older than the stream's retention period; the server never does so by itself."""
        found = self.service.stream(stream)
        horizon = self.service.now() - found.retention_hours * 3_600_000
        with found.lock:
            return sum(found.trim(each, self.service.now(), moment=horizon) for each in found.listed())

    # Time and iterators

    @_controls
    def now(self) -> float:
        """The server's clock, Unix seconds."""
        return self.service.now() / 1000

    @_controls
    def set_clock(self, offset_seconds: float) -> None:
        """Move the server's clock that far from the machine's."""
        self.service.clock_offset = offset_seconds

    @_controls
    def expire_iterators(self) -> None:
        """Every iterator handed out so far answers ExpiredIteratorException."""
        self.service.epoch += 1

    @_controls
    def set_empty_pages(self, count: int, between: bool = False) -> None:
        """New iterators give that many empty answers before their first record.

        With ``between`` so does every NextShardIterator that comes with records.
        """
        self.service.empty_pages, self.service.empty_pages_between = count, between

    @_controls
    def set_end_with_records(self, on: bool) -> None:
        """Whether a closed shard's last records come with its end; else the end comes in an empty answer after them."""
        self.service.end_with_records = on

    # Limits, faults and delay

    @_controls
    def set_limits(self, on: bool) -> None:
        self.service.meters = Meters(self.service.limits) if on else None

    @_controls
    def set_faults(
        self,
        rate: float,
        kinds: Sequence[str] = ("throttle", "internal", "unavailable", "reset"),
        operations: Sequence[str] | None = None,
        seed: int = 0,
        seconds: float = 1.0,
    ) -> None:
        """Let a share of the calls fail in one of these ways (``faults.KINDS``); ``seconds`` is the delay of "slow"."""
        self.service.faults.set(rate, kinds, operations, seed, seconds)

    @_controls
    def fail_next(
        self, operation: str, kind: str, count: int = 1, shard: str | None = None, seconds: float = 1.0
    ) -> None:
        """Let exactly the next calls of an operation (on a shard) fail."""
        self.service.faults.plan(operation, kind, count, shard, seconds)

    @_controls
    def clear_faults(self) -> None:
        self.service.faults.clear()

    @_controls
    def set_round_trip(self, seconds: float) -> None:
        """Delay every answer, each connection on its own."""
        self.service.round_trip = seconds

    # What happened

    @_controls
    def calls(self, operation: str | None = None, stream: str | None = None, shard: str | None = None) -> list[Call]:
        """The last calls, oldest first."""
        return self.service.journal.calls(operation, stream, shard)

    @_controls
    def stats(self, stream: str | None = None) -> dict[str, dict[str, Counts]]:
        """Counts by operation, then by shard ("-" for calls about none)."""
        return self.service.journal.counts(stream)

    @_controls
    def clear_calls(self) -> None:
        self.service.journal.clear()


class RemoteControl(Control):
    """The same methods for a server in another process."""

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self.port = urlsplit(endpoint_url).port

    def _perform(self, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        arguments = inspect.signature(method).bind(self, *args, **kwargs).arguments
        named = {name: value for name, value in arguments.items() if name != "self"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            connection.request("POST", "/_control", dumps({"method": method.__name__, "args": named}))
            answer = loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]


def run_method(control: Control, body: bytes) -> bytes:
    """The server's side of ``POST /_control``."""
    try:
        request = loads(body)
        result = METHODS[request["method"]](control, **request.get("args", {}))
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the caller's to see
        return dumps({"error": f"{type(error).__name__}: {error}"})
    return dumps({"result": result})


def dumps(value: Any) -> bytes:
    return orjson.dumps(value, default=_bytes)


def loads(text: bytes) -> Any:
    return _plain(orjson.loads(text))


def _bytes(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    raise TypeError(type(value).__name__)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"base64"}:
            return base64.b64decode(value["base64"])
        return {key: _plain(item) for key, item in value.items()}
    return value


def _millis(moment: Moment) -> int:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if isinstance(moment, datetime):
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return round(moment * 1000)


def _shards(stream: Stream, shard: str | None) -> list[Shard]:
    return stream.listed() if shard is None else [stream.shard(shard)]
