"""The replay job: reads quarantined records again after a fix, each once, into the lake of a job that is stopped.

    spark-submit replay_quarantine.py --config FILE --problem CODE [--problem CODE ...] [--set section.key=value ...]
                                      [--report FILE]

FILE is the job's own configuration, CODE what stands in the column `problem`. Whatever ends it, starting it again goes
on. Exit codes: 0 done, 2 wrong configuration, 3 data would be lost, 4 the accounting failed, 1 anything else: a job
that holds the lake, for one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from event_lake.config import Config
from event_lake.job import exit_code_of, run_stream
from event_lake.replay import replay, replay_of


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "replay_quarantine.py", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="the job's TOML file, on any Hadoop path")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="goes before the file")
    parser.add_argument("--problem", action="append", required=True, metavar="CODE", help="as in quarantine's column")
    parser.add_argument("--report", metavar="FILE", help="write the run's totals as JSON, on any Hadoop path")
    given, _ = parser.parse_known_args(arguments)  # Glue adds arguments of its own
    return exit_code_of(given, lambda config: _replay(config, given.problem, given.report))


def _replay(config: Config, problems: Sequence[str], report: str | None) -> int:
    own = replay_of(config)
    return run_stream(config, own.checkpoint.path, report, lambda spark, stop: replay(spark, config, problems, stop))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
