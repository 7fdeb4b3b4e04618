"""What is to be seen in each lane: the lanes themselves, and what stands in for what Spark 4.1 brought."""

from __future__ import annotations

import re

import pyarrow as pa
import pyspark
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from event_lake.errors import ConfigError
from event_lake.spark_api import frame_of, in_tasks, table_of
from lake import LakeHouse, event, uuids
from lanes import LANE, LEFT_OUT, ROOT


def test_the_spark_that_runs_is_that_of_the_lane() -> None:
    assert pyspark.__version__.startswith(f"{LANE}.")


def test_whatever_a_lane_leaves_out_is_in_the_suite() -> None:
    for name in (name for lane in LEFT_OUT.values() for names in lane.values() for name in names):
        file, _, test = name.partition("[")[0].partition("::")
        assert (ROOT / "tests" / file).exists(), name
        assert not test or re.search(rf"^def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), name


@pytest.mark.parametrize("tasks", [1, 3, 64])
def test_each_row_comes_into_the_task_of_its_number(spark: SparkSession, tasks: int) -> None:
    rows = spark.range(200).select(F.expr(f"cast(id % {tasks} as int)").alias("task"))
    placed = in_tasks(rows, tasks, F.col("task"))
    assert placed.where(F.spark_partition_id() != F.col("task")).count() == 0
    assert placed.count() == 200


def test_arrow_comes_into_a_frame_and_out_of_it_as_it_is(spark: SparkSession) -> None:
    moment = pa.array([1_000_001, None], pa.timestamp("us", tz="UTC"))
    text, numbers = pa.array(["ü", None]), pa.array([[1, 2], None], pa.list_(pa.int32()))
    table = pa.table({"data": pa.array([b"\xff", None]), "at": moment, "text": text, "numbers": numbers})
    assert table_of(frame_of(spark, table)).to_pylist() == table.to_pylist()
    nothing = table_of(frame_of(spark, table).where("false"))
    assert (nothing.num_rows, nothing.column_names) == (0, table.column_names)


def test_kinesis_is_refused_with_the_way_on(spark: SparkSession, house: LakeHouse) -> None:
    with pytest.raises(ConfigError, match=r'source\.kind is "kinesis".*Spark 3\.5\.6.*aws-kinesis.*glue-kinesis'):
        house.run(spark, source_kind="kinesis")
    with house.submit(source_kind="kinesis") as job:
        assert job.wait() == 2, job.output()
    assert "Nothing was read" in job.output()
    assert not house.events_path.exists()


def test_killed_with_kill_9_under_spark_submit_every_event_is_there_once(house: LakeHouse) -> None:
    # The micro-batch is planned; and quarantine has its part of it, which the events table may not have yet.
    moments = [house.checkpoint_path / "offsets" / "0", house.quarantine_path / "_delta_log" / f"{1:020}.json"]
    folder = house.folder / "lines"
    folder.mkdir()
    for name, numbers in (("1.json", range(150)), ("2.json", range(50, 200))):
        (folder / name).write_bytes(b"".join(event(number) + b"\n" for number in numbers) + b"broken\n")
    lines = {"source_kind": "files", "source_path": folder.as_uri()}
    for moment in moments:
        with house.submit(**lines) as job:
            job.until(moment.exists)
            job.kill()
    with house.submit("--until-caught-up", **lines) as job:
        assert job.wait() == 0, job.output()
    assert house.uuids() == uuids(range(200))
    assert [row["data"] for row in house.quarantine()] == [b"broken"] * 2
    if house.lists_duplicates:
        assert sorted(row["event_uuid"] for row in house.duplicates()) == uuids(range(50, 150))
