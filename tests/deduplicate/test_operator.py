"""One record for each event_uuid passes, and every bad one; by real queries on files of raw records."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from event_lake.checkpoint import CheckpointLog
from event_lake.config import Dedup
from event_lake.deduplicate.operator import OperatorEngine, clamped_arrival, deduplicate, key
from event_lake.errors import ConfigError
from event_lake.parse import parse
from event_lake.schema import PARSED_RECORD, RAW_RECORD
from event_lake.storage import Storage
from records import Record, event_bytes, parsed_frame, raw_record, raw_records, raw_table, rows

WINDOW = timedelta(hours=24)
MARGIN = timedelta(hours=2)


class Stream:
    """A stream of raw records, each put of which becomes one micro-batch, and what the deduplication lets pass."""

    def __init__(self, spark: SparkSession, folder: Path, window: timedelta, margin: timedelta) -> None:
        self._spark = spark
        self._folder = folder
        self._window = window
        self._margin = margin
        self._puts = 0
        self._query: StreamingQuery | None = None
        self.passed: list[dict[str, Any]] = []
        (folder / "input").mkdir()

    def put(self, *records: Record) -> list[dict[str, Any]]:
        """The rows that passed of these records."""
        self._puts += 1
        name = f"{self._puts:04d}.parquet"
        pq.write_table(raw_table(records), self._folder / name)
        os.rename(self._folder / name, self._folder / "input" / name)
        before = len(self.passed)
        self._started().processAllAvailable()
        return self.passed[before:]

    def restart(self) -> None:
        """Ends the query between two micro-batches; the next put starts a new one from the checkpoint."""
        if self._query is not None:
            self._query.stop()
            self._query = None

    def progress(self) -> Any:
        return self._started().lastProgress

    def late(self) -> int:
        """Rows that the watermark has dropped, in all micro-batches since the last start."""
        operators = [progress["stateOperators"][0] for progress in self._started().recentProgress]
        return sum(operator["numRowsDroppedByWatermark"] for operator in operators)

    def _started(self) -> StreamingQuery:
        if self._query is None:
            raw = self._spark.readStream.schema(RAW_RECORD).parquet(str(self._folder / "input"))
            self._query = (
                deduplicate(parse(raw), self._window, self._margin)
                .writeStream.foreachBatch(self._collect)
                .option("checkpointLocation", str(self._folder / "checkpoint"))
                .start()
            )
        return self._query

    def _collect(self, batch: DataFrame, _: int) -> None:
        assert batch.schema.fieldNames() == PARSED_RECORD.fieldNames()
        self.passed += rows(batch)


@pytest.fixture
def stream(spark: SparkSession, tmp_path: Path) -> Iterator[Callable[..., Stream]]:
    made: list[Stream] = []

    def make(window: timedelta = WINDOW, margin: timedelta = MARGIN) -> Stream:
        made.append(Stream(spark, tmp_path, window, margin))
        return made[-1]

    yield make
    for one in made:
        one.restart()


def now() -> datetime:
    return datetime.now(UTC)


def record(uuid: str, place: int, arrived: datetime | None = None, **overrides: object) -> dict[str, Any]:
    """A good event in its own place in the stream, just arrived."""
    overrides = {"approximateArrivalTimestamp": arrived or now(), "sequenceNumber": str(place), **overrides}
    return raw_record(data=event_bytes(event_uuid=uuid, place=place), **overrides)


def uuids(found: list[dict[str, Any]]) -> list[str]:
    return sorted(row["event_uuid"] for row in found)


# Every bad record passes


def test_bad_records_without_a_uuid_all_pass(stream: Callable[..., Stream]) -> None:
    nothing = stream()
    bad = raw_records([b"", b"", b"{", b"{", b"{}", b"{}", *[b"same"] * 50])
    bad += raw_records([b"same"] * 10, shardId="shardId-000000000001")
    # one Kinesis record of the KPL holds many; files name no shard
    bad += [raw_record(data=b"same", sequenceNumber="9", subSequenceNumber=number) for number in range(10)]
    bad += raw_records([b"same"] * 10, shardId=None)
    found = nothing.put(*bad)
    assert len(found) == len(bad)
    assert Counter(row["data"] for row in found) == Counter(one["data"] for one in bad)
    again = raw_records([b"same"] * 20, shardId="shardId-000000000002")
    assert len(nothing.put(*again)) == 20


def test_a_bad_record_and_a_good_one_of_the_same_uuid_never_collide(stream: Callable[..., Stream]) -> None:
    mixed = stream()
    broken = event_bytes(event_uuid="one", created_at=None)
    first = mixed.put(record("one", 1), *raw_records([broken, broken]))
    assert Counter(row["problem"] for row in first) == {None: 1, "created_at_missing": 2}
    # an event_uuid that looks like the key of a bad record
    places = [f"b:{row['shard_id']}:{row['sequence_number']}:0" for row in first if row["problem"]]
    found = mixed.put(record("one", 2), *[record(place, 3) for place in places], raw_record(data=broken))
    assert [row["problem"] for row in found if row["event_uuid"] == "one"] == ["created_at_missing"]
    assert uuids(found) == sorted([*places, "one"])


# Of good ones, one copy passes


def test_copies_in_one_micro_batch_in_later_ones_in_another_shard_and_after_a_restart_are_dropped(
    stream: Callable[..., Stream],
) -> None:
    copies = stream()
    other = "shardId-000000000001"
    assert uuids(copies.put(record("a", 1), record("a", 2), record("a", 3, shardId=other), record("b", 4))) == [
        "a",
        "b",
    ]
    assert uuids(copies.put(record("b", 5), record("b", 6, shardId=other), record("c", 7))) == ["c"]
    assert copies.progress()["stateOperators"][0]["customMetrics"]["numDroppedDuplicateRows"] == 2
    copies.restart()
    assert uuids(copies.put(record("a", 8), record("b", 9), record("c", 10), record("d", 11))) == ["d"]
    copies.restart()
    assert copies.put(record("a", 12), record("b", 13), record("c", 14), record("d", 15)) == []
    assert uuids(copies.passed) == ["a", "b", "c", "d"]


def test_uuids_that_differ_at_all_are_different_events(stream: Callable[..., Stream]) -> None:
    alike = ["a", "A", "a ", " a", "a\x00", "a\n", "á", "a\u0301", "g:a", "u" * 255, "u" * 256]
    found = stream().put(*[record(uuid, place) for place, uuid in enumerate(alike)])
    assert uuids(found) == sorted(alike)


# Nothing is ever late


def test_records_30_hours_old_are_not_late_after_fresh_ones_and_their_copies_are_found(
    stream: Callable[..., Stream],
) -> None:
    backlog = stream()
    old = now() - timedelta(hours=30)
    assert uuids(backlog.put(record("fresh", 1), record("copied", 2))) == ["copied", "fresh"]
    backlog.put(record("fresher", 0))  # Spark drops as late what was behind the watermark one micro-batch ago
    found = backlog.put(record("old", 3, old), record("old", 4, old), record("copied", 5, old), record("older", 6, old))
    assert uuids(found) == ["old", "older"]
    watermark = datetime.fromisoformat(backlog.progress()["eventTime"]["watermark"])
    assert watermark > old, "the watermark must have passed these records, else nothing was shown"
    long_ago = now() - timedelta(days=60)
    assert uuids(backlog.put(record("older", 7, long_ago), record("oldest", 8, long_ago))) == ["oldest"]
    assert uuids(backlog.put(record("oldest", 9), record("old", 10), record("new", 11))) == ["new"]
    assert backlog.late() == 0


def test_a_wrong_clock_at_the_producer_side_makes_no_record_late(stream: Callable[..., Stream]) -> None:
    skewed = stream()
    future = now() + timedelta(days=400)
    assert uuids(skewed.put(record("future", 1, future))) == ["future"]
    assert uuids(skewed.put(record("now", 2), record("future", 3), record("no arrival", 4))) == ["no arrival", "now"]
    assert skewed.late() == 0


def test_keys_are_forgotten_once_no_copy_is_expected(stream: Callable[..., Stream]) -> None:
    short = stream(window=timedelta(seconds=1), margin=timedelta(seconds=0))
    short.put(record("first", 0))
    for place in range(1, 60):  # time passes, as much as this machine needs
        short.put(record(f"later {place}", place))
        if short.progress()["stateOperators"][0]["numRowsRemoved"]:
            break
    else:
        pytest.fail("no key was removed from the state")
    assert short.late() == 0


# The columns it works on


def test_the_event_time_is_arrival_between_the_window_and_now(spark: SparkSession) -> None:
    arrivals = spark.sql(
        "SELECT hours, current_timestamp() + hours * INTERVAL '1' HOUR AS arrived_at "
        "FROM VALUES (9600), (5), (0), (-23), (-24), (-25), (-9600), (NULL) AS arrivals(hours)"
    )
    behind = F.unix_micros(F.current_timestamp()) - F.unix_micros(clamped_arrival(WINDOW))
    found = {row["hours"]: row["behind"] / 3_600_000_000 for row in arrivals.withColumn("behind", behind).collect()}
    assert found == {9600: 0, 5: 0, 0: 0, -23: 23, -24: 24, -25: 24, -9600: 24, None: 0}


def test_no_key_is_ever_null(spark: SparkSession) -> None:
    nothing = dict.fromkeys(RAW_RECORD.fieldNames())
    keys = parsed_frame(spark, [nothing, raw_record(), raw_record(data=None)]).select(key().alias("key")).collect()
    assert [row["key"] for row in keys] == [
        "b:::",
        "g:1234567890",
        "b:shardId-000000000000:49590338271490256608559692538361571095921575989136588802:0",
    ]


def test_killed_in_its_first_micro_batch_before_it_wrote_state_it_starts_again(
    spark: SparkSession, storage: Storage, tmp_path: Path
) -> None:
    log = CheckpointLog(storage, tmp_path.as_uri())
    engine = OperatorEngine(spark, log, Dedup(engine="spark"))

    def plan(batch_id: int) -> None:
        (tmp_path / "offsets").mkdir(exist_ok=True)
        planned = json.dumps({"batchWatermarkMs": 0, "batchTimestampMs": 1_700_000_000_000})
        (tmp_path / "offsets" / str(batch_id)).write_text(f"v1\n{planned}\n{{}}")

    plan(0)
    engine.open()
    plan(1)  # the first one is done, and must have left state
    with pytest.raises(ConfigError, match='was written with "index"'):
        engine.open()
    (tmp_path / "offsets" / "1").unlink()
    (tmp_path / "seen").mkdir()
    (tmp_path / "seen" / "segments").mkdir()  # the other engine was killed in its first micro-batch
    with pytest.raises(ConfigError, match='was written with "index"'):
        engine.open()
