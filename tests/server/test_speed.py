"""The server is quick enough to measure a reader with: what it costs is small beside what reading costs."""

from __future__ import annotations

import json
import re
import time
from http.client import HTTPConnection

from kinesis_server import KinesisServer

RECORDS, DATA_BYTES = 200_000, 360


def test_one_core_serves_far_more_than_300000_records_a_second(server: KinesisServer) -> None:
    server.fill("events", data=[b"x" * DATA_BYTES], records_per_shard=RECORDS)
    first = _call(server, "GetShardIterator", StreamName="events", ShardId="shardId-000000000000")
    following = re.findall(rb'"ShardIterator":"([^"]+)"', first)[0]
    size, began = 0, time.process_time()
    while True:
        answer = _call(server, "GetRecords", ShardIterator=following.decode())
        size += len(answer)
        # Not parsed: a reader's own work is not what is measured here.
        following = re.findall(rb'"NextShardIterator":"([^"]+)"', answer[-1000:])[0]
        if b'"MillisBehindLatest":0' in answer[-1000:]:
            break
    spent = time.process_time() - began  # of the server's threads and of this one
    assert size > RECORDS * DATA_BYTES
    assert RECORDS / spent > 300_000


def _call(server: KinesisServer, operation: str, **request: str) -> bytes:
    kind = {"ShardIteratorType": "TRIM_HORIZON"} if operation == "GetShardIterator" else {}
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        headers = {"X-Amz-Target": f"Kinesis_20131202.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        connection.request("POST", "/", json.dumps({**request, **kind}), headers)
        return connection.getresponse().read()
    finally:
        connection.close()
