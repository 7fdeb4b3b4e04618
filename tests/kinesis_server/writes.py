"""PutRecord and PutRecords."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import orjson

from .errors import ServiceError, internal_failure, invalid_argument, throughput_exceeded, violated
from .journal import Call
from .requests import hash_key, required
from .shard import HASH_KEYS
from .stream import Stream

if TYPE_CHECKING:
    from .service import Service

MAX_RECORDS = 500
MAX_REQUEST_BYTES = 10 * 1024 * 1024
"""Of data and partition keys: 10 MiB since October 2025 (API reference, PutRecords; 5 MiB before)."""


def put_record(service: Service, request: dict[str, Any], call: Call) -> dict[str, Any]:
    stream = service.usable_stream_of(request)
    record = _checked(request, stream)
    return _store(service, stream, record, call)


def put_records(service: Service, request: dict[str, Any], call: Call) -> dict[str, Any]:
    stream = service.usable_stream_of(request)
    entries = required(request, "Records", list)
    if not 1 <= len(entries) <= MAX_RECORDS:
        raise violated("records", f"Member must have length less than or equal to {MAX_RECORDS}")
    records = [_checked(entry, stream) for entry in entries]
    if sum(record[3] for record in records) > MAX_REQUEST_BYTES:
        raise invalid_argument("Records size exceeds 10 MB limit")
    results = [
        _refused(internal_failure())
        if call["error"] == "partial" and i % 2
        else _stored_or_refused(service, stream, record, call)
        for i, record in enumerate(records)
    ]
    return {"FailedRecordCount": sum("ErrorCode" in result for result in results), "Records": results}


_Record = tuple[bytes, str, int | None, int]
"""Data in base64, partition key, explicit hash key, size."""


def _checked(entry: dict[str, Any], stream: Stream) -> _Record:
    text, key = required(entry, "Data", str), required(entry, "PartitionKey", str)
    if not 1 <= len(key) <= 256:
        raise violated("partitionKey", "Member must have length between 1 and 256")
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ServiceError("SerializationException", "Data is not base64.") from None
    size = len(data) + len(key.encode())
    if size > stream.record_bytes:
        raise invalid_argument(
            f"A record of {size} bytes exceeds the maximum record size of stream {stream.name}, {stream.record_bytes}."
        )
    explicit = None if entry.get("ExplicitHashKey") is None else hash_key(entry, "ExplicitHashKey")
    if explicit is not None and explicit >= HASH_KEYS:
        raise invalid_argument(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]."
            f" Specified value was {explicit}"
        )
    return text.encode(), key, explicit, size


def _store(service: Service, stream: Stream, record: _Record, call: Call) -> dict[str, Any]:
    data, key, explicit, size = record
    with stream.lock:
        shard = stream.route(key, explicit)
        if service.meters and not service.meters.may_write((stream.arn, shard.id), size):
            raise throughput_exceeded(shard.id, stream.name, stream.account)
        number = shard.append([(data, orjson.dumps(key), service.now(), size)])[0]
    call["records"] += 1
    call["bytes"] += size
    return {"ShardId": shard.id, "SequenceNumber": number}


def _stored_or_refused(service: Service, stream: Stream, record: _Record, call: Call) -> dict[str, Any]:
    try:
        return _store(service, stream, record, call)
    except ServiceError as error:
        return _refused(error)


def _refused(error: ServiceError) -> dict[str, Any]:
    return {"ErrorCode": error.code, "ErrorMessage": error.message}
