"""A stream as files, for Spark 3.5, which has no source in Python: what a test has put is there at the job's start.

The records are read without Spark, by the reader of `kinesis-exact`. A line is a record, a file what arrived within a
second, and its time is that of the first of them: the job takes it for their arrival.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import kinesis_source
from kinesis_server import KinesisServer


class StreamFiles:
    """Of one stream; each call of `carry` adds what has come since."""

    def __init__(self, folder: Path, server: KinesisServer, stream: str) -> None:
        self.folder = folder
        self._options = {"streamName": stream, "endpointUrl": server.endpoint_url, "region": "us-east-1"}
        self._carried: set[tuple[str, str]] = set()
        folder.mkdir()

    def carry(self) -> None:
        by_second: dict[int, list[dict[str, object]]] = defaultdict(list)
        bounds = {"startingPosition": "trim_horizon", "endingPosition": "latest"}
        for batch in kinesis_source.read({**self._options, **bounds}):
            for record in batch.to_pylist():
                place = (record["shardId"], record["sequenceNumber"])
                if place not in self._carried:
                    self._carried.add(place)
                    by_second[int(record["approximateArrivalTimestamp"].timestamp())].append(record)
        for second, records in by_second.items():
            self._write(f"{second}-{len(self._carried)}.jsonl", records)

    def _write(self, name: str, records: list[dict[str, object]]) -> None:
        lines = [record["data"] for record in records]
        assert not any(b"\n" in line for line in lines), "a record with a line end in it is no line"
        hidden = self.folder / f".{name}"
        hidden.write_bytes(b"".join(line + b"\n" for line in lines))
        arrived = records[0]["approximateArrivalTimestamp"].timestamp()
        os.utime(hidden, (arrived, arrived))
        hidden.rename(self.folder / name)
