"""Shows a typed view: columns that a contract names, out of payloads that nobody has rewritten."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.parse import unquote

from demo_job import ROOT
from demo_view import heading, print_table, shown
from lake_tables import LakeTables

sys.path.insert(0, str(ROOT / "jobs"))
from event_lake.config import Lake
from event_lake.contracts.dialects import statement
from event_lake.contracts.views import typed_views

SHOWN = "lesson"
COLUMNS = ("event_name", "lesson_id", "title", "duration_minutes", "completion_status", "completion_date")


def show_typed_view(tables: LakeTables) -> None:
    """Makes the view in DuckDB as `typed_views.py --print duckdb --table events` writes it."""
    (view,) = [view for view in typed_views(_contracts(ROOT / "conf" / "contracts")) if view.name == SHOWN]
    tables.duckdb.execute(statement(view, "duckdb", Lake(), "events"))
    types = dict(tables.rows(f"SELECT column_name, column_type FROM (DESCRIBE {SHOWN})"))
    heading(f"The typed view {SHOWN}, from conf/contracts ({tables.one(f'SELECT count(*) FROM {SHOWN}'):,} events)")
    texts = ", ".join(f"{column}::VARCHAR" for column in COLUMNS)
    rows = f"SELECT {texts} FROM {SHOWN} WHERE lesson_id IS NOT NULL"
    samples = tables.rows(f"{rows} AND date = '2022-02-14' AND length(event_uuid) = 10 ORDER BY created_at")
    others = tables.rows(f"{rows} AND length(event_uuid) = 36 ORDER BY md5(event_uuid) LIMIT 3")
    cells = [[shown(cell, 40) for cell in row] for row in samples + others]
    print_table([[f"{column} {types[column]}" for column in COLUMNS], *cells])


def _contracts(folder: Path) -> dict[str, dict[str, object]]:
    """By the event_name that each file is named after."""
    return {unquote(file.stem): json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}
