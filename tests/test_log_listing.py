"""Delta lists the log of a table on S3 from where it has read to, and VACUUM never takes that log for rubbish."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from chaos.ambush import Ambush
from chaos.proxy import S3Proxy
from embedded_aws import EmbeddedAws
from event_lake.delta_log import DeltaLog, newest_snapshot
from event_lake.delta_table import DeltaTableWriter
from event_lake.log_listing import SETTING
from event_lake.storage import Storage
from event_lake.upkeep.vacuum import vacuum

BUCKET = "listed"
COMMITS = 4
names = (f"table-{number}" for number in itertools.count())


class Witness(Ambush):
    """Strikes never, and remembers every request."""

    def __init__(self) -> None:
        super().__init__(lambda: None, "")
        self.requests: list[str] = []

    def is_sprung_by(self, request: str) -> bool:
        self.requests.append(request)
        return False

    def listings(self) -> list[dict[str, list[str]]]:
        """Those of a log; S3A asks for two names to find out whether there is a folder at all."""
        asked = [parse_qs(urlsplit(request.removeprefix("GET ")).query) for request in self.requests]
        ours = [query for query in asked if "_delta_log" in query.get("prefix", [""])[0]]
        return [query for query in ours if query["max-keys"] != ["2"]]


class Table:
    """A small Delta table in a store on loopback, behind a proxy that sees what is asked of it."""

    def __init__(self, spark: SparkSession, aws: EmbeddedAws, proxy: S3Proxy) -> None:
        self.spark, self.name, self.proxy = spark, next(names), proxy
        self.path = f"s3a://{BUCKET}/{self.name}"
        self.s3 = aws.client("s3")

    def append(self, commits: int = 1) -> None:
        for _ in range(commits):
            self.spark.range(3).coalesce(1).write.format("delta").mode("append").save(self.path)

    def log(self) -> set[str]:
        prefix = f"{self.name}/_delta_log/0"
        return {entry["Key"] for entry in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])}

    def copy_first_commit(self, folder: str) -> None:
        name = f"{0:020d}.json"
        source = {"Bucket": BUCKET, "Key": f"{self.name}/_delta_log/{name}"}
        self.s3.copy_object(Bucket=BUCKET, Key=f"{self.name}/{folder}/{name}", CopySource=source)

    def vacuum_by_delta(self, session: SparkSession) -> None:
        session.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
        session.conf.set("spark.sql.sources.parallelPartitionDiscovery.parallelism", "2")  # by default 10,000 tasks
        DeltaTable.forPath(session, self.path).vacuum(0)

    def forget(self) -> None:
        """As a new driver would have it."""
        self.spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr]

    def witnessed(self) -> Witness:
        self.proxy.ambush = witness = Witness()
        return witness


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with EmbeddedAws() as running:
        running.client("s3").create_bucket(Bucket=BUCKET)
        yield running


@pytest.fixture(scope="module")
def proxy(spark: SparkSession, aws: EmbeddedAws) -> Iterator[S3Proxy]:
    with S3Proxy(aws.endpoint_url) as proxy:
        settings = {
            "endpoint": proxy.endpoint_url,
            "endpoint.region": "us-east-1",
            "path.style.access": "true",
            "access.key": "test",
            "secret.key": "test",
        }
        for key, value in settings.items():
            spark.sparkContext._jsc.hadoopConfiguration().set(f"fs.s3a.bucket.{BUCKET}.{key}", value)
        yield proxy


@pytest.fixture
def table(spark: SparkSession, aws: EmbeddedAws, proxy: S3Proxy) -> Table:
    return Table(spark, aws, proxy)


def listings_of_another_commit(table: Table) -> list[dict[str, list[str]]]:
    """Of a table that has COMMITS, all of which are found, and so is the next one."""
    assert newest_snapshot(table.spark, table.path).version() == COMMITS - 1
    witness = table.witnessed()
    table.append()
    assert newest_snapshot(table.spark, table.path).version() == COMMITS
    listings = witness.listings()
    assert listings
    return listings


def test_a_log_is_listed_from_what_is_known_of_it_and_tells_the_same(table: Table) -> None:
    assert newest_snapshot(table.spark, table.path).version() == -1
    table.append(COMMITS)
    listings = listings_of_another_commit(table)
    assert all(query["start-after"][0].startswith(f"{table.name}/_delta_log/0") for query in listings)


@pytest.mark.parametrize("folder", ["_delta_log/before", "_delta_log_before"])
def test_where_a_copy_of_the_log_lies_within_or_beside_it_the_whole_log_is_listed(table: Table, folder: str) -> None:
    table.append(COMMITS)
    table.copy_first_commit(folder)
    table.forget()
    listings = listings_of_another_commit(table)
    assert not any("start-after" in query for query in listings)


def test_a_table_whose_maker_was_killed_before_its_first_commit_is_made(table: Table) -> None:
    for folder in ("", "_staged_commits/"):
        table.s3.put_object(Bucket=BUCKET, Key=f"{table.name}/_delta_log/{folder}")
    storage = Storage.of_session(table.spark)
    log = DeltaLog(table.spark, storage, table.path)
    DeltaTableWriter(table.spark, log, "made", table.spark.range(0).schema, ()).create()
    assert table.log() == {f"{table.name}/_delta_log/{0:020d}.{kind}" for kind in ("crc", "json")}


def test_vacuum_deletes_nothing_of_the_log_whatever_this_driver_and_the_cluster_have_set(table: Table) -> None:
    newest_snapshot(table.spark, table.path)  # from here on its log is listed in the faster way
    table.append(COMMITS)
    log = table.log()
    settings = table.spark.sparkContext._jsc.hadoopConfiguration()
    table.spark.conf.set(SETTING, "true")
    settings.set(SETTING, "true")
    try:
        vacuum(table.spark, table.path, gentle=False, keep=timedelta(0))
    finally:
        table.spark.conf.unset(SETTING)
        settings.set(SETTING, "false")
    assert len(log) == 2 * COMMITS
    assert table.log() >= log


def test_nor_does_deltas_own_vacuum_in_another_session_of_this_driver(table: Table) -> None:
    newest_snapshot(table.spark, table.path)
    table.append(COMMITS)
    log = table.log()
    table.vacuum_by_delta(table.spark.newSession())
    assert len(log) == 2 * COMMITS
    assert table.log() >= log


def test_why_the_setting_is_off_elsewhere_with_it_deltas_own_vacuum_deletes_the_log(table: Table) -> None:
    """When this fails, Delta has been mended, and `log_listing` may become simpler."""
    table.append(COMMITS)
    session = table.spark.newSession()
    session.conf.set(SETTING, "true")
    assert len(table.log()) == 2 * COMMITS
    table.vacuum_by_delta(session)
    assert not table.log()
