"""A connector's rows -> raw records, each with a name of its own.

Columns of `aws-kinesis` (KinesisClientFactory.kinesisSchema): data binary, streamName string, partitionKey string,
sequenceNumber string, approximateArrivalTimestamp timestamp. It takes records apart that the KPL packed into one, and
gives all of them one sequence number: which of them a row is, it knows and does not say. Glue's are not documented but
for `__src_timestamp`; qubole's kinesis-sql, from which its options come, has those of `aws-kinesis`. So arrival is
taken from whichever of the two is there, and packed records that come as they are, are taken apart here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from event_lake.connectors.options import FORMATS, connector_options
from event_lake.errors import ConfigError
from event_lake.schema import RAW_RECORD
from kinesis_source import aggregation
from kinesis_source.worker import forget_zip_finders

if TYPE_CHECKING:
    from event_lake.config import Source

COLUMNS = {
    "data": ("data",),
    "sequenceNumber": ("sequenceNumber",),
    "partitionKey": ("partitionKey",),
    "approximateArrivalTimestamp": ("approximateArrivalTimestamp", "__src_timestamp"),
}
LARGEST = 2**63 - 1


def raw_connector(spark: SparkSession, source: Source) -> DataFrame:
    """Raw records (schema.RAW_RECORD) of a connector; shardId is null, and each row has a name of its own. Raises
    ConfigError where the connector is not there, or its rows lack what a record needs."""
    reader = spark.readStream.format(FORMATS[source.kind]).options(**connector_options(source))
    try:
        rows = reader.load()
    except (PySparkException, Py4JError) as error:
        if "DATA_SOURCE_NOT_FOUND" not in str(error):
            raise
        raise ConfigError(
            f'source.kind is "{source.kind}", but this Spark has no source named {FORMATS[source.kind]}. '
            "Nothing was read. aws-kinesis is on EMR 7.1 and later, where spark.jars names its jar (docs/deploy.md); "
            "glue-kinesis on Glue only."
        ) from error
    return as_raw(rows, source).mapInArrow(_named_in_worker, RAW_RECORD)


def as_raw(rows: DataFrame, source: Source) -> DataFrame:
    """Columns out: schema.RAW_RECORD; shardId is null, and subSequenceNumber a number made of the record's bytes, by
    which those of one sequence number are told apart. Raises ConfigError."""
    found = {ours: next((name for name in names if name in rows.columns), None) for ours, names in COLUMNS.items()}
    lacking = [" or ".join(COLUMNS[ours]) for ours, name in found.items() if name is None]
    types = dict(rows.dtypes)
    if lacking or types["data"] != "binary":
        yields = ", ".join(f"{name} {kind}" for name, kind in types.items())
        raise ConfigError(
            f'source.kind "{source.kind}" yields the columns {yields}; records need '
            f"{', '.join(lacking) or 'data as binary'}. Nothing was read."
        )
    digest = F.xxhash64("data", "partitionKey").bitwiseAND(F.lit(LARGEST))
    return rows.select(
        "data",
        F.lit(source.stream.rpartition("/")[2]).alias("streamName"),
        F.lit(None).cast("string").alias("shardId"),
        "partitionKey",
        "sequenceNumber",
        digest.alias("subSequenceNumber"),
        F.col(str(found["approximateArrivalTimestamp"])).cast("timestamp").alias("approximateArrivalTimestamp"),
    )


def _named_in_worker(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    forget_zip_finders()
    yield from taken_apart(told_apart(batches))


def told_apart(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Gives rows that follow each other with the same name (sequenceNumber, subSequenceNumber) names of their own: the
    same bytes, twice in one packed record. A replay gives them the same names again."""
    last, seen = None, Counter[int]()
    for batch in batches:
        sequences, numbers = batch.column("sequenceNumber"), batch.column("subSequenceNumber")
        repeats = pc.any(pc.equal(sequences[1:], sequences[:-1]).fill_null(True)).as_py()
        if repeats or (batch.num_rows and sequences[0].as_py() == last):
            own = []
            for sequence, number in zip(sequences.to_pylist(), numbers.to_pylist(), strict=True):
                if sequence != last:
                    last, seen = sequence, Counter()
                own.append((number + seen[number]) & LARGEST)
                seen[number] += 1
            batch = _with(batch, "subSequenceNumber", pa.array(own, pa.int64()))
        elif batch.num_rows:
            last, seen = sequences[-1].as_py(), Counter({numbers[-1].as_py(): 1})
        yield batch


def taken_apart(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Records that the KPL packed into one, where the connector has not taken them apart: each a row, numbered from 0
    in subSequenceNumber, as this project's own source does it."""
    for batch in batches:
        packed = pc.starts_with(batch.column("data"), aggregation.MAGIC).fill_null(False)
        yield _apart(batch, packed.to_pylist()) if pc.any(packed).as_py() else batch


def _apart(batch: pa.RecordBatch, packed: list[bool]) -> pa.RecordBatch:
    origins: list[int] = []
    data: list[bytes | None] = []
    keys: list[str | None] = []
    numbers: list[int] = []
    columns = (batch.column(name).to_pylist() for name in ("data", "partitionKey", "subSequenceNumber"))
    for origin, (content, key, number) in enumerate(zip(*columns, strict=True)):
        inside = aggregation.unpack(content) if packed[origin] else None
        count = 1 if inside is None else len(inside)
        origins += [origin] * count
        data += [content] if inside is None else map(inside.data, range(count))
        keys += [key] if inside is None else map(inside.partition_key, range(count))
        numbers += [number] if inside is None else range(count)
    rows = batch.take(pa.array(origins, pa.int64()))
    rows = _with(rows, "data", pa.array(data, pa.binary()))
    rows = _with(rows, "partitionKey", pa.array(keys, pa.string()))
    return _with(rows, "subSequenceNumber", pa.array(numbers, pa.int64()))


def _with(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    columns = [column if field.name == name else batch.column(field.name) for field in batch.schema]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
