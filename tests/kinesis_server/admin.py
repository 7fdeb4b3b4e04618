"""Operations on streams and their shards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from . import iterators
from .errors import in_use, invalid_argument, limit_exceeded, not_found, violated
from .iterators import PageToken
from .journal import Call
from .requests import hash_key, millis, required, whole
from .shard import Shard
from .stream import Stream

if TYPE_CHECKING:
    from .service import Service

Request = dict[str, Any]
Answer = dict[str, Any] | None


def list_shards(service: Service, request: Request, call: Call) -> Answer:
    now = service.now()
    size = min(whole(request, "MaxResults", 1000, 1, 10_000), 1000)
    if request.get("NextToken") is not None:
        stream, after, chosen = _continued(service, request, call, now)
    else:
        stream, after = service.stream_of(request), request.get("ExclusiveStartShardId") or ""
        chosen = request.get("ShardFilter")
        made = request.get("StreamCreationTimestamp")
        if made is not None and int(made) != stream.created // 1000:
            raise not_found(f"No stream {stream.name} under account {stream.account} was created at {made}.")
    if stream.status() == "CREATING":
        raise in_use(f"Stream {stream.name} under account {stream.account} is CREATING.")
    if service.meters and not service.meters.may_call("ListShards", (stream.arn,)):
        raise limit_exceeded(f"Rate exceeded for stream {stream.name} under account {stream.account}.")
    with stream.lock:
        shards = [shard for shard in _chosen(stream, chosen) if shard.id > after]
        answer: dict[str, Any] = {"Shards": [shard.describe() for shard in shards[:size]]}
    if len(shards) > size:
        token = PageToken(stream.name, stream.generation, shards[size - 1].id, chosen, now)
        answer["NextToken"] = iterators.encode(token)
    return answer


def _continued(service: Service, request: Request, call: Call, now: int) -> tuple[Stream, str, Request | None]:
    for other in ("StreamName", "StreamCreationTimestamp", "ExclusiveStartShardId"):
        if request.get(other) is not None:
            raise invalid_argument(f"NextToken and {other} cannot be provided together.")
    token = iterators.page_token(required(request, "NextToken", str))
    call["stream"] = token.stream
    iterators.check_page(token, now)
    stream = service.stream(token.stream)
    if stream.generation != token.generation:
        raise not_found(f"Stream {token.stream} under account {stream.account} not found.")
    return stream, token.after, token.filter


def _chosen(stream: Stream, shard_filter: Request | None) -> list[Shard]:
    """The shards that a ShardFilter lets through (API reference, ShardFilter)."""
    listed = stream.listed()
    if shard_filter is None:
        return listed
    kind = required(shard_filter, "Type", str)
    if kind == "FROM_TRIM_HORIZON":
        return listed
    if kind == "AFTER_SHARD_ID":
        after = required(shard_filter, "ShardId", str)
        return [shard for shard in listed if shard.id > after]
    if kind == "AT_LATEST":
        return [shard for shard in listed if shard.closed is None]
    if kind == "AT_TRIM_HORIZON":
        names = {shard.id for shard in listed}
        return [shard for shard in listed if names.isdisjoint(shard.parents)]
    if kind not in ("AT_TIMESTAMP", "FROM_TIMESTAMP"):
        raise invalid_argument(f"Invalid ShardFilter type {kind}.")
    moment = millis(shard_filter, "Timestamp")
    alive = [shard for shard in listed if shard.closed is None or shard.closed >= moment]
    return alive if kind == "FROM_TIMESTAMP" else [shard for shard in alive if shard.opened <= moment]


def create_stream(service: Service, request: Request, call: Call) -> Answer:
    name = required(request, "StreamName", str)
    if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,128}", name):
        raise violated("streamName", "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
    on_demand = (request.get("StreamModeDetails") or {}).get("StreamMode") == "ON_DEMAND"
    if on_demand and request.get("ShardCount") is not None:
        raise invalid_argument("ShardCount must not be given for a stream in the on-demand capacity mode.")
    # Four shards: "new data streams created with the on-demand capacity mode have 4 MB/s of write" (quotas and limits).
    shards = 4 if on_demand else whole(request, "ShardCount", None, 1)
    stream = service.create_stream(name, shards, on_demand=on_demand)
    stream.record_bytes = whole(request, "MaxRecordSizeInKiB", 1024, 1024, 10_240) * 1024
    return None


def delete_stream(service: Service, request: Request, call: Call) -> Answer:
    service.delete_stream(service.stream_of(request).name)
    return None


def list_streams(service: Service, request: Request, call: Call) -> Answer:
    after = request.get("NextToken") or request.get("ExclusiveStartStreamName") or ""
    size = min(whole(request, "Limit", 100, 1, 10_000), 100)
    streams = [stream for stream in service.streams() if stream.name > after]
    answer: dict[str, Any] = {
        "StreamNames": [stream.name for stream in streams[:size]],
        "StreamSummaries": [stream.describe() for stream in streams[:size]],
        "HasMoreStreams": len(streams) > size,
    }
    if len(streams) > size:
        answer["NextToken"] = streams[size - 1].name
    return answer


def describe_stream(service: Service, request: Request, call: Call) -> Answer:
    stream = service.stream_of(request)
    size = min(whole(request, "Limit", 100, 1, 10_000), 100)
    after = request.get("ExclusiveStartShardId") or ""
    with stream.lock:
        creating = stream.status() == "CREATING"
        shards = [] if creating else [shard for shard in stream.listed() if shard.id > after]
        described = [shard.describe() for shard in shards[:size]]
    return {
        "StreamDescription": {**_described(service, stream), "Shards": described, "HasMoreShards": len(shards) > size}
    }


def describe_stream_summary(service: Service, request: Request, call: Call) -> Answer:
    stream = service.stream_of(request)
    counts = {"OpenShardCount": len(stream.open()), "ConsumerCount": 0}
    size = {"MaxRecordSizeInKiB": stream.record_bytes // 1024}
    return {"StreamDescriptionSummary": {**_described(service, stream), **counts, **size}}


def _described(service: Service, stream: Stream) -> dict[str, Any]:
    return {
        **stream.describe(),
        "RetentionPeriodHours": stream.retention_hours,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
    }


def split_shard(service: Service, request: Request, call: Call) -> Answer:
    stream, now = _to_reshard(service, request), service.now()
    shard, key = required(request, "ShardToSplit", str), hash_key(request, "NewStartingHashKey")
    with stream.lock:
        stream.require_active()
        stream.split(shard, key, now)
        stream.become("UPDATING", service.transition_seconds)
    return None


def merge_shards(service: Service, request: Request, call: Call) -> Answer:
    stream, now = _to_reshard(service, request), service.now()
    shard, adjacent = required(request, "ShardToMerge", str), required(request, "AdjacentShardToMerge", str)
    with stream.lock:
        stream.require_active()
        stream.merge(shard, adjacent, now)
        stream.become("UPDATING", service.transition_seconds)
    return None


def update_shard_count(service: Service, request: Request, call: Call) -> Answer:
    stream, now = _to_reshard(service, request), service.now()
    target = whole(request, "TargetShardCount", None, 1)
    with stream.lock:
        stream.require_active()
        before = len(stream.open())
        stream.rescale(target, now)
        stream.become("UPDATING", service.transition_seconds)
    return {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "CurrentShardCount": before,
        "TargetShardCount": target,
    }


def _to_reshard(service: Service, request: Request) -> Stream:
    stream = service.stream_of(request)
    stream.require_provisioned()
    return stream


def increase_retention(service: Service, request: Request, call: Call) -> Answer:
    return _set_retention(service, request, longer=True)


def decrease_retention(service: Service, request: Request, call: Call) -> Answer:
    return _set_retention(service, request, longer=False)


def _set_retention(service: Service, request: Request, *, longer: bool) -> Answer:
    stream = service.stream_of(request)
    hours = whole(request, "RetentionPeriodHours", None, 1)
    if not 24 <= hours <= 8760:
        raise invalid_argument(f"Retention period of {hours} hours is not within 24 and 8760 hours.")
    wrong = hours < stream.retention_hours if longer else hours > stream.retention_hours
    if wrong:
        raise invalid_argument(
            f"Requested retention period ({hours} hours) for stream {stream.name} can not be"
            f" {'shorter' if longer else 'longer'} than existing retention period ({stream.retention_hours} hours)."
        )
    stream.retention_hours = hours
    return None
