"""A reading process: takes shares on standard input, says that it is ready, reads when it is let go, and so on.

A share is ("reader", a batch or stream reader, a partition), ("boto3", options, (its number, number of processes)) or
("nothing", a reader, None).
"""

from __future__ import annotations

import base64
import json
import pickle
import resource
import signal
import sys
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.compute as pc

LIMIT_SECONDS = 300


def main() -> None:
    signal.alarm(LIMIT_SECONDS)
    while line := sys.stdin.readline():
        way, what, share = pickle.loads(base64.b64decode(line))
        read = {"reader": read_partition, "boto3": read_plainly, "nothing": read_nothing}[way]
        print("ready", flush=True)
        sys.stdin.readline()
        before = _cpu()
        records, data_bytes = read(what, share)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        told = {"records": records, "data_bytes": data_bytes, "cpu_seconds": _cpu() - before, "peak_mib": peak}
        print(json.dumps(told), flush=True)


def read_partition(reader: Any, partition: Any) -> tuple[int, int]:
    """As a Python worker of Spark does: record batches, written as an Arrow stream."""
    records = data_bytes = 0
    with pa.OSFile("/dev/null", "wb") as nowhere:
        writer = None
        for batch in reader.read(partition):
            writer = writer or pa.ipc.new_stream(nowhere, batch.schema)
            writer.write_batch(batch)
            records += batch.num_rows
            data_bytes += pc.sum(pc.binary_length(batch.column("data"))).as_py() or 0
    return records, data_bytes


def read_nothing(reader: Any, share: Any) -> tuple[int, int]:
    """Unpickling it has imported what reading needs."""
    return 0, 0


def read_plainly(options: dict[str, str], share: tuple[int, int]) -> tuple[int, int]:
    """What a person writes who has boto3 and a stream; records are counted and thrown away."""
    client = boto3.client("kinesis", region_name=options["region"], endpoint_url=options["endpointUrl"])
    pages = client.get_paginator("list_shards").paginate(StreamName=options["streamName"])
    shards = [shard["ShardId"] for page in pages for shard in page["Shards"]]
    records = data_bytes = 0
    for shard in shards[share[0] :: share[1]]:
        where = {"StreamName": options["streamName"], "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        following = client.get_shard_iterator(**where)["ShardIterator"]
        while following:
            page = client.get_records(ShardIterator=following)
            records += len(page["Records"])
            data_bytes += sum(len(record["Data"]) for record in page["Records"])
            following = page.get("NextShardIterator") if page["MillisBehindLatest"] else None
    return records, data_bytes


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
