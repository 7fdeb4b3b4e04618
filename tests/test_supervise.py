"""What a driver says of a query that failed: a real query, that another driver's log entry stops."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from pyspark.sql import SparkSession

from event_lake.batch import BatchWriter
from event_lake.errors import EventLakeError, LeaseError
from event_lake.lease import Lease, lease_of
from event_lake.stop import StopRequest
from event_lake.storage import Storage
from event_lake.supervise import supervise
from kinesis_server import KinesisServer
from lake import LakeHouse, until


@pytest.fixture
def house(tmp_path: Path) -> LakeHouse:
    with KinesisServer() as server:
        return LakeHouse(tmp_path, server)


def test_a_query_that_failed_for_another_driver_tells_who_has_the_lease(
    spark: SparkSession, storage: Storage, house: LakeHouse
) -> None:
    lease, other = _acquired(storage, house), lease_of(storage, house.config())
    assert other.acquire(lambda: False)
    with pytest.raises(LeaseError, match=r"does not hold the lease .* it is held by host=\S+ pid=\d+"):
        _supervise_beside_another(spark, storage, house, lease)


def test_a_query_that_failed_while_the_lease_is_held_tells_what_failed(
    spark: SparkSession, storage: Storage, house: LakeHouse
) -> None:
    with _acquired(storage, house) as lease, pytest.raises(EventLakeError, match=r"CONCURRENT_STREAM_LOG_UPDATE"):
        _supervise_beside_another(spark, storage, house, lease)


def _acquired(storage: Storage, house: LakeHouse) -> Lease:
    lease = lease_of(storage, house.config())
    assert lease.acquire(lambda: False)
    return lease


def _supervise_beside_another(spark: SparkSession, storage: Storage, house: LakeHouse, lease: Lease) -> None:
    """A query whose next micro-batches are planned by somebody else, watched until it ends."""
    rows = spark.readStream.format("rate").option("rowsPerSecond", 1).load()
    query = (
        rows.writeStream.option("checkpointLocation", house.checkpoint_path.as_uri())
        .trigger(processingTime="1 second")
        .foreachBatch(lambda batch, batch_id: None)
        .start()
    )
    try:
        committed = house.checkpoint_path / "commits" / "0"
        until(committed.exists)
        for number in range(1, 10):
            with suppress(FileExistsError), (house.checkpoint_path / "offsets" / str(number)).open("x") as file:
                file.write((house.checkpoint_path / "offsets" / "0").read_text())
        stop = StopRequest(storage, house.config().checkpoint.path)
        # As the writer is while Spark fails on its own.
        writer = SimpleNamespace(busy=False, finished=None, stopping=False, failure=None)
        supervise(query, cast(BatchWriter, writer), stop, lease, lambda: False)
    finally:
        query.stop()
