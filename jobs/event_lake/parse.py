"""Raw records -> parsed records: every record gets a verdict, none is dropped, nothing throws.

`verdict` says what a good event is; here the verdicts are given to whole Arrow batches.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame

from event_lake.compressed import MOST_UNPACKED
from event_lake.schema import PARSED_RECORD
from event_lake.verdict import Verdict, judge, lost
from kinesis_source.worker import forget_zip_finders

GAP = -1  # the `subSequenceNumber` of a row that the source hands on in place of lost records

UTC_MICROS = pa.timestamp("us", tz="UTC")


def parse(raw: DataFrame, most_unpacked: int = MOST_UNPACKED) -> DataFrame:
    """Columns in: schema.RAW_RECORD. Columns out: schema.PARSED_RECORD, one row for each row in.

    `data` stays as it came, but for a good event that came compressed (to at most `most_unpacked` bytes): there it is
    the event's JSON.
    """
    return raw.mapInArrow(partial(_judge_batches, most_unpacked), PARSED_RECORD)


def _judge_batches(most_unpacked: int, batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    forget_zip_finders()
    for batch in batches:
        yield _judge_batch(batch, most_unpacked)


def _judge_batch(batch: pa.RecordBatch, most_unpacked: int) -> pa.RecordBatch:
    data = batch.column("data")
    arrived = batch.column("approximateArrivalTimestamp")
    verdicts = [
        judge(record or b"", micros or 0, most_unpacked)
        for record, micros in zip(data.to_pylist(), arrived.cast(pa.int64()).to_pylist(), strict=True)
    ]
    if data.null_count:
        verdicts = _with_gaps(verdicts, batch)
    *columns, unpacked = list(zip(*verdicts, strict=True)) if verdicts else [()] * 9
    if any(content is not None for content in unpacked):
        pairs = zip(unpacked, data.to_pylist(), strict=True)
        data = pa.array([came if content is None else content for content, came in pairs], pa.binary())
    types = [pa.string()] * 6 + [pa.int64(), pa.int64()]
    problem, detail, uuid, name, event_type, subtype, created_at, micros = (
        pa.array(column, kind) for column, kind in zip(columns, types, strict=True)
    )
    return pa.RecordBatch.from_arrays(
        [problem, detail, uuid, name, event_type, subtype, created_at, micros.cast(UTC_MICROS), data, arrived]
        + [batch.column(name) for name in ("shardId", "sequenceNumber", "subSequenceNumber", "partitionKey")],
        names=PARSED_RECORD.fieldNames(),
    )


def _with_gaps(verdicts: list[Verdict], batch: pa.RecordBatch) -> list[Verdict]:
    """A row without data, numbered -1, is no record: it stands for some that are gone; its partition key says which."""
    columns = (batch.column(name).to_pylist() for name in ("data", "subSequenceNumber", "partitionKey"))
    return [
        lost(what) if data is None and number == GAP else verdict
        for verdict, data, number, what in zip(verdicts, *columns, strict=True)
    ]
