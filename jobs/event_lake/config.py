"""The job's configuration: typed, frozen, checked before anything starts.

Every key is documented once, in conf/reference.toml.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, get_type_hints

from event_lake.connectors.keys import CONNECTORS, check_keys
from event_lake.errors import ConfigError

ARCHIVE_KINDS = ("files", "delta")
KINDS = ("kinesis", *CONNECTORS, *ARCHIVE_KINDS)
REPLAY = "replay"  # of quarantine; not to be configured
LAYOUTS = ("lines", "whole")
LONGEST = timedelta(days=365)
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


def read_config(text: str, overrides: Sequence[str] = ()) -> Config:
    """TOML text and `section.key=value` overrides as a Config. Raises ConfigError, naming the key."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the configuration is not valid TOML: {error}") from error
    for override in overrides:
        _apply(document, override)
    sections = {f.name: get_type_hints(Config)[f.name] for f in dataclasses.fields(Config) if f.name != "spark"}
    for name in document:
        if name not in sections and name != "spark":
            raise ConfigError(f"there is no section [{name}]{_nearest(name, [*sections, 'spark'])}")
    read = {name: _section(name, kind, document.get(name, {})) for name, kind in sections.items()}
    config = _completed(Config(**read, spark=_flattened(document.get("spark", {}))))
    _check(config)
    return config


def _completed(config: Config) -> Config:
    """With the defaults that depend on other keys."""
    lake = config.lake
    if not lake.path:
        return config
    beside = lake.path.rstrip("/")
    completed = dataclasses.replace(
        lake,
        duplicates_path=lake.duplicates_path or f"{beside}_duplicates",
        gaps_path=lake.gaps_path or f"{beside}_gaps",
        deletions_path=lake.deletions_path or f"{beside}_deletions",
    )
    return dataclasses.replace(config, lake=completed)


