"""Maintenance of a lake whose job is stopped: small files put together, deleted ones removed, advice on partitioning.

    spark-submit maintain_tables.py --config FILE [--set section.key=value ...] [--dry-run] [--repartition]

Exit codes: 0 done, 2 wrong configuration, 1 anything else: a job that holds the lake, for one.
"""

from __future__ import annotations

import argparse
import sys

from event_lake.config import Config
from event_lake.job import exit_code_of
from event_lake.session import create_session
from event_lake.upkeep.stopped import maintain


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "maintain_tables.py", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="TOML file, on any Hadoop path")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="goes before the file")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
    parser.add_argument(
        "--repartition",
        action="store_true",
        help="first write an events table anew that lake.partition_by or lake.payload_variant does not fit",
    )
    given, _ = parser.parse_known_args(arguments)  # Glue adds arguments of its own
    return exit_code_of(given, lambda config: _maintain(config, given))


def _maintain(config: Config, given: argparse.Namespace) -> int:
    spark = create_session(config)
    try:
        maintain(spark, config, given.dry_run, say=lambda line: print(line, flush=True), anew=given.repartition)
    finally:
        spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
