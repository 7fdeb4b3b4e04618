"""The job's configuration: typed and frozen; `config_file` reads it, `config_check` says what cannot be.

Every key is documented once, in conf/reference.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from event_lake.connectors.keys import CONNECTORS

ARCHIVE_KINDS = ("files", "delta")
KINDS = ("kinesis", *CONNECTORS, *ARCHIVE_KINDS)
REPLAY = "replay"  # of quarantine; not to be configured
LAYOUTS = ("lines", "whole")
FORMATS = ("delta", "parquet", "json")
ENGINES = ("index", "spark")
LEVELS = ("date", "hour")
VARIANTS = ("off", "plain", "shredded")
MOST_BUCKETS = 4096
CONTRACT_MODES = ("quarantine", "count", "off")
CLOUDWATCH = ("", "log", "api")


@dataclass(frozen=True)
class Bytes:
    """A size in bytes, written as "128 MB" (1 MB = 1,048,576 bytes)."""

    count: int


@dataclass(frozen=True)
class Source:
    kind: str = "kinesis"
    stream: str = ""
    region: str = ""
    endpoint_url: str = ""
    role_arn: str = ""
    role_session_name: str = ""
    external_id: str = ""
    sts_endpoint_url: str = ""
    starting_position: str = "trim_horizon"
    fail_on_data_loss: bool = True
    slice: timedelta = timedelta(minutes=10)
    max_records: int = 0
    max_bytes: Bytes = Bytes(0)
    hold_back: timedelta = timedelta(milliseconds=200)
    tasks: int = 0
    connections_per_task: int = 8
    retry_for: timedelta = timedelta(minutes=2)
    calls_per_second: int = 5
    bytes_per_second: Bytes = Bytes(2 * 1024 * 1024)
    task_memory: Bytes = Bytes(64 * 1024 * 1024)
    fan_out_consumer: str = ""
    max_records_per_shard: int = 0
    max_fetch_time: timedelta = timedelta(0)
    path: str = ""
    layout: str = "lines"
    most_unpacked: Bytes = Bytes(64 * 1024 * 1024)


@dataclass(frozen=True)
class Lake:
    path: str = ""
    quarantine_path: str = ""
    duplicates_path: str = ""
    duplicate_payloads: bool = False
    gaps_path: str = ""
    deletions_path: str = ""
    format: str = "delta"
    partition_by: str = "date"
    payload_variant: str = "off"
    target_file_size: Bytes = Bytes(128 * 1024 * 1024)
    new_types_per_day: int = 1000

    @property
    def replayed_path(self) -> str:
        """Of the trail of what has been read again from quarantine."""
        return f"{self.quarantine_path.rstrip('/')}_replayed"


@dataclass(frozen=True)
class Checkpoint:
    path: str = ""


@dataclass(frozen=True)
class Dedup:
    window: timedelta = timedelta(hours=24)
    margin: timedelta = timedelta(hours=2)
    engine: str = "index"
    buckets: int = 8


@dataclass(frozen=True)
class Contracts:
    path: str = ""
    mode: str = "quarantine"


@dataclass(frozen=True)
class Trigger:
    interval: timedelta = timedelta(seconds=60)


@dataclass(frozen=True)
class Maintenance:
    longest_pause: timedelta = timedelta(seconds=10)
    target_file_size: Bytes = Bytes(128 * 1024 * 1024)
    most_small_files: int = 50
    vacuum_every: timedelta = timedelta(hours=24)
    keep_deleted_files: timedelta = timedelta(hours=24)
    keep_log: timedelta = timedelta(days=7)


DEFAULT_MAINTENANCE = Maintenance()


@dataclass(frozen=True)
class Metrics:
    table_path: str = ""
    table_every: timedelta = timedelta(seconds=60)
    json_lines: str = ""
    cloudwatch: str = ""
    cloudwatch_namespace: str = "event-lake"
    cloudwatch_region: str = ""
    cloudwatch_endpoint_url: str = ""
    prometheus_port: int = 0
    prometheus_address: str = "127.0.0.1"
    top_types: int = 20
    health_intervals: int = 10
    health_lag: timedelta = timedelta(hours=1)

    @property
    def is_wanted(self) -> bool:
        """Whether there is an outlet; without one nothing is measured that costs anything."""
        return bool(self.table_path or self.json_lines or self.cloudwatch or self.prometheus_port)


NO_METRICS = Metrics()


@dataclass(frozen=True)
class Lease:
    time: timedelta = timedelta(seconds=60)


@dataclass(frozen=True)
class Config:
    source: Source
    lake: Lake
    checkpoint: Checkpoint
    dedup: Dedup
    trigger: Trigger
    maintenance: Maintenance = DEFAULT_MAINTENANCE
    contracts: Contracts = Contracts()
    lease: Lease = Lease()
    metrics: Metrics = NO_METRICS
    spark: Mapping[str, str] = field(default_factory=dict)  # Spark settings, keys without the leading "spark."
