"""A stream as a Delta table, for Spark 3.5, which has no sources in Python: at its start the job has what was put.

The records are read without Spark, by the reader of `kinesis-exact`, and written without it, by delta-rs: byte for byte
and with their arrival times. The job names them by where they lie in the table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

import kinesis_source
from kinesis_server import KinesisServer

COLUMNS = pa.schema([("data", pa.binary()), ("approximateArrivalTimestamp", pa.timestamp("us", tz="UTC"))])
ALL = {"startingPosition": "trim_horizon", "endingPosition": "latest"}


class StreamTable:
    """Of one stream; each call of `carry` adds what has come since."""

    def __init__(self, folder: Path, server: KinesisServer, stream: str) -> None:
        self.folder = folder
        self._options = {"streamName": stream, "endpointUrl": server.endpoint_url, "region": "us-east-1", **ALL}
        self._carried: set[tuple[Any, ...]] = set()

    def carry(self) -> None:
        new = []
        for record in (record for batch in kinesis_source.read(self._options) for record in batch.to_pylist()):
            place = record["shardId"], record["sequenceNumber"], record["subSequenceNumber"]
            if place not in self._carried:
                self._carried.add(place)
                new.append(record)
        if new or not self.folder.exists():
            write_deltalake(str(self.folder), pa.Table.from_pylist(new, COLUMNS), mode="append")
