"""Shows what became of small files: each partition's before and after the job has put them together, by Delta's log."""

from __future__ import annotations

from demo_view import heading, print_table
from lake_tables import LakeTables

SHOWN = 8
SHOWN_TABLE = "events"


def show_compaction(tables: LakeTables) -> None:
    """Of the newest compaction of the events table."""
    version = max(tables.compactions[SHOWN_TABLE], default=None)
    if version is None:
        heading("No small files were put together: no partition has had too many of them, or there was no time")
        return
    before = tables.partitions(SHOWN_TABLE, version - 1)
    after = tables.partitions(SHOWN_TABLE, version)
    crowded = sum(files > 1 for files, _ in before.values())
    changed = [name for name in sorted(before) if before[name] != after[name]]
    heading(
        f"Small files, put together by the job after its micro-batch (version {version} of the events table)\n"
        f"  {crowded} of {len(before)} partitions had two; {len(changed)} fitted into the pause that it may make, and "
        f"further micro-batches take the others\n  files in all: {_files(before):,} -> {_files(after):,}"
    )
    rows = [(name, *before[name], *after[name]) for name in changed[:SHOWN]]
    print_table([("partition", "files before", "bytes before", "files after", "bytes after"), *rows])


def _files(partitions: dict[str, tuple[int, int]]) -> int:
    return sum(files for files, _ in partitions.values())
