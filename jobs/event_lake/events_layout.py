"""How the events table is laid out: by which columns it is partitioned, and whether it has payloads as VARIANT, too.

The VARIANT stands beside the payload, not in its place: it is a value and not a text, so order and spacing of an
event's JSON, and numbers of more than 38 digits, are not in it. A payload that Spark makes no VARIANT of (over 1,000
levels, names over 50,000 characters, numbers over 1,000 digits: Jackson's bounds, seen on Spark 4.1) has null there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyspark
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructField, StructType

from event_lake.config import Lake
from event_lake.errors import ConfigError
from event_lake.schema import EVENTS_LAYOUTS

PAYLOAD_VARIANT = "payload_variant"
OFF, PLAIN, SHREDDED = "off", "plain", "shredded"  # lake.payload_variant
SHREDDING = "delta.enableVariantShredding"


@dataclass(frozen=True)
class EventsLayout:
    """`schema`: schema.EVENTS, and what the configuration adds to it."""

    schema: StructType
    partitions: tuple[str, ...]
    variant: str

    @property
    def properties(self) -> Mapping[str, str]:
        """Of a Delta table that is made so."""
        return {SHREDDING: "true"} if self.variant == SHREDDED else {}

    def completed(self, events: DataFrame) -> DataFrame:
        """Rows of the events table with the VARIANT, where this layout has it."""
        if self.variant == OFF:
            return events
        return events.withColumn(PAYLOAD_VARIANT, F.expr("try_parse_json(payload)"))


def layout_of(lake: Lake) -> EventsLayout:
    """Raises ConfigError where this Spark knows no VARIANT, and it is configured."""
    schema, partitions = EVENTS_LAYOUTS[lake.partition_by]
    if lake.payload_variant != OFF:
        schema = StructType([*schema, StructField(PAYLOAD_VARIANT, _variant(lake.payload_variant))])
    return EventsLayout(schema, partitions, lake.payload_variant)


def variant_in(metadata: Any) -> str:
    """What lake.payload_variant was when a table became what it is, by its metadata (Delta's own)."""
    if PAYLOAD_VARIANT not in list(metadata.schema().fieldNames()):
        return OFF
    return SHREDDED if metadata.configuration().get(SHREDDING).contains("true") else PLAIN


def _variant(configured: str) -> DataType:
    try:
        from pyspark.sql.types import VariantType  # noqa: PLC0415 - Spark 3.5 has none
    except ImportError as error:
        raise ConfigError(
            f'lake.payload_variant is "{configured}", but Spark {pyspark.__version__} has no VARIANT, which came with '
            f'Spark 4. Set it to "{OFF}"; queries can parse `payload`.'
        ) from error
    return VariantType()
