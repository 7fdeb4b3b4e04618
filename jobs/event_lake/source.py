"""Where records come from; every kind yields them parsed (schema.PARSED_RECORD)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from pyspark.sql import DataFrame, SparkSession

import kinesis_source
from event_lake.archives import raw_files, raw_replayed, raw_table
from event_lake.config import REPLAY, Config, Source
from event_lake.connectors.keys import CONNECTORS
from event_lake.connectors.records import raw_connector
from event_lake.contracts.contract_set import ContractSet
from event_lake.errors import ConfigError, DataLossError, EventLakeError
from event_lake.parse import parse
from event_lake.parsed_source import UNPACKED_OPTION, parsed_kinesis
from event_lake.spark_api import before_spark_4, register_source

# Those that Spark itself or a connector reads, and that are parsed in a step of their own.
READ_RAW: dict[str, Callable[[SparkSession, Source], DataFrame]] = {
    "files": raw_files,
    "delta": raw_table,
    REPLAY: raw_replayed,
    **dict.fromkeys(CONNECTORS, raw_connector),
}

# What the source's errors (kinesis_source.errors) are to the job; Spark hands them on as text only.
MEANING: dict[str, type[EventLakeError]] = {
    "OptionError": ConfigError,
    "DataLossError": DataLossError,
    "StreamError": EventLakeError,
    "UnavailableError": EventLakeError,
}
RAISED = re.compile(rf"kinesis_source\.errors\.({'|'.join(MEANING)}): (.*)")


def refuse_unreadable(spark: SparkSession, kind: str) -> None:
    """Raises ConfigError where this Spark cannot read a source of this kind: since 4.0 it takes sources in Python."""
    if kind == "kinesis" and before_spark_4(spark):
        raise ConfigError(
            f'source.kind is "{kind}", which needs Spark 4.0 or later, and this is Spark {spark.version}. Nothing was '
            'read. Configure the connector that the platform brings, "aws-kinesis" on EMR 7, "glue-kinesis" on Glue 5, '
            "or run on emr-spark-8.1 or Glue 6.0, which is what an audit needs (docs/deploy.md, “Lanes”)."
        )


def parsed_records(
    spark: SparkSession,
    config: Config,
    goal: kinesis_source.StreamOffset | None = None,
    begin: str | None = None,
    contracts: ContractSet | None = None,
) -> DataFrame:
    """A streaming DataFrame of parsed records (schema.PARSED_RECORD); with a goal it ends there and then stays idle.

    A first start begins at the offset `begin` (another query's end, as JSON), if it is given. Good events are held
    against `contracts`.
    """
    if config.source.kind in READ_RAW:
        raw = READ_RAW[config.source.kind](spark, config.source)
        return parse(raw, config.source.most_unpacked.count, contracts)
    options = kinesis_options(config.source, spark.sparkContext.defaultParallelism)
    options[UNPACKED_OPTION] = str(config.source.most_unpacked.count)
    if begin is not None:
        options["startingPosition"] = begin
    if goal is not None:
        options["endingPosition"] = json.dumps(goal.to_json())
    source = parsed_kinesis(contracts)
    register_source(spark, source)
    return spark.readStream.format(source.name()).options(**options).load()


def raw_kinesis(spark: SparkSession, options: dict[str, str]) -> DataFrame:
    """What the stream has between two bounds, as it is there (schema.RAW_RECORD); `options`: of `kinesis-exact`."""
    register_source(spark, kinesis_source.KinesisDataSource)
    return spark.read.format(kinesis_source.KinesisDataSource.name()).options(**options).load()


def kinesis_options(source: Source, parallelism: int) -> dict[str, str]:
    """The options of `kinesis-exact` that the configuration stands for."""
    options = {
        "streamName": source.stream,
        "startingPosition": source.starting_position,
        "failOnDataLoss": str(source.fail_on_data_loss).lower(),
        "sliceSeconds": str(source.slice.total_seconds()),
        "holdBackMs": str(source.hold_back.total_seconds() * 1000),
        "tasks": str(source.tasks or parallelism),
        "connectionsPerTask": str(source.connections_per_task),
        "retrySeconds": str(source.retry_for.total_seconds()),
        "callsPerSecond": str(source.calls_per_second),
        "bytesPerSecond": str(source.bytes_per_second.count),
        "taskMemoryMB": str(source.task_memory.count / 1024**2),
    }
    if source.max_records:
        options["maxRecordsPerBatch"] = str(source.max_records)
    if source.max_bytes.count:
        options["maxBytesPerBatch"] = str(source.max_bytes.count)
    if source.region:
        options["region"] = source.region
    named = {
        "endpointUrl": source.endpoint_url,
        "roleArn": source.role_arn,
        "roleSessionName": source.role_session_name,
        "externalId": source.external_id,
        "stsEndpointUrl": source.sts_endpoint_url,
    }
    options |= {name: value for name, value in named.items() if value}
    return options


def named_failure(text: str) -> EventLakeError:
    """The job's error for a failure of the source, as far as its text tells."""
    raised = RAISED.search(text)
    if raised:
        return MEANING[raised[1]](raised[2])
    return EventLakeError(f"the query failed: {text}")
