"""The backfill job: reads files or a Delta table into the lake of a job that is stopped, each record once.

    spark-submit backfill_events.py --config FILE --set source.kind=files --set source.path=PATH
                                    [--set section.key=value ...] [--report FILE]

FILE is the job's own configuration. Whatever ends it, starting it again goes on. Exit codes: 0 done, 2 wrong
configuration, 3 data would be lost, 4 the accounting failed, 1 anything else: a job that holds the lake, for one.
"""

from __future__ import annotations

import argparse
import sys

from event_lake.beside import backfill, backfill_of
from event_lake.config import Config
from event_lake.job import exit_code_of, run_stream


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "backfill_events.py", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="the job's TOML file, on any Hadoop path")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="goes before the file")
    parser.add_argument("--report", metavar="FILE", help="write the run's totals as JSON, on any Hadoop path")
    given, _ = parser.parse_known_args(arguments)  # Glue adds arguments of its own
    return exit_code_of(given, lambda config: _backfill(config, given.report))


def _backfill(config: Config, report: str | None) -> int:
    own = backfill_of(config)
    return run_stream(config, own.checkpoint.path, report, lambda spark, stop: backfill(spark, config, stop))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
