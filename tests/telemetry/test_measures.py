"""The page lists what there is to measure."""

from __future__ import annotations

from event_lake.telemetry.measures import MEASURES
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
