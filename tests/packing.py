"""Records packed into one as the KPL does it, by AWS's own library."""

from __future__ import annotations

from aws_kinesis_agg.aggregator import RecordAggregator


def packed(*records: bytes) -> bytes:
    aggregator = RecordAggregator()
    for number, data in enumerate(records):
        aggregator.add_user_record(f"key-{number}", data)
    contents: bytes = aggregator.clear_and_get().get_contents()[2]
    return contents
