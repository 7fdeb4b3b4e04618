"""Raw records -> parsed records: every record gets a verdict, none is dropped, nothing throws.

`verdict` says what a good event is; here the verdicts are given to whole Arrow batches.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from pyspark.sql import DataFrame

from event_lake.schema import PARSED_RECORD
from event_lake.verdict import Verdict, judge, lost

GAP = -1  # the `subSequenceNumber` of a row that the source hands on in place of lost records

UTC_MICROS = pa.timestamp("us", tz="UTC")


def parse(raw: DataFrame) -> DataFrame:
    """Columns in: schema.RAW_RECORD. Columns out: schema.PARSED_RECORD, one row for each row in."""
    return raw.mapInArrow(_judge_batches, PARSED_RECORD)


def _judge_batches(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    for batch in batches:
        yield _judge_batch(batch)


def _judge_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    data = batch.column("data")
    arrived = batch.column("approximateArrivalTimestamp")
    verdicts = [
        judge(record or b"", micros or 0)
        for record, micros in zip(data.to_pylist(), arrived.cast(pa.int64()).to_pylist(), strict=True)
    ]
    if data.null_count:
        verdicts = _with_gaps(verdicts, batch)
    columns = list(zip(*verdicts, strict=True)) if verdicts else [()] * 8
    types = [pa.string()] * 6 + [pa.int64(), pa.int64()]
    problem, detail, uuid, name, event_type, subtype, created_at, micros = (
        pa.array(column, kind) for column, kind in zip(columns, types, strict=True)
    )
    return pa.RecordBatch.from_arrays(
        [problem, detail, uuid, name, event_type, subtype, created_at, micros.cast(UTC_MICROS), data, arrived]
        + [batch.column(name) for name in ("shardId", "sequenceNumber", "subSequenceNumber")],
        names=PARSED_RECORD.fieldNames(),
    )


def _with_gaps(verdicts: list[Verdict], batch: pa.RecordBatch) -> list[Verdict]:
    """A row without data, numbered -1, is no record: it stands for some that are gone; its partition key says which."""
    columns = (batch.column(name).to_pylist() for name in ("data", "subSequenceNumber", "partitionKey"))
    return [
        lost(what) if data is None and number == GAP else verdict
        for verdict, data, number, what in zip(verdicts, *columns, strict=True)
    ]
