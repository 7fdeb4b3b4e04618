"""Makes the lake's tables known by name, in Hive's metastore, Glue's catalog, or whatever the session has.

    spark-submit register_tables.py --config FILE [--set section.key=value ...] --database NAME

Once for Delta; for parquet and json again whenever new partitions are to be seen. Needs no lease: no table is changed.
Exit codes: 0 done, 2 wrong configuration, 1 anything else.
"""

from __future__ import annotations

import argparse
import sys

from event_lake.config import Config
from event_lake.job import exit_code_of
from event_lake.session import create_session
from event_lake.upkeep.catalog import register


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "register_tables.py", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="TOML file, on any Hadoop path")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="goes before the file")
    parser.add_argument("--database", required=True, metavar="NAME", help="is made where there is none")
    given, _ = parser.parse_known_args(arguments)  # Glue adds arguments of its own
    return exit_code_of(given, lambda config: _register(config, given.database))


def _register(config: Config, database: str) -> int:
    spark = create_session(config)
    try:
        register(spark, config, database, say=lambda line: print(line, flush=True))
    finally:
        spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
