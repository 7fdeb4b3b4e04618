"""Queries that go beside a lake's job: they fill in what it has left out, while it is stopped, as it would have.

The same pipeline into the same tables, with the lease, but with a checkpoint of its own for each, and an index of all
events that the table has. The job learns at its next start what they have stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pyspark.sql import SparkSession

from event_lake.checkpoint import CheckpointLog
from event_lake.config import ARCHIVE_KINDS, Bytes, Checkpoint, Config
from event_lake.errors import ConfigError
from event_lake.lease import Lease, stopped_lake
from event_lake.metrics import Counts
from event_lake.pipeline import run_beside
from event_lake.stop import StopRequest
from event_lake.storage import Storage

# Of files as they lie there, gzip packed: what is in them goes through memory and disk at once.
MOST_BYTES = Bytes(256 * 1024 * 1024)


def backfill_of(config: Config) -> Config:
    """The configuration of a backfill, made from the job's, of which `source` says what to read. What is read names the
    checkpoint: the same command goes on, another one begins anew. Raises ConfigError."""
    source = config.source
    if source.kind not in ARCHIVE_KINDS:
        raise ConfigError(
            'a backfill reads files or a Delta table: add --set source.kind=files, or "delta", and '
            "--set source.path=..., to the job's own configuration (docs/backfill.md)"
        )
    read = json.dumps([source.kind, source.path.rstrip("/"), source.layout])
    name = hashlib.sha256(read.encode()).hexdigest()[:16]
    own = Checkpoint(f"{config.lake.path.rstrip('/')}_backfill/{name}")
    bounded = source if source.max_bytes.count else replace(source, max_bytes=MOST_BYTES)
    return replace(config, source=bounded, checkpoint=own)


def backfill(spark: SparkSession, config: Config, stop: StopRequest) -> Counts:
    """Reads what the job's configuration names as its source into the job's lake, each record once. Raises the tree of
    `errors`."""
    storage = Storage.of_session(spark)
    own = backfill_of(config)
    if own.source.kind == "files" and not storage.names_any(own.source.path):
        raise ConfigError(f"source.path: there is nothing at {own.source.path}")
    with beside_job(storage, config) as lease:
        return run_beside(spark, own, stop, lease)


@contextmanager
def beside_job(storage: Storage, config: Config) -> Iterator[Lease]:
    """The lease on the lake of a job that is stopped, and that others can go beside. Raises ConfigError where this
    could not be done exactly, LeaseError while the job runs."""
    if config.lake.format != "delta":
        raise ConfigError(
            f'this needs Delta tables, and lake.format is "{config.lake.format}": plain files do not say which of '
            "several queries wrote last, nor what in them is new."
        )
    if config.dedup.engine != "index":
        raise ConfigError(
            'this needs dedup.engine = "index": Spark\'s own operator cannot be given the keys of events that others '
            "have stored, and copies would be stored again."
        )
    job = CheckpointLog(storage, config.checkpoint.path)
    if job.newest_committed() is None:
        raise ConfigError(
            f"the job with the checkpoint {config.checkpoint.path} has stored nothing yet: with a new checkpoint it "
            "would refuse tables that hold something. Run it first, until it has stored a micro-batch "
            "(--until-caught-up); or configure the checkpoint that it has."
        )
    if job.has("state"):
        raise ConfigError(
            f'the checkpoint {config.checkpoint.path} was written with dedup.engine = "spark"; its job could not be '
            'told of what this stores. Recover it with "index" first (docs/operations.md).'
        )
    with stopped_lake(storage, config) as lease:
        yield lease
