"""A micro-batch reaches both tables once, in every format, whatever is replayed; read back by readers nobody here
wrote: delta-rs, pyarrow and DuckDB."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from event_lake.config import Bytes, Lake
from event_lake.delta_log import DeltaLog, newest_snapshot
from event_lake.errors import DataLossError
from event_lake.file_table import FileTableWriter
from event_lake.mark import BatchMark
from event_lake.placement import Volume, placed, volumes
from event_lake.schema import EVENTS, EVENTS_PARTITIONS, QUARANTINE, QUARANTINE_PARTITIONS
from event_lake.sink import EventSink
from event_lake.storage import Storage
from records import ARRIVED, Record, event_bytes, judged_frame, raw_record, raw_records

Rows = list[dict[str, Any]]

FORMATS = ("delta", "parquet", "json")
WRITERS = ("delta", "parquet")  # JSON goes the way of Parquet
STORED = datetime(2022, 2, 14, 12, 1, 0, 500_000, UTC)
QUERY = "0b6c1f0e-7d1c-4f43-9a55-2a1f3e9f7f10"
THROUGH = "2022-02-14T12:00:30+00:00"


def mark(batch_id: int, offset: int | None = None, query_id: str = QUERY) -> BatchMark:
    end_offset = json.dumps({"logOffset": batch_id if offset is None else offset})
    return BatchMark(query_id, batch_id, end_offset, complete_through=THROUGH)


class TwoTables:
    """The events and the quarantine of one format in a temporary folder."""

    def __init__(self, spark: SparkSession, folder: Path, file_format: str, target: int) -> None:
        self._spark = spark
        self.events_path = folder / "events"
        self.quarantine_path = folder / "quarantine"
        self.format = file_format
        self.duplicates_path = folder / "duplicates"
        self.lake = Lake(
            path=str(self.events_path),
            quarantine_path=str(self.quarantine_path),
            duplicates_path=str(self.duplicates_path),
            gaps_path=str(folder / "gaps"),
            format=file_format,
            target_file_size=Bytes(target),
        )
        self.sink = EventSink(spark, Storage.of_session(spark), self.lake)
        self.sink.create()

    def write(self, records: Iterable[Record], mark: BatchMark) -> None:
        batch = judged_frame(self._spark, records).persist()
        try:
            self.sink.write(batch, volumes(batch), mark, STORED)
        finally:
            batch.unpersist()

    def events(self) -> Rows:
        return READERS[self.format](self.events_path, EVENTS_PARTITIONS)

    def quarantine(self) -> Rows:
        return READERS[self.format](self.quarantine_path, QUARANTINE_PARTITIONS)

    def uuids(self) -> list[str]:
        return sorted(row["event_uuid"] for row in self.events())

    def problems(self) -> list[str]:
        return sorted(row["problem"] for row in self.quarantine())


def read_delta(path: Path, _: tuple[str, ...]) -> Rows:
    found: Rows = DeltaTable(str(path)).to_pyarrow_table().to_pylist()
    return found


def read_parquet(path: Path, partitions: tuple[str, ...]) -> Rows:
    types = {name: pa.date32() if name == "date" else pa.string() for name in partitions}
    dataset = ds.dataset(path, format="parquet", partitioning=ds.partitioning(pa.schema(types), flavor="hive"))
    found: Rows = dataset.to_table().to_pylist()
    return found


def read_json(path: Path, partitions: tuple[str, ...]) -> Rows:
    """With the types that whoever reads the columns would give them; binary columns are base64."""
    types = {"date": "DATE", "timestamp": "TIMESTAMPTZ", "bigint": "BIGINT"}
    schema = EVENTS if partitions == EVENTS_PARTITIONS else QUARANTINE
    wanted = {field.name: types.get(field.dataType.simpleString(), "VARCHAR") for field in schema}
    in_files = {name: kind for name, kind in wanted.items() if name not in partitions}
    in_path = {name: kind for name, kind in wanted.items() if name in partitions}
    if not list(path.glob("*=*/*=*/*.json")):
        return []
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.sql(
            f"SELECT {', '.join(wanted)} FROM read_json('{path}/*=*/*=*/*.json', format = 'newline_delimited', "
            f"columns = {in_files}, hive_partitioning = true, hive_types = {in_path})"
        )
        rows = found.to_arrow_table().to_pylist()
    return [{**row, "data": base64.b64decode(row["data"])} if "data" in row else row for row in rows]


READERS: dict[str, Callable[[Path, tuple[str, ...]], Rows]] = {
    "delta": read_delta,
    "parquet": read_parquet,
    "json": read_json,
}


@pytest.fixture
def tables(spark: SparkSession, tmp_path: Path) -> Callable[..., TwoTables]:
    def make(file_format: str = "delta", target: int = 128 * 1024 * 1024, folder: Path = tmp_path) -> TwoTables:
        return TwoTables(spark, folder, file_format, target)

    return make


def good(*uuids: str, name: str = "lesson:started") -> list[dict[str, Any]]:
    return raw_records([event_bytes(event_uuid=uuid, event_name=name) for uuid in uuids])


def bad(*data: bytes) -> list[dict[str, Any]]:
    return raw_records(data or [b"{"], shardId="shardId-000000000001")


def data_files(path: Path) -> list[Path]:
    """Files with rows in them: neither log nor manifest nor checksum."""
    found = [file for file in path.rglob("*") if file.is_file()]
    return sorted(f for f in found if not any(p[0] in "_." for p in f.relative_to(path).parts))


def contents(lake: TwoTables) -> dict[str, str]:
    """Every file below both tables, log and manifests too, by a hash of its bytes."""
    root = lake.events_path.parent
    files = [file for path in (lake.events_path, lake.quarantine_path) for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


# What is written


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_has_the_same_columns_values_and_partitions(
    tables: Callable[..., TwoTables], file_format: str
) -> None:
    lake = tables(file_format)
    payload = (
        b'{"event_uuid": "1", "event_name":"payment:order:\\u00e9" ,"created_at":1644839990.250001, "x":"\xc3\xa9\\n"}'
    )
    broken = b'{"event_uuid":"2","event_name":"lesson:started","created_at":"\xe2\x82\xac"}'
    place = {"shardId": "shardId-000000000007", "sequenceNumber": "49", "subSequenceNumber": 3}
    lake.write(
        [raw_record(data=payload, **place), raw_record(data=broken, **place), raw_record(data=b"\xff\x00")], mark(0)
    )

    assert lake.events() == [
        {
            "event_uuid": "1",
            "event_name": "payment:order:é",
            "event_type": "payment",
            "event_subtype": "order",
            "created_at": 1644839990,
            "created_datetime": datetime(2022, 2, 14, 11, 59, 50, 250_001, UTC),
            "payload": payload.decode(),
            "arrived_at": ARRIVED,
            "stored_at": STORED,
            "shard_id": "shardId-000000000007",
            "sequence_number": "49",
            "sub_sequence_number": 3,
            "date": date(2022, 2, 14),
        }
    ]
    (wrong,) = [row for row in lake.quarantine() if row["problem"] == "created_at_not_number"]
    assert wrong == {
        "problem": "created_at_not_number",
        "detail": "created_at is '€'",
        "data": broken,
        "event_uuid": "2",
        "event_name": "lesson:started",
        "arrived_at": ARRIVED,
        "stored_at": STORED,
        "shard_id": "shardId-000000000007",
        "sequence_number": "49",
        "sub_sequence_number": 3,
        "date": date(2022, 2, 14),
    }
    (noise,) = [row for row in lake.quarantine() if row["problem"] == "not_json"]
    assert (noise["data"], noise["event_uuid"], noise["event_name"]) == (b"\xff\x00", None, None)
    folders = {str(file.parent.relative_to(lake.events_path.parent)) for file in data_files(lake.events_path.parent)}
    assert folders == {
        "events/event_type=payment/date=2022-02-14",
        "quarantine/date=2022-02-14/problem=created_at_not_number",
        "quarantine/date=2022-02-14/problem=not_json",
    }


def test_the_delta_tables_have_the_columns_of_the_contract_in_their_order(tables: Callable[..., TwoTables]) -> None:
    lake = tables("delta")
    for path, schema, partitions in (
        (lake.events_path, EVENTS, EVENTS_PARTITIONS),
        (lake.quarantine_path, QUARANTINE, QUARANTINE_PARTITIONS),
    ):
        table = DeltaTable(str(path))
        assert [field.name for field in table.schema().fields] == schema.fieldNames()
        assert table.metadata().partition_columns == list(partitions)


@pytest.mark.parametrize(
    "left", ["", "_staged_commits/", f".{0:020d}.json.1f2e.tmp"], ids=["folder", "folders", "half"]
)
def test_a_table_whose_maker_was_killed_before_its_first_commit_is_made(
    tables: Callable[..., TwoTables], tmp_path: Path, left: str
) -> None:
    half_made = tmp_path / "events" / "_delta_log" / left
    (half_made if left.endswith("/") else half_made.parent).mkdir(parents=True)
    if left.startswith("."):
        half_made.write_text('{"commitInfo":')
    lake = tables("delta")
    lake.write(good("a"), mark(0))
    assert lake.uuids() == ["a"]


def test_a_log_with_a_checkpoint_whose_last_commit_lacks_its_checksum_is_read_in_a_thread_without_a_session(
    spark: SparkSession, tables: Callable[..., TwoTables]
) -> None:
    lake = tables("delta")
    path = str(lake.events_path)
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('delta.checkpointInterval' = '2')")
    for number in range(2):
        lake.write(good(f"{number}"), mark(number))
    assert len(list(lake.events_path.glob("_delta_log/*.checkpoint.parquet"))) == 1
    # As kill -9 right behind the commit leaves it.
    (lake.events_path / "_delta_log" / f"{newest_snapshot(spark, path).version():020d}.crc").unlink()
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr]
    log = DeltaLog(spark, Storage.of_session(spark), path)
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(log.last_versions, "event-lake-events-").result() == {QUERY: 1}


def test_json_lines_have_times_as_iso_8601_with_z_and_nulls_written_out(tables: Callable[..., TwoTables]) -> None:
    lake = tables("json")
    lake.write([raw_record(data=event_bytes(event_name="lesson", created_at=1644839990.25))], mark(0))
    (file,) = data_files(lake.events_path)
    (row,) = [json.loads(line) for line in file.read_text().splitlines()]
    assert row["created_datetime"] == "2022-02-14T11:59:50.250000Z"
    assert row["arrived_at"] == "2022-02-14T12:00:00.000000Z"
    assert row["stored_at"] == "2022-02-14T12:01:00.500000Z"
    assert row["event_subtype"] is None
    assert set(row) == set(EVENTS.fieldNames()) - set(EVENTS_PARTITIONS)


def test_the_date_is_that_of_utc_on_both_sides_of_midnight(tables: Callable[..., TwoTables]) -> None:
    lake = tables("parquet")
    midnight = 1644796800  # 2022-02-14T00:00:00Z
    times = {"before": f"{midnight - 1}.999999", "after": midnight, "first": 946684800}
    lake.write(raw_records([event_bytes(event_uuid=uuid, created_at=at) for uuid, at in times.items()]), mark(0))
    assert {row["event_uuid"]: row["date"] for row in lake.events()} == {
        "before": date(2022, 2, 13),
        "after": date(2022, 2, 14),
        "first": date(2000, 1, 1),
    }


@pytest.mark.parametrize("file_format", WRITERS)
def test_a_micro_batch_of_bad_records_only_or_of_none_is_written_too(
    tables: Callable[..., TwoTables], file_format: str
) -> None:
    lake = tables(file_format)
    lake.write(bad(b"{", b""), mark(0))
    lake.write([], mark(1))
    lake.write(good("a"), mark(2))
    lake.write([raw_record(data=b"no arrival", approximateArrivalTimestamp=None)], mark(3))
    assert lake.uuids() == ["a"]
    assert lake.problems() == ["empty", "not_json", "not_json"]


# Files


@pytest.mark.parametrize(("file_format", "types"), [("delta", 7), ("json", 7), ("parquet", 70)])
def test_a_micro_batch_makes_one_file_a_partition(
    tables: Callable[..., TwoTables], file_format: str, types: int
) -> None:
    lake = tables(file_format)
    events = [event_bytes(event_uuid=f"{number}", event_name=f"type{number % types}:x") for number in range(3 * types)]
    for batch_id in range(2):
        lake.write([*raw_records(events), *bad(b"{", b"", b"[]"), *bad(b"{", b"", b"[]")], mark(batch_id))
        partitions = Counter(file.parent.parent.name for file in data_files(lake.events_path))
        assert partitions == {f"event_type=type{number}": batch_id + 1 for number in range(types)}
        assert len(data_files(lake.quarantine_path)) == 3 * (batch_id + 1)
    assert len(lake.events()) == 6 * types
    assert len(lake.quarantine()) == 12


def test_a_partition_bigger_than_a_file_should_be_is_spread_over_several_and_the_others_are_not(
    tables: Callable[..., TwoTables],
) -> None:
    target = 20_000
    lake = tables("parquet", target=target)
    sizes = {"small": 0.9, "double": 1.5, "triple": 2.5, "many": 5.5}
    records = []
    for name, files in sizes.items():
        padding = {"padding": "x" * 400}
        count = int(files * target / len(event_bytes(event_uuid="00000", event_name=name, **padding)))
        records += [event_bytes(event_uuid=f"{n:05}", event_name=name, **padding) for n in range(count)]
    lake.write(raw_records(records), mark(0))

    assert Counter(row["payload"].encode() for row in lake.events()) == Counter(records)
    content: dict[str, list[int]] = {name: [] for name in sizes}
    for file in data_files(lake.events_path):
        payloads = pq.ParquetFile(file).read(["payload"]).column(0).to_pylist()
        content[file.parent.parent.name.partition("=")[2]].append(sum(map(len, payloads)))
    assert len(content["small"]) == 1
    for name in ("double", "triple", "many"):
        assert len(content[name]) > 1, f"{name} is in one file: {content}"
        assert max(content[name]) <= 2 * target, f"a file of {name} is far too big: {content}"


def test_identical_bad_records_are_spread_as_well(tables: Callable[..., TwoTables]) -> None:
    lake = tables("parquet", target=20_000)
    lake.write(bad(*[b"broken" * 100] * 200), mark(0))
    assert len(lake.quarantine()) == 200
    assert len(data_files(lake.quarantine_path)) > 1


@given(st.lists(st.integers(0, 5_000), max_size=100), st.integers(1, 1_000), st.integers(1, 16))
def test_every_partition_gets_as_many_tasks_as_it_has_files(sizes: list[int], most_bytes: int, most_tasks: int) -> None:
    parts = [Volume("stored", f"type{number}", "2022-02-14", 1, size) for number, size in enumerate(sizes)]
    tasks, places = placed(parts, most_bytes, most_tasks)
    assert 1 <= tasks <= max(most_tasks, *(size // most_bytes + 1 for size in sizes), 1)
    assert set(places) == set(parts)
    for part, numbers in places.items():
        assert set(numbers) <= set(range(tasks))
        assert len(set(numbers)) == len(numbers)
        assert part.data_bytes / len(numbers) <= most_bytes
        assert len(numbers) == 1 or part.data_bytes >= most_bytes


def test_a_partition_with_most_of_the_traffic_leaves_no_task_with_most_of_the_work() -> None:
    mib = 1024 * 1024
    parts = [Volume("stored", "busy", "2022-02-14", 1, 800 * mib)]
    parts += [Volume("stored", f"type{number}", "2022-02-14", 1, 10 * mib) for number in range(20)]
    tasks, places = placed(parts, 128 * mib, 8)
    loads = Counter[int]()
    for part, numbers in places.items():
        loads.update(dict.fromkeys(numbers, part.data_bytes // len(numbers)))
    assert len(loads) == tasks == 8
    assert max(loads.values()) <= 1.2 * 1000 * mib / tasks


# Each micro-batch once


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_replay_of_the_same_micro_batch_changes_nothing(tables: Callable[..., TwoTables], file_format: str) -> None:
    lake = tables(file_format)
    lake.write([*good("a", "b"), *bad()], mark(0))
    lake.write([*good("c"), *bad()], mark(1))
    before = contents(lake)
    lake.write([*good("c"), *bad()], mark(1))
    restarted = tables(file_format)
    restarted.write([*good("c"), *bad()], mark(1))
    assert contents(lake) == before
    lake.write([*good("d"), *bad()], mark(2))
    assert lake.uuids() == ["a", "b", "c", "d"]
    assert len(lake.problems()) == 3


@pytest.mark.parametrize("file_format", WRITERS)
def test_a_replay_after_a_crash_between_the_tables_writes_only_what_is_missing(
    tables: Callable[..., TwoTables], file_format: str, tmp_path: Path
) -> None:
    lake = tables(file_format)
    lake.write([*good("a"), *bad()], mark(0))
    shutil.rmtree(lake.events_path)  # quarantine comes first: as if the crash came before any commit of events
    restarted = tables(file_format)
    restarted.write([*good("a"), *bad()], mark(0))
    assert restarted.uuids() == ["a"]
    assert restarted.problems() == ["not_json"]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_checkpoint_older_than_the_table_is_refused_and_nothing_is_written(
    tables: Callable[..., TwoTables], file_format: str
) -> None:
    lake = tables(file_format)
    lake.write([*good("a"), *bad()], mark(0))
    for batch_id in (1, 2, 3):
        lake.write(good(f"batch {batch_id}"), mark(batch_id))
    before = contents(lake)
    restored = tables(file_format)
    older = mark(2, offset=7)
    same_number = mark(3, offset=7)
    for refused in (older, same_number, mark(2), mark(0)):
        with pytest.raises(DataLossError) as raised:
            restored.write([*good("new"), *bad()], refused)
        assert str(lake.events_path) in str(raised.value) or str(lake.quarantine_path) in str(raised.value)
        assert f"micro-batch {refused.batch_id}" in str(raised.value)
    assert contents(lake) == before
    restored.write(good("newest"), mark(4))
    assert lake.uuids() == ["a", "batch 1", "batch 2", "batch 3", "newest"]


@pytest.mark.parametrize("file_format", WRITERS)
def test_a_fresh_checkpoint_appends_from_its_first_micro_batch(
    tables: Callable[..., TwoTables], file_format: str
) -> None:
    lake = tables(file_format)
    for batch_id in range(2):
        lake.write([*good(f"{batch_id}"), *bad()], mark(batch_id))
    fresh = "7b0a41f2-3f3b-4a53-8f6e-8f5f4b8f7a11"
    lake.write([*good("a"), *bad()], mark(0, query_id=fresh))
    lake.write([*good("a"), *bad()], mark(0, query_id=fresh))
    lake.write([*good("b"), *bad()], mark(1, query_id=fresh))
    assert lake.uuids() == ["0", "1", "a", "b"]
    assert len(lake.problems()) == 4


# Delta


def commits(path: Path) -> list[dict[str, Any]]:
    """The actions of every commit, by name; of several of one name the last."""
    files = sorted((path / "_delta_log").glob("*.json"))
    return [
        {key: action[key] for action in map(json.loads, file.read_text().splitlines()) for key in action}
        for file in files
    ]


def test_statistics_never_cover_whole_records(tables: Callable[..., TwoTables]) -> None:
    lake = tables("delta")
    secret = "4111-1111-1111-1111"
    record = json.dumps({"card": secret, "event_uuid": "1", "event_name": "a", "created_at": 1644839990}).encode()
    lake.write([*raw_records([record]), *bad(secret.encode(), b'{"event_uuid":"%b"' % secret.encode())], mark(0))
    for path, covered, never in (
        (lake.events_path, {"event_name", "created_at", "arrived_at", "created_datetime"}, {"payload", "event_uuid"}),
        (lake.quarantine_path, {"arrived_at"}, {"data", "detail", "event_uuid", "event_name"}),
    ):
        statistics = [json.loads(commit["add"]["stats"]) for commit in commits(path) if "add" in commit]
        assert statistics
        for found in statistics:
            assert found["numRecords"] > 0
            named = {name for part in ("minValues", "maxValues", "nullCount") for name in found.get(part, {})}
            assert covered <= named
            assert not never & named
        assert all(secret not in file.read_text() for file in (path / "_delta_log").glob("*.json"))


def test_each_commit_says_where_its_micro_batch_ends(tables: Callable[..., TwoTables]) -> None:
    lake = tables("delta")
    lake.write([*good("a"), *bad()], mark(7))
    lake.write([], mark(8))
    for path, role, batches in ((lake.events_path, "events", [7, 8]), (lake.quarantine_path, "quarantine", [7])):
        written = [commit for commit in commits(path) if "txn" in commit]
        assert [commit["txn"]["version"] for commit in written] == batches
        for commit, batch_id in zip(written, batches, strict=True):
            assert role in commit["txn"]["appId"]
            assert QUERY in commit["txn"]["appId"]
            end_offset = json.dumps({"logOffset": batch_id})
            assert json.loads(commit["commitInfo"]["userMetadata"]) == {
                "query_id": QUERY,
                "batch_id": batch_id,
                "end_offset": end_offset,
                "offset_hash": hashlib.sha256(end_offset.encode()).hexdigest(),
                "stored_at": STORED.isoformat(),
                "complete_through": THROUGH,
            }


def test_a_replay_is_recognised_behind_the_commits_of_others(tables: Callable[..., TwoTables]) -> None:
    lake = tables("delta")
    lake.write([*good("a"), *bad()], mark(0))
    lake.write([*good("b"), *bad()], mark(1))
    DeltaTable(str(lake.events_path)).optimize.compact(commit_properties=CommitProperties({"userMetadata": "by hand"}))
    restarted = tables("delta")
    restarted.write([*good("b"), *bad()], mark(1))
    with pytest.raises(DataLossError):
        restarted.write([*good("b"), *bad()], mark(1, offset=7))
    assert restarted.uuids() == ["a", "b"]


def test_a_micro_batch_that_another_process_has_committed_is_refused_not_ignored(
    tables: Callable[..., TwoTables],
) -> None:
    """Delta leaves out a version that it has seen without a word; the rows would be lost."""
    lake = tables("delta")
    lake.write(good("a"), mark(0))
    table = DeltaTable(str(lake.events_path))
    app_id = next(commit["txn"]["appId"] for commit in commits(lake.events_path) if "txn" in commit)
    other = table.to_pyarrow_table().slice(0, 0)
    properties = CommitProperties(app_transactions=[Transaction(app_id, 5)])
    write_deltalake(table, other, mode="append", commit_properties=properties)
    with pytest.raises(DataLossError):
        lake.write(good("b"), mark(1))


# Readers


def counted(spark: SparkSession, file_format: str, path: Path) -> dict[str, int]:
    """How many rows each reader finds, used as its manual says."""
    with duckdb.connect() as connection:
        if file_format == "delta":
            table = DeltaTable(str(path)).to_pyarrow_dataset()
            counts = {"delta-rs": table.count_rows(), "duckdb": len(connection.from_arrow(table))}
        else:
            files = f"read_{file_format}('{path}/*/*/*.{file_format}', hive_partitioning = true)"
            dataset = ds.dataset(path, format=file_format)
            counts = {"pyarrow": dataset.count_rows(), "duckdb": len(connection.sql(f"FROM {files}"))}
    return {**counts, "spark": spark.read.format(file_format).load(str(path)).count()}


@pytest.mark.parametrize("file_format", FORMATS)
def test_readers_that_nobody_here_wrote_agree_on_the_counts(
    spark: SparkSession, tables: Callable[..., TwoTables], file_format: str
) -> None:
    lake = tables(file_format)
    for batch_id in range(2):
        events = [event_bytes(event_uuid=f"{batch_id}-{n}", event_name=f"type{n % 4}:x") for n in range(20)]
        lake.write([*raw_records(events), *bad(b"{", b"", b"[]")], mark(batch_id))
    assert len(set(lake.uuids())) == 40
    assert set(counted(spark, file_format, lake.events_path).values()) == {40}
    assert set(counted(spark, file_format, lake.quarantine_path).values()) == {6}


# Files without transactions: a crash at any step


class Crash(Exception):
    """kill -9, as far as one process can tell."""


class DyingStorage(Storage):
    """Storage that works for a while; the operation that it dies in may be half done, and none follows."""

    def __init__(self, spark: SparkSession, operations: int, torn: bool) -> None:
        super().__init__(spark._jvm, spark._jsparkSession.sessionState().newHadoopConf())
        self._left = operations
        self._torn = torn
        self._lock = threading.Lock()
        self.died = False

    def _is_last_moment(self) -> bool:
        with self._lock:
            if self.died:
                raise Crash
            self._left -= 1
            self.died = self._left < 0
            return self.died

    def write_text(self, path: str, text: str) -> None:
        if self._is_last_moment():
            if self._torn:
                super().write_text(path, text[: len(text) // 2])
            raise Crash
        super().write_text(path, text)

    def move(self, old: str, new: str) -> None:
        if self._is_last_moment():
            raise Crash
        super().move(old, new)

    def delete(self, path: str) -> None:
        if self._is_last_moment():
            raise Crash
        super().delete(path)


@pytest.mark.parametrize("torn", [False, True], ids=["between-operations", "within-a-write"])
def test_a_crash_at_any_step_leaves_each_row_once_after_the_replay(
    spark: SparkSession, tmp_path: Path, torn: bool
) -> None:
    schema, partitions = "event_uuid string, event_type string", ("event_type",)
    batches = []
    for number in range(3):
        rows = spark.createDataFrame([(f"{number}-a", "lesson"), (f"{number}-b", "account")], schema)
        batches.append(rows.coalesce(1).persist())

    def append(storage: Storage, path: Path, batch_id: int) -> None:
        writer = FileTableWriter(storage, str(path), "parquet", batches[batch_id].schema, partitions)
        if not writer.is_written(mark(batch_id)):
            writer.append(batches[batch_id], mark(batch_id), lambda: None)

    def uuids(path: Path) -> list[str]:
        return sorted(row["event_uuid"] for row in read_parquet(path, partitions))

    whole = Storage.of_session(spark)
    append(whole, tmp_path / "before", 0)
    for operations in range(100):
        path = tmp_path / f"{operations}"
        shutil.copytree(tmp_path / "before", path)
        dying = DyingStorage(spark, operations, torn)
        try:
            append(dying, path, 1)
        except Crash:
            assert dying.died
        append(whole, path, 1)
        assert uuids(path) == ["0-a", "0-b", "1-a", "1-b"], f"after {operations} operations"
        if not dying.died:
            assert operations > 5
            append(whole, path, 2)
            assert uuids(path) == ["0-a", "0-b", "1-a", "1-b", "2-a", "2-b"]
            return
    pytest.fail("the writer never came to its end")
