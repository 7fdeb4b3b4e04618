"""Raw records -> parsed records: every record gets a verdict, none is dropped, nothing throws.

`verdict` says what a good event is; here the verdicts are given to whole Arrow batches. Good events are then held
against their contracts, those of them that have one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from event_lake.compressed import MOST_UNPACKED
from event_lake.good_events import Columns, good_events
from event_lake.key import signed_halves
from event_lake.schema import PARSED_RECORD
from event_lake.verdict import Verdict, breaking_contract, judge, lost
from kinesis_source.worker import forget_zip_finders

if TYPE_CHECKING:
    from event_lake.contracts.contract_set import ContractSet

GAP = -1  # the `subSequenceNumber` of a row that the source hands on in place of lost records

UTC_MICROS = pa.timestamp("us", tz="UTC")


def parse(raw: DataFrame, most_unpacked: int = MOST_UNPACKED, contracts: ContractSet | None = None) -> DataFrame:
    """Columns in: schema.RAW_RECORD. Columns out: schema.PARSED_RECORD, one row for each row in.

    `data` stays as it came, but for a good event that came compressed (to at most `most_unpacked` bytes): there it is
    the event's JSON.
    """
    return raw.mapInArrow(partial(_parsed_in_worker, most_unpacked, contracts), PARSED_RECORD)


def _parsed_in_worker(
    most_unpacked: int, contracts: ContractSet | None, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    forget_zip_finders()
    yield from parsed(batches, most_unpacked, contracts)


def parsed(
    batches: Iterable[pa.RecordBatch], most_unpacked: int, contracts: ContractSet | None = None
) -> Iterator[pa.RecordBatch]:
    """The same for Arrow batches: schema.RAW_RECORD in, schema.PARSED_RECORD out, row for row."""
    for batch in batches:
        yield _judge_batch(batch, most_unpacked, contracts)


def _judge_batch(batch: pa.RecordBatch, most_unpacked: int, contracts: ContractSet | None) -> pa.RecordBatch:
    data, arrived = batch.column("data"), batch.column("approximateArrivalTimestamp")
    times = arrived.cast(pa.int64()).fill_null(0).to_pylist()
    found = good_events(data, times)
    problems: list[str | None] = [None] * batch.num_rows
    details = list(problems)
    unpacked: dict[int, bytes] = {}
    for number in found.others:
        verdict = _judge_row(batch, number, times[number], most_unpacked)
        found.put(number, verdict)
        problems[number], details[number] = verdict.problem, verdict.detail
        if verdict.unpacked is not None:
            unpacked[number] = verdict.unpacked
    if contracts:
        for number, broken in _breaches(contracts, data, found, problems, unpacked).items():
            details[number] = broken.detail
            if not contracts.only_count:
                problems[number] = broken.problem
                found.put(number, broken)
                unpacked.pop(number, None)  # what is not good stays as it came
    if unpacked:
        data = pa.array([unpacked.get(n, came) for n, came in enumerate(data.to_pylist())], pa.binary())
    texts = (problems, details, found.event_uuid, found.event_name, found.event_type, found.event_subtype)
    micros = pa.array(found.created_micros, pa.int64())
    return pa.RecordBatch.from_arrays(
        [pa.array(column, pa.string()) for column in texts]
        + [pc.divide(micros, 1_000_000), micros.cast(UTC_MICROS), data, arrived]  # none is before 1970
        + [batch.column(name) for name in ("shardId", "sequenceNumber", "subSequenceNumber", "partitionKey")]
        + _keys(found.event_uuid, micros),
        names=PARSED_RECORD.fieldNames(),
    )


def _breaches(
    contracts: ContractSet,
    data: pa.BinaryArray,
    found: Columns,
    problems: list[str | None],
    unpacked: dict[int, bytes],
) -> dict[int, Verdict]:
    """The verdicts on good events that break their contract, by row. Those without one cost a look at their name."""
    breaches: dict[int, Verdict] = {}
    names, texts = found.event_name, contracts.texts
    held = [number for number, name in enumerate(names) if name in texts and problems[number] is None]
    came = data.take(pa.array(held, pa.int64())).to_pylist()
    for number, record in zip(held, came, strict=True):
        name = names[number] or ""
        reason = contracts.broken(name, orjson.loads(unpacked.get(number, record)))
        if reason is not None:
            breaches[number] = breaking_contract(found.event_uuid[number], name, reason)
    return breaches


def _keys(uuids: list[str | None], created: pa.Int64Array) -> list[pa.Array]:
    """Null where there is no time of creation: in bad records."""
    is_bad = created.is_null().to_numpy(zero_copy_only=False)
    return [pa.array(half, mask=is_bad) for half in signed_halves(uuids)]


def _judge_row(batch: pa.RecordBatch, number: int, arrived_micros: int, most_unpacked: int) -> Verdict:
    data, sub = (batch.column(name)[number].as_py() for name in ("data", "subSequenceNumber"))
    if data is None and sub == GAP:
        # No record: it stands for some that are gone; its partition key says which.
        return lost(batch.column("partitionKey")[number].as_py())
    return judge(data or b"", arrived_micros, most_unpacked)