def _apply(document: dict[str, Any], override: str) -> None:
    name, equals, value = override.partition("=")
    section, dot, key = name.partition(".")
    if not (equals and dot and section and key):
        raise ConfigError(f"--set {override!r} is not of the form section.key=value")
    table = document.setdefault(section, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{section} is a single value in the configuration; expected a section [{section}]")
    if section == "spark":
        document[section] = table = dict(_flattened(table))
    table[key] = value


def _section(name: str, kind: Any, table: Any) -> Any:
    if not isinstance(table, dict):
        raise ConfigError(f"{name} is a single value in the configuration; expected a section [{name}]")
    types = get_type_hints(kind)
    for key in table:
        if key not in types:
            raise ConfigError(f"there is no key {name}.{key}{_nearest(key, list(types), name)}")
    return kind(**{key: _value(f"{name}.{key}", types[key], value) for key, value in table.items()})


def _nearest(name: str, known: list[str], section: str = "") -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {section + '.' if section else ''}{near[0]}?"
    return f"; there are {', '.join(known)}"


def _value(key: str, kind: Any, value: Any) -> Any:
    if kind is timedelta and isinstance(value, str):
        return parse_duration(key, value)
    if kind is Bytes and isinstance(value, str):
        return _size(key, value)
    if kind is bool and value in ("true", "false"):
        return value == "true"
    if kind is int and isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if kind is str and isinstance(value, datetime):
        return value.isoformat()
    if type(value) is kind:
        return value
    forms = {
        timedelta: 'a duration such as "24 hours"',
        Bytes: 'a size such as "128 MB"',
        bool: "true or false",
        int: "a whole number",
        str: "a string",
    }
    raise ConfigError(f"{key} is {value!r}; expected {forms[kind]}")


_SECONDS = {"ms": 0.001, "millisecond": 0.001, "second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}


def parse_duration(key: str, text: str) -> timedelta:
    """A duration such as "24 hours". Raises ConfigError, naming the key."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*", text)
    seconds = (_SECONDS.get(match[2]) or _SECONDS.get(match[2].removesuffix("s"))) if match else None
    if match is None or seconds is None:
        raise ConfigError(f'{key} is {text!r}; expected a duration such as "24 hours", "90 seconds" or "200 ms"')
    if float(match[1]) * seconds > LONGEST.total_seconds():
        raise ConfigError(f"{key} is longer than {LONGEST.days} days, which is as long as Kinesis can keep a record")
    return timedelta(seconds=float(match[1]) * seconds)


_SIZES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


def _size(key: str, text: str) -> Bytes:
    match = re.fullmatch(r"\s*([0-9]+)\s*([KMG]?B)\s*", text.upper())
    if match is None:
        raise ConfigError(f'{key} is {text!r}; expected a size such as "128 MB"')
    return Bytes(int(match[1]) * _SIZES[match[2]])


def _flattened(table: Any, prefix: str = "") -> dict[str, str]:
    if not isinstance(table, Mapping):
        raise ConfigError("spark is a single value in the configuration; expected a section [spark]")
    flat: dict[str, str] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= _flattened(value, f"{name}.")
        else:
            flat[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return flat


def _check(config: Config) -> None:
    _check_source(config.source)
    _one_of("lake.format", config.lake.format, FORMATS)
    _one_of("lake.partition_by", config.lake.partition_by, LEVELS)
    _one_of("lake.payload_variant", config.lake.payload_variant, VARIANTS)
    if config.lake.payload_variant != "off" and config.lake.format != "delta":
        raise ConfigError(
            f"lake.payload_variant is {config.lake.payload_variant!r}, which lake.format {config.lake.format!r} cannot "
            'hold; set it to "off", or lake.format to "delta"'
        )
    _one_of("dedup.engine", config.dedup.engine, ENGINES)
    _one_of("contracts.mode", config.contracts.mode, CONTRACT_MODES)
    if not 1 <= config.dedup.buckets <= MOST_BUCKETS:
        raise ConfigError(f"dedup.buckets is {config.dedup.buckets}; expected 1 to {MOST_BUCKETS}")
    _check_paths(config)
    _check_metrics(config.metrics)
    least = {
        "source.slice": (config.source.slice, timedelta(seconds=1)),
        "dedup.window": (config.dedup.window, timedelta(seconds=1)),
        # What the clock may step back without a record being dropped as late.
        "dedup.margin": (config.dedup.margin, timedelta(hours=2)),
        # A reader that has begun must be able to end.
        "maintenance.keep_deleted_files": (config.maintenance.keep_deleted_files, timedelta(hours=1)),
        "maintenance.keep_log": (config.maintenance.keep_log, config.maintenance.keep_deleted_files),
        "lease.time": (config.lease.time, timedelta(seconds=1)),
    }
    for key, (value, bound) in least.items():
        if value < bound:
            raise ConfigError(f"{key} is {value}; expected at least {bound}")
    for key, size in (
        ("lake.target_file_size", config.lake.target_file_size),
        ("maintenance.target_file_size", config.maintenance.target_file_size),
    ):
        if size.count < 1024**2:
            raise ConfigError(f"{key} is under 1 MB")
    if config.maintenance.most_small_files < 2:
        raise ConfigError(f"maintenance.most_small_files is {config.maintenance.most_small_files}; expected at least 2")
    if config.lake.new_types_per_day < 0:
        raise ConfigError(f"lake.new_types_per_day is {config.lake.new_types_per_day}; expected 0 (no bound) or more")


def _check_metrics(metrics: Metrics) -> None:
    _one_of("metrics.cloudwatch", metrics.cloudwatch, CLOUDWATCH)
    for key, value, most in (
        ("prometheus_port", metrics.prometheus_port, 65535),
        ("top_types", metrics.top_types, 1000),
        ("health_intervals", metrics.health_intervals, 1_000_000),
    ):
        if not 0 <= value <= most:
            raise ConfigError(f"metrics.{key} is {value}; expected 0 to {most}")


def _check_source(source: Source) -> None:
    _one_of("source.kind", source.kind, KINDS)
    if source.kind in ARCHIVE_KINDS:
        _given("source.path", source.path)
    else:
        _given("source.stream", source.stream)
        check_keys(source)
    _one_of("source.layout", source.layout, LAYOUTS)
    if source.starting_position not in ("trim_horizon", "latest"):
        try:
            datetime.fromisoformat(source.starting_position)
        except ValueError:
            raise ConfigError(
                f"source.starting_position is {source.starting_position!r}; "
                "expected trim_horizon, latest or an ISO 8601 time"
            ) from None
    if source.tasks < 0:
        raise ConfigError(f"source.tasks is {source.tasks}; expected 0 (one for each core) or more")
    if source.max_records < 0:
        raise ConfigError(f"source.max_records is {source.max_records}; expected 0 (no bound) or more")
    if source.connections_per_task < 1:
        raise ConfigError(f"source.connections_per_task is {source.connections_per_task}; expected at least 1")
    if source.calls_per_second < 1:
        raise ConfigError(f"source.calls_per_second is {source.calls_per_second}; expected at least 1")
    for key, size, least in (
        ("source.bytes_per_second", source.bytes_per_second, Bytes(1024)),
        ("source.task_memory", source.task_memory, Bytes(1024 * 1024)),
        ("source.most_unpacked", source.most_unpacked, Bytes(1024)),
    ):
        if size.count < least.count:
            raise ConfigError(f"{key} is {size.count} bytes; expected at least {least.count}")


def _check_paths(config: Config) -> None:
    """Each of them is given, and none lies in another: cleaning one up must not take another with it."""
    paths = {
        "lake.path": config.lake.path,
        "lake.quarantine_path": config.lake.quarantine_path,
        "lake.duplicates_path": config.lake.duplicates_path,
        "lake.gaps_path": config.lake.gaps_path,
        "lake.deletions_path": config.lake.deletions_path,
        "checkpoint.path": config.checkpoint.path,
    }
    for key, path in paths.items():
        _given(key, path)
    if config.metrics.table_path:
        paths["metrics.table_path"] = config.metrics.table_path
    for key, path in paths.items():
        for other, outer in paths.items():
            if key != other and f"{path.rstrip('/')}/".startswith(f"{outer.rstrip('/')}/"):
                raise ConfigError(f"{key} ({path}) lies in {other} ({outer}); give each a folder of its own")
        if config.source.kind in ARCHIVE_KINDS and f"{path}/".startswith(f"{config.source.path.rstrip('/')}/"):
            raise ConfigError(f"{key} ({path}) lies in source.path: the job would read what it writes")


def _one_of(key: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"{key} is {value!r}; expected one of {', '.join(allowed)}{_nearest_value(value, allowed)}")


def _nearest_value(value: str, allowed: Sequence[str]) -> str:
    near = difflib.get_close_matches(value, allowed, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _given(key: str, value: str) -> None:
    if not value:
        raise ConfigError(f"{key} is missing; see conf/reference.toml")
