"""Every operation by its name on the wire: ``(service, request, call) -> answer``.

An answer is a JSON object, a list of pieces of one, or None (the service then sends no body at all).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import admin, reads, writes
from .journal import Call

if TYPE_CHECKING:
    from .service import Service

Answer = dict[str, Any] | list[bytes] | None

OPERATIONS: dict[str, Callable[[Service, dict[str, Any], Call], Answer]] = {
    "CreateStream": admin.create_stream,
    "DecreaseStreamRetentionPeriod": admin.decrease_retention,
    "DeleteStream": admin.delete_stream,
    "DescribeStream": admin.describe_stream,
    "DescribeStreamSummary": admin.describe_stream_summary,
    "GetRecords": reads.get_records,
    "GetShardIterator": reads.get_shard_iterator,
    "IncreaseStreamRetentionPeriod": admin.increase_retention,
    "ListShards": admin.list_shards,
    "ListStreams": admin.list_streams,
    "MergeShards": admin.merge_shards,
    "PutRecord": writes.put_record,
    "PutRecords": writes.put_records,
    "SplitShard": admin.split_shard,
    "UpdateShardCount": admin.update_shard_count,
}
