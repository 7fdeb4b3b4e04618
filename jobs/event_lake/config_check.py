"""What a configuration must be, beyond its types."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import datetime, timedelta

from event_lake.config import (
    ARCHIVE_KINDS,
    CLOUDWATCH,
    CONTRACT_MODES,
    ENGINES,
    FORMATS,
    KINDS,
    LAYOUTS,
    LEVELS,
    MOST_BUCKETS,
    VARIANTS,
    Bytes,
    Config,
    Metrics,
    Source,
)
from event_lake.connectors.keys import check_keys
from event_lake.errors import ConfigError


def check(config: Config) -> None:
    """Raises ConfigError where a key has a value that cannot be, or keys do not go together; names the key."""
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
