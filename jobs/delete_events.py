"""Deletes a person: every row whose JSON holds a value at a path, from every table of a lake whose job is stopped.

    spark-submit delete_events.py --config FILE [--set section.key=value ...] --where '$.account_id=42' [--where ...]
        [--where-from FILE] [--suspected] [--dry-run] [--report FILE]

Exit codes: 0 done, 2 wrong configuration or condition, 1 anything else: a job that holds the lake, for one. Where it
was killed, the same command goes on. docs/deletion.md says what it finds and what it cannot reach.
"""

from __future__ import annotations

import argparse
import sys

from event_lake.config import Config
from event_lake.deletion import delete
from event_lake.deletion.condition import Condition
from event_lake.errors import ConfigError
from event_lake.job import exit_code_of
from event_lake.session import create_session
from event_lake.storage import Storage, configuration_text


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "delete_events.py", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="TOML file, on any Hadoop path")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="goes before the file")
    parser.add_argument("--where", action="append", default=[], metavar="PATH=VALUE", help="any of them is enough")
    parser.add_argument("--where-from", metavar="FILE", help="more of them, one a line: not in the list of processes")
    parser.add_argument("--suspected", action="store_true", help="also what cannot be parsed and looks like it")
    parser.add_argument("--dry-run", action="store_true", help="count what would be deleted, and change nothing")
    parser.add_argument("--report", metavar="FILE", help="write the numbers as JSON")
    given, _ = parser.parse_known_args(arguments)  # Glue adds arguments of its own
    return exit_code_of(given, lambda config: _delete(config, given))


def _conditions(given: argparse.Namespace) -> list[Condition]:
    """Raises ConfigError, without the condition: it is about a person."""
    found = [Condition.parse(text, f"--where number {n}") for n, text in enumerate(given.where, 1)]
    if given.where_from:
        lines = configuration_text(given.where_from).splitlines()
        found += [
            Condition.parse(line.strip(), f"--where-from, line {n},") for n, line in enumerate(lines, 1) if line.strip()
        ]
    if not found:
        raise ConfigError("nothing says what to delete; expected --where PATH=VALUE, or --where-from FILE")
    return found


def _delete(config: Config, given: argparse.Namespace) -> int:
    conditions = _conditions(given)
    spark = create_session(config)
    try:
        report = delete(spark, config, conditions, suspected=given.suspected, dry_run=given.dry_run)
        if given.report:
            Storage.of_session(spark).write_text(given.report, report.to_json())
        for table in report.tables:
            print(table, flush=True)
        print(f"deletion={report.deletion_id} dry_run={str(report.dry_run).lower()}", flush=True)
    finally:
        spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
