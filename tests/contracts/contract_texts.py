"""Builders: the contracts that are shipped, and made-up ones of one event; and what parsing makes of events by them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from event_lake.compressed import MOST_UNPACKED
from event_lake.contracts.contract_set import ContractSet
from event_lake.parse import parsed
from records import ARRIVED, raw_records, raw_table

SHIPPED = Path(__file__).resolve().parents[2] / "conf" / "contracts"


def shipped() -> ContractSet:
    return ContractSet({unquote(file.stem): file.read_text(encoding="utf-8") for file in SHIPPED.glob("*.json")})


def contract(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


def contract_set(schema: dict[str, Any], only_count: bool = False, name: str = "lesson:started") -> ContractSet:
    return ContractSet({name: json.dumps(schema)}, only_count)


def parsed_by(contracts: ContractSet | None, *data: bytes | None, arrived: datetime = ARRIVED) -> list[dict[str, Any]]:
    """The row (schema.PARSED_RECORD) of each record that arrived then."""
    raw = raw_table(raw_records(data, approximateArrivalTimestamp=arrived))
    return [row for batch in parsed(raw.to_batches(), MOST_UNPACKED, contracts) for row in batch.to_pylist()]
