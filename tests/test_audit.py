"""The audit against lakes that are right, and against lakes that were broken on purpose."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

import traffic
from event_lake.audit import Asked, Audit, Report
from kinesis_server import KinesisServer
from lake import LakeHouse, event

EVERYTHING = "trim_horizon"


def audited(spark: SparkSession, house: LakeHouse, since: str | None = EVERYTHING, **overrides: str) -> Report:
    with Audit(spark, house.config(**overrides), Asked(since)) as audit:
        return audit.report(audit.find())


def right(report: Report) -> bool:
    sums = report.stored + report.duplicates + report.quarantined
    return report.exit_code == 0 and report.received == sums and not report.findings


@pytest.fixture(scope="module")
def traffic_house(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LakeHouse, list[Any]]]:
    """Mixed traffic in a stream and the lake that the job made of it."""
    with KinesisServer() as server:
        server.create_stream("events", 2)
        house = LakeHouse(tmp_path_factory.mktemp("audited"), server)
        puts = list(traffic.generate(1500, duplicates=0.1, broken=0.1, seed=5, now=time.time()))
        for put in puts:
            server.put("events", put.data, partition_key=put.partition_key)
        house.run(spark)
        yield house, puts


def test_a_right_lake_is_found_to_be_right(spark: SparkSession, traffic_house: tuple[LakeHouse, list[Any]]) -> None:
    house, puts = traffic_house
    report = audited(spark, house)
    assert right(report), report
    assert report.received == len(puts)
    assert report.quarantined == sum(put.problem is not None for put in puts)
    assert (report.stored, report.duplicates) == (len(house.events()), len(house.duplicates()))
    print(report.copies)
