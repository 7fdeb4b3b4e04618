"""The end of everything that has arrived in a stream by now, found by reading each shard to its tip, not by a clock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from kinesis_source.client import KinesisClient
from kinesis_source.errors import UnavailableError
from kinesis_source.lineage import describe
from kinesis_source.options import Options
from kinesis_source.position import END, TRIM_HORIZON, Position, StreamOffset, after, at_time, format_time
from kinesis_source.shards import Shard, ShardCursor, list_shards

THREADS = 16


def find_tip(client: KinesisClient, options: Options) -> StreamOffset:
    shards = list_shards(client)
    # A record may be seen a moment after the time that it arrived at.
    through = format_time(client.clock.now() - options.hold_back_seconds)
    with ThreadPoolExecutor(THREADS) as pool:
        tips = pool.map(lambda shard: _tip_of(client, options, shard), shards.values())
        ends = dict(zip(shards, tips, strict=True))
    if TRIM_HORIZON not in ends.values():
        return StreamOffset(options.stream_name, ends, through)
    # After the look: what has expired before it is then older than this.
    kept_since = format_time(client.clock.now() - describe(client).retention_seconds)
    return StreamOffset(options.stream_name, ends, through, kept_since=kept_since)


def _tip_of(client: KinesisClient, options: Options, shard: Shard) -> Position:
    if shard.closed:
        return END
    now = client.clock.now()
    starts = [at_time(now - back) for back in (10, 60, 600, 3600, 21600, 86400)]
    for start in [*starts, TRIM_HORIZON]:
        last = _last_record(ShardCursor(client, shard.shard_id, start), options)
        if last is not None:
            return last
    return TRIM_HORIZON


def _last_record(cursor: ShardCursor, options: Options) -> Position | None:
    last: Position | None = None
    empty = 0
    while True:
        page = cursor.read()
        if page.records:
            last, empty = after(page.records[-1]["SequenceNumber"]), 0
        if page.at_end:
            return END
        if page.at_tip:
            return last
        empty += not page.records
        if empty > options.retry_seconds:
            raise UnavailableError(
                f"shard {cursor.shard_id} of stream {options.stream}: {empty} empty answers in a row on the way to its "
                "tip. Nothing is lost; start again, with a longer retrySeconds if it happens often."
            )
