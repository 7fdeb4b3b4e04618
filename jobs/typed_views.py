"""Typed views over the events table, one an event type, from the contracts.

    spark-submit typed_views.py --config FILE [--set section.key=value ...] --print spark|duckdb|athena [--table NAME]
    spark-submit typed_views.py --config FILE [--set section.key=value ...] --create DATABASE [--table NAME]

Prints their SQL, or creates them in the session's catalog. A contract that has changed in a way that those who read the
table cannot follow is refused, with the differences. Exit codes: 0 done, 2 wrong configuration, 1 anything else.
"""

from __future__ import annotations

import argparse
import logging
import sys

from event_lake.config import Config
from event_lake.contracts.dialects import DIALECTS, statement
from event_lake.contracts.evolution import adopt, applied
from event_lake.contracts.files import read_contracts
from event_lake.contracts.views import TypedView, typed_views
from event_lake.errors import ConfigError
from event_lake.job import exit_code_of
from event_lake.session import create_session
from event_lake.storage import Storage

log = logging.getLogger("event_lake")


def main(arguments: list[str]) -> int:
    given = _parse_arguments(arguments)
    return exit_code_of(given, lambda config: _make_views(config, given), logs=sys.stderr)


def _make_views(config: Config, given: argparse.Namespace) -> int:
    if given.create:
        _create(config, given.create, given.table)
    else:
        views = views_of(Storage.of_driver(), config)
        print("\n\n".join(statement(view, given.print, config.lake, given.table) for view in views))
    return 0


def _parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("typed_views.py", description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("--config", required=True, metavar="FILE", help="the job's TOML file, on any Hadoop path")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="goes before the file")
    parser.add_argument("--table", metavar="NAME", help="the events table's name in the catalog; default: its path")
    wish = parser.add_mutually_exclusive_group(required=True)
    wish.add_argument("--print", choices=list(DIALECTS), help="write the SQL of this engine to standard output")
    wish.add_argument("--create", metavar="DATABASE", help="create or replace the views in this database")
    # Glue adds arguments of its own (--JOB_NAME and others).
    given, _ = parser.parse_known_args(arguments)
    return given


def views_of(storage: Storage, config: Config) -> list[TypedView]:
    """The views that the contracts in force, and those that were once, make together."""
    contracts = read_contracts(storage, config.contracts)
    if contracts is None:
        raise ConfigError("contracts.path is missing, or contracts.mode is off: views are made from contracts")
    adopt(storage, config.lake, contracts)
    return typed_views(applied(storage, config.lake))


def _create(config: Config, database: str, table: str | None) -> None:
    spark = create_session(config)
    try:
        views = views_of(Storage.of_session(spark), config)
        spark.sql(f"CREATE DATABASE IF NOT EXISTS `{database}`")
        for view in views:
            spark.sql(statement(view, "spark", config.lake, table, f"`{database}`."))
            log.info("created view=%s.%s columns=%d", database, view.name, len(view.columns))
    finally:
        spark.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
