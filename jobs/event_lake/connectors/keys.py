"""Which keys of [source] a connector can honour: the others are refused, since leaving one out of account in silence
would be another job than the configured one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from event_lake.errors import ConfigError

if TYPE_CHECKING:
    from event_lake.config import Source

CONNECTORS = ("aws-kinesis", "glue-kinesis")

# Beside those, each connector honours every key that is not about reading: most_unpacked.
CONNECTORS_OWN = ("fan_out_consumer", "max_records_per_shard", "max_fetch_time")
ONLY_EXACT = (
    "external_id",
    "slice",
    "max_records",
    "max_bytes",
    "hold_back",
    "tasks",
    "connections_per_task",
    "retry_for",
    "bytes_per_second",
    "task_memory",
    "path",
    "layout",
)
LEAST_FETCH_SECONDS = 10  # of aws-kinesis: KinesisOptions refuses less


def check_keys(source: Source) -> None:
    """Raises ConfigError where a key is set that the kind of source cannot honour."""
    is_connector = source.kind in CONNECTORS
    defaults = {field.name: field.default for field in dataclasses.fields(source)}
    for key in ONLY_EXACT if is_connector else CONNECTORS_OWN:
        if getattr(source, key) != defaults[key]:
            others = "this project's own" if is_connector else " and ".join(CONNECTORS)
            raise ConfigError(
                f'source.{key} is set, and source.kind is "{source.kind}", which has nothing like it; leave it out '
                f"(it is a key of {others} source{'' if is_connector else 's'})"
            )
    if is_connector:
        _check_values(source)


def _check_values(source: Source) -> None:
    seconds = source.max_fetch_time.total_seconds()
    if source.kind == "aws-kinesis" and 0 < seconds < LEAST_FETCH_SECONDS:
        raise ConfigError(
            f"source.max_fetch_time is {source.max_fetch_time}; aws-kinesis takes {LEAST_FETCH_SECONDS} seconds or more"
        )
    if source.max_records_per_shard < 0:
        raise ConfigError(f"source.max_records_per_shard is {source.max_records_per_shard}; expected 0 or more")
    if not source.role_arn and (source.role_session_name or source.sts_endpoint_url):
        raise ConfigError("source.role_session_name and source.sts_endpoint_url need source.role_arn")
    if source.kind == "glue-kinesis" and source.fan_out_consumer and not source.fan_out_consumer.startswith("arn:"):
        raise ConfigError(
            f"source.fan_out_consumer is {source.fan_out_consumer!r}; glue-kinesis takes the ARN of a consumer that is "
            "registered already (aws kinesis register-stream-consumer)"
        )
    if source.kind == "aws-kinesis":
        _check_account(source)


def _check_account(source: Source) -> None:
    """The connector takes a name alone: the stream of that name in the account whose credentials it has."""
    if source.fan_out_consumer.startswith("arn:"):
        raise ConfigError(
            f"source.fan_out_consumer is {source.fan_out_consumer!r}; aws-kinesis takes the name of a consumer, which "
            "it registers"
        )
    if source.stream.startswith("arn:") and _account(source.role_arn) != _account(source.stream):
        raise ConfigError(
            f"source.stream is {source.stream!r}; aws-kinesis takes a stream by its name, in the account of its "
            "credentials. Give the name; for another account's stream also source.role_arn, a role of that account"
        )


def _account(arn: str) -> str:
    return arn.split(":")[4] if arn.count(":") > 4 else ""
