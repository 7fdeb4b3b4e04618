"""Shows a person what stands in the lake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lake_tables import LakeTables

TYPES_SHOWN = 10


def show_lake(tables: LakeTables) -> None:
    heading(f"Rows per event_type and date ({tables.files['events']} files, table version {tables.versions['events']})")
    _show_types(tables)
    heading("A few rows of the events table")
    _show_rows(tables)
    heading(f"Quarantine ({tables.one('SELECT count(*) FROM quarantine'):,} records, the bytes as they came)")
    _show_quarantine(tables)
    heading(f"Duplicates ({tables.one('SELECT count(*) FROM duplicates'):,} copies, each with its first)")
    _show_duplicates(tables)


def _show_types(tables: LakeTables) -> None:
    dates = [date for (date,) in tables.rows("SELECT DISTINCT date::VARCHAR AS d FROM events ORDER BY d")]
    per_date = ", ".join(f"count(*) FILTER (date::VARCHAR = '{date}')" for date in dates)
    rows = tables.rows(f"SELECT event_type, count(*) AS n, {per_date} FROM events GROUP BY 1 ORDER BY n DESC, 1")
    table: list[Sequence[Any]] = [("event_type", "rows", *dates), *rows[:TYPES_SHOWN]]
    if others := rows[TYPES_SHOWN:]:
        table.append((f"{len(others)} more types", *(sum(column) for column in list(zip(*others, strict=True))[1:])))
    print_table(table)


def _show_rows(tables: LakeTables) -> None:
    columns = "event_uuid, event_type, event_subtype, created_datetime::VARCHAR, date::VARCHAR, payload"
    rows = f"SELECT {columns} FROM events"
    samples = tables.rows(f"{rows} WHERE date = '2022-02-14' AND length(event_uuid) = 10 ORDER BY created_at")
    others = tables.rows(f"{rows} WHERE length(event_uuid) = 36 ORDER BY md5(event_uuid) LIMIT 3")
    header = [name.split("::")[0] for name in columns.split(", ")]
    print_table([header, *((*row[:-1], shown(row[-1], 60)) for row in samples + others)])


def _show_quarantine(tables: LakeTables) -> None:
    rows = tables.rows(
        "SELECT problem, count(*) AS n, arg_min(detail, hash(data)), arg_min(data, hash(data)) "
        "FROM quarantine GROUP BY 1 ORDER BY n DESC, 1"
    )
    examples = [(problem, number, shown(detail, 60), shown(data, 60)) for problem, number, detail, data in rows]
    print_table([("problem", "records", "detail of one", "its data"), *examples])


def _show_duplicates(tables: LakeTables) -> None:
    rows = tables.rows(
        "SELECT same_payload, count(*), arg_max(event_uuid, gap_seconds), arg_max(event_name, gap_seconds), "
        "max(gap_seconds), median(epoch(stored_at) - epoch(arrived_at)) FROM duplicates GROUP BY 1 ORDER BY 2 DESC"
    )
    header = ("bytes are", "copies", "the one with the longest gap", "its name", "its gap", "recognised after (median)")
    table = [
        ("the same" if same else "others", number, shown(uuid, 40), name, f"{gap:.3f} s", f"{after:.1f} s")
        for same, number, uuid, name, gap, after in rows
    ]
    print_table([header, *table])


def shown(value: str | bytes | None, width: int) -> str:
    """Its beginning and its end, with nothing in it that could move the cursor."""
    text = "" if value is None else value
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="backslashreplace")
    escaped = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return escaped if len(escaped) <= width else f"{escaped[: width * 2 // 3]}…{escaped[-width // 3 + 1 :]}"


def heading(text: str) -> None:
    print(f"\n{text}")


def print_table(rows: Sequence[Sequence[Any]]) -> None:
    """The first row names the columns; whole numbers stand on the right."""
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell or "") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    is_number = [isinstance(cell, int) for cell in rows[-1]]
    for row in texts:
        cells = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, is_number, strict=True)
        ]
        print("  " + "  ".join(cells).rstrip())
