"""Where records come from; every kind yields them parsed (schema.PARSED_RECORD)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import kinesis_source
from event_lake.config import Config, Source
from event_lake.contracts.contract_set import ContractSet
from event_lake.errors import ConfigError, DataLossError, EventLakeError
from event_lake.parse import parse
from event_lake.parsed_source import UNPACKED_OPTION, parsed_kinesis
from event_lake.schema import RAW_RECORD

# What the source's errors (kinesis_source.errors) are to the job; Spark hands them on as text only.
MEANING: dict[str, type[EventLakeError]] = {
    "OptionError": ConfigError,
    "DataLossError": DataLossError,
    "StreamError": EventLakeError,
    "UnavailableError": EventLakeError,
}
RAISED = re.compile(rf"kinesis_source\.errors\.({'|'.join(MEANING)}): (.*)")


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
    if config.source.kind == "files":
        return parse(raw_lines(spark, config.source), config.source.most_unpacked.count, contracts)
    options = kinesis_options(config.source, spark.sparkContext.defaultParallelism)
    options[UNPACKED_OPTION] = str(config.source.most_unpacked.count)
    if begin is not None:
        options["startingPosition"] = begin
    if goal is not None:
        options["endingPosition"] = json.dumps(goal.to_json())
    source = parsed_kinesis(contracts)
    spark.dataSource.register(source)
    return spark.readStream.format(source.name()).options(**options).load()


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


def raw_lines(spark: SparkSession, source: Source) -> DataFrame:
    """Raw records (schema.RAW_RECORD), one a line of the files in a folder.

    Files arrive when they were last modified; a record is identified by its path and line.
    """
    files = (
        spark.readStream.format("text")
        .option("lineSep", "\n")
        .option("recursiveFileLookup", "true")
        .load(source.path)
        .select(
            F.col("value").cast("binary").alias("data"),
            F.col("_metadata.file_path").alias("path"),
            F.col("_metadata.file_block_start").alias("block"),
            F.col("_metadata.file_modification_time").alias("arrived_at"),
        )
    )
    return files.mapInArrow(_number_lines, RAW_RECORD)


def _number_lines(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """Names each line by its path, the start of its split and its number in the split; the same again in a replay."""
    place, line = ("", -1), 0
    for batch in batches:
        numbers: list[str] = []
        for path, block in zip(batch.column("path").to_pylist(), batch.column("block").to_pylist(), strict=True):
            place, line = ((path, block), 1) if place != (path, block) else (place, line + 1)
            numbers.append(f"{path}:{line}" if block == 0 else f"{path}@{block}:{line}")
        count = batch.num_rows
        nothing = pa.nulls(count, pa.string())
        yield pa.RecordBatch.from_arrays(
            [
                batch.column("data"),
                nothing,
                nothing,
                nothing,
                pa.array(numbers, pa.string()),
                pa.repeat(pa.scalar(0, pa.int64()), count),
                batch.column("arrived_at"),
            ],
            names=RAW_RECORD.fieldNames(),
        )
