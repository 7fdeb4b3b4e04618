"""The page lists what there is to measure."""

from __future__ import annotations

from datetime import UTC, datetime

from pyspark.sql.types import DoubleType

from event_lake.mark import BatchMark
from event_lake.telemetry.measured import Measured
from event_lake.telemetry.measures import MEASURES, numbers
from event_lake.telemetry.row import row_of
from lake import ROOT


def documented() -> list[tuple[str, str]]:
    """Name and unit of each measure, as the page has them; a row that has several units has one for each name."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    table = text.partition("| measure | unit | meaning |\n|---|---|---|\n")[2].partition("\n\n")[0]
    found = []
    for line in table.splitlines():
        names, units, _ = (cell.strip() for cell in line.strip("|").split("|"))
        measures = [name.strip("`") for name in names.split(", ")]
        of_each = units.split(", ")
        found += zip(measures, of_each if len(of_each) > 1 else of_each * len(measures), strict=True)
    return found


def test_the_page_lists_every_measure_with_its_unit() -> None:
    assert documented() == [(measure.name, measure.unit) for measure in MEASURES]


def test_a_micro_batch_that_was_not_maintained_gives_numbers_of_the_tables_types() -> None:
    measured = Measured(BatchMark("q", 1, "{}", None), datetime.now(UTC))
    row = row_of(measured, 1.5, {}, top_types=3)
    types = {measure.name: float if measure.type == DoubleType() else int for measure in numbers()}
    assert {name for name, kind in types.items() if row.get(name) is not None and type(row[name]) is not kind} == set()
