"""What each connector is asked for, and what is refused since it could not be."""

from __future__ import annotations

import pytest

from event_lake.config import Source
from event_lake.config_file import read_config
from event_lake.connectors.options import connector_options
from event_lake.errors import ConfigError

ROLE = "arn:aws:iam::111122223333:role/reader"
ARN = "arn:aws:kinesis:eu-west-1:111122223333:stream/events"
CONSUMER = f"{ARN}/consumer/lake:1"
KINDS = ("aws-kinesis", "glue-kinesis")


def source(kind: str, *overrides: str) -> Source:
    places = ("lake.path=s3://lake/e", "lake.quarantine_path=s3://lake/q", "checkpoint.path=s3://lake/c")
    chosen = (f"source.kind={kind}", "source.stream=events", "source.region=eu-west-1", *overrides)
    return read_config("", [*places, *chosen]).source


def test_aws_kinesis_is_asked_for_everything_that_matters_by_name() -> None:
    assert connector_options(source("aws-kinesis")) == {
        "kinesis.streamName": "events",
        "kinesis.region": "eu-west-1",
        "kinesis.kinesisRegion": "eu-west-1",
        "kinesis.endpointUrl": "https://kinesis.eu-west-1.amazonaws.com",
        "kinesis.startingPosition": "TRIM_HORIZON",
        "kinesis.failOnDataLoss": "true",
        "kinesis.consumerType": "GetRecords",
    }


def test_glues_kinesis_is_asked_for_arrival_times_and_lag() -> None:
    assert connector_options(source("glue-kinesis")) == {
        "streamName": "events",
        "endpointUrl": "https://kinesis.eu-west-1.amazonaws.com",
        "startingPosition": "trim_horizon",
        "failOnDataLoss": "true",
        "addRecordTimestamp": "true",
        "emitConsumerLagMetrics": "true",
        "avoidEmptyBatches": "true",
    }


@pytest.mark.parametrize(
    ("kind", "key", "expected"),
    [
        ("aws-kinesis", "starting_position=latest", {"kinesis.startingPosition": "LATEST"}),
        (
            "aws-kinesis",
            "starting_position=2026-11-27T12:00:00.9+02:00",
            {"kinesis.startingPosition": "AT_TIMESTAMP 2026-11-27T10:00:00Z"},
        ),
        ("glue-kinesis", "starting_position=latest", {"startingPosition": "latest"}),
        ("glue-kinesis", "starting_position=2026-11-27T12:00:00.9+02:00", {"startingPosition": "2026-11-27T10:00:00Z"}),
        ("aws-kinesis", "fail_on_data_loss=false", {"kinesis.failOnDataLoss": "false"}),
        ("glue-kinesis", "fail_on_data_loss=false", {"failOnDataLoss": "false"}),
        (
            "aws-kinesis",
            "fan_out_consumer=lake",
            {"kinesis.consumerType": "SubscribeToShard", "kinesis.consumerName": "lake"},
        ),
        ("glue-kinesis", f"fan_out_consumer={CONSUMER}", {"fanoutConsumerARN": CONSUMER}),
        ("aws-kinesis", "max_records_per_shard=500", {"kinesis.maxFetchRecordsPerShard": "500"}),
        ("glue-kinesis", "max_records_per_shard=500", {"maxFetchRecordsPerShard": "500"}),
        ("aws-kinesis", "max_fetch_time=30 seconds", {"kinesis.maxFetchTimePerShardSec": "30"}),
        ("glue-kinesis", "max_fetch_time=2.5 seconds", {"maxFetchTimeInMs": "2500"}),
        ("aws-kinesis", "calls_per_second=3", {"kinesis.getRecords.fetchIntervalMs": "334"}),
        ("glue-kinesis", "calls_per_second=2", {"addIdleTimeBetweenReads": "true", "idleTimeBetweenReadsInMs": "500"}),
        ("aws-kinesis", "endpoint_url=http://127.0.0.1:1", {"kinesis.endpointUrl": "http://127.0.0.1:1"}),
        ("glue-kinesis", "endpoint_url=http://127.0.0.1:1", {"endpointUrl": "http://127.0.0.1:1"}),
        (
            "aws-kinesis",
            f"role_arn={ROLE}",
            {"kinesis.stsRoleArn": ROLE, "kinesis.stsSessionName": "event-lake"},
        ),
        ("glue-kinesis", f"role_arn={ROLE}", {"awsSTSRoleARN": ROLE, "awsSTSSessionName": "event-lake"}),
    ],
)
def test_a_key_becomes_the_connectors_own_option_and_changes_no_other(
    kind: str, key: str, expected: dict[str, str]
) -> None:
    assert connector_options(source(kind, f"source.{key}")) == connector_options(source(kind)) | expected


def test_a_stream_of_another_account_is_named_by_arn_with_a_role_of_that_account() -> None:
    of_glue = connector_options(source("glue-kinesis", f"source.stream={ARN}"))
    assert of_glue["streamARN"] == ARN
    assert "streamName" not in of_glue
    session = "source.role_session_name=s"
    of_aws = connector_options(source("aws-kinesis", f"source.stream={ARN}", f"source.role_arn={ROLE}", session))
    assert of_aws["kinesis.streamName"] == "events"
    assert of_aws["kinesis.stsSessionName"] == "s"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "key",
    [
        "slice=1 minute",
        "max_records=5",
        "max_bytes=1 MB",
        "hold_back=0 ms",
        "tasks=3",
        "connections_per_task=3",
        "retry_for=1 minute",
        "bytes_per_second=1 MB",
        "task_memory=128 MB",
        "external_id=x",
        "path=s3://elsewhere/",
        "layout=whole",
        "role_session_name=s",
        "sts_endpoint_url=http://127.0.0.1:1",
        "max_records_per_shard=-1",
    ],
)
def test_a_key_that_a_connector_cannot_honour_is_refused(kind: str, key: str) -> None:
    with pytest.raises(ConfigError, match=f"source.{key.partition('=')[0]}"):
        source(kind, f"source.{key}")


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("kinesis", "fan_out_consumer=lake"),
        ("kinesis", "max_records_per_shard=5"),
        ("kinesis", "max_fetch_time=10 seconds"),
        ("aws-kinesis", "max_fetch_time=9 seconds"),
        ("aws-kinesis", f"fan_out_consumer={CONSUMER}"),
        ("glue-kinesis", "fan_out_consumer=lake"),
        ("aws-kinesis", f"stream={ARN}"),
        ("aws-kinesis", "stream="),
        ("glue-kinesis", "stream="),
    ],
)
def test_a_value_that_only_another_kind_of_source_takes_is_refused(kind: str, key: str) -> None:
    with pytest.raises(ConfigError, match=f"source.{key.partition('=')[0]}"):
        source(kind, f"source.{key}")


def test_a_stream_is_not_read_in_another_account_than_its_arn_says() -> None:
    role = "source.role_arn=arn:aws:iam::999900001111:role/reader"
    with pytest.raises(ConfigError, match=r"source\.stream"):
        source("aws-kinesis", f"source.stream={ARN}", role)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_without_a_region_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(ConfigError, match=r"source\.region"):
        connector_options(source(kind, "source.region="))
