"""What a connector is asked for. Sources of the names, as of November 2026:

aws-kinesis   KinesisOptions.scala and README of awslabs/spark-sql-kinesis-connector; EMR 7.1 and later bring it
glue-kinesis  AWS Glue's developer guide, "Kinesis connections", and its API, KinesisStreamingSourceOptions. That a
              Spark reader takes them as GlueContext does is not confirmed; Glue was not at hand
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from event_lake.errors import ConfigError
from kinesis_source.client import region_and_endpoint
from kinesis_source.errors import OptionError
from kinesis_source.options import Options
from kinesis_source.position import parse_time

if TYPE_CHECKING:
    from event_lake.config import Source

FORMATS = {"aws-kinesis": "aws-kinesis", "glue-kinesis": "kinesis"}
SESSION_NAME = "event-lake"
CALLS_PER_SECOND = 5  # what both do by themselves: 200 ms between two calls


def connector_options(source: Source) -> dict[str, str]:
    """The options that the configuration stands for. Raises ConfigError where no region is to be found."""
    try:
        region, endpoint_url = region_and_endpoint(
            Options(source.stream, source.region or None, source.endpoint_url or None)
        )
    except OptionError as error:
        raise ConfigError(f"source.region: {error}") from error
    is_aws = source.kind == "aws-kinesis"
    named = aws_options(source, region, endpoint_url) if is_aws else glue_options(source, endpoint_url)
    return {name: value for name, value in named.items() if value}


def aws_options(source: Source, region: str, endpoint_url: str) -> dict[str, str]:
    """Those of `aws-kinesis`; empty ones are left to it."""
    fan_out = {"consumerType": "SubscribeToShard", "consumerName": source.fan_out_consumer}
    named = {
        "streamName": source.stream.rpartition("/")[2],
        # It would take its regions from the endpoint's host name, which need not hold one.
        "region": region,
        "kinesisRegion": region,
        "endpointUrl": endpoint_url,
        "startingPosition": _start(source.starting_position, "AT_TIMESTAMP ").upper(),
        "failOnDataLoss": str(source.fail_on_data_loss).lower(),  # its own default is false
        **(fan_out if source.fan_out_consumer else {"consumerType": "GetRecords"}),
        "maxFetchRecordsPerShard": _number(source.max_records_per_shard),
        "maxFetchTimePerShardSec": _number(source.max_fetch_time.total_seconds()),
        "getRecords.fetchIntervalMs": _pause_ms(source),
        "stsRoleArn": source.role_arn,
        "stsSessionName": _session_name(source),  # refused without, and without a role
        "stsEndpointUrl": source.sts_endpoint_url,
    }
    return {f"kinesis.{name}": value for name, value in named.items()}


def glue_options(source: Source, endpoint_url: str) -> dict[str, str]:
    """Those of Glue's `kinesis`; empty ones are left to it."""
    is_arn = source.stream.startswith("arn:")
    pause = _pause_ms(source)
    return {
        "streamARN" if is_arn else "streamName": source.stream,
        "endpointUrl": endpoint_url,
        "startingPosition": _start(source.starting_position, ""),
        "failOnDataLoss": str(source.fail_on_data_loss).lower(),
        "addRecordTimestamp": "true",  # a column __src_timestamp: when Kinesis took the record (Glue 4.0 and later)
        "emitConsumerLagMetrics": "true",  # the only lag there is, in CloudWatch (Glue 4.0 and later)
        "avoidEmptyBatches": "true",
        "fanoutConsumerARN": source.fan_out_consumer,
        "maxFetchRecordsPerShard": _number(source.max_records_per_shard),
        "maxFetchTimeInMs": _number(source.max_fetch_time.total_seconds() * 1000),
        "addIdleTimeBetweenReads": "true" if pause else "",
        "idleTimeBetweenReadsInMs": pause,
        "awsSTSRoleARN": source.role_arn,
        "awsSTSSessionName": _session_name(source),
        "awsSTSEndpoint": source.sts_endpoint_url,
    }


def _start(position: str, before_time: str) -> str:
    """trim_horizon, latest, or a time in UTC with whole seconds, as both take it; the fraction is cut off, so that
    nothing is left out."""
    if position in ("trim_horizon", "latest"):
        return position
    moment = datetime.fromtimestamp(int(parse_time(position)), UTC)
    return f"{before_time}{moment:%Y-%m-%dT%H:%M:%SZ}"


def _number(value: float) -> str:
    return str(int(value)) if value else ""


def _pause_ms(source: Source) -> str:
    """Between two GetRecords calls to a shard; empty: what the connector does by itself."""
    return "" if source.calls_per_second == CALLS_PER_SECOND else str(-(-1000 // source.calls_per_second))


def _session_name(source: Source) -> str:
    return (source.role_session_name or SESSION_NAME) if source.role_arn else ""
