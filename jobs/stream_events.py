"""The main job: reads events from Kinesis and writes them to the lake, until asked to stop.

    spark-submit stream_events.py --config FILE [--set section.key=value ...] [--until-caught-up] [--recover]
                                  [--report FILE]

Exit codes: 0 done, 2 wrong configuration, 3 data would be lost, 4 the accounting failed, 1 anything else.
"""

from __future__ import annotations

import argparse
import sys

from pyspark.sql import SparkSession

from event_lake.config import Config
from event_lake.job import exit_code_of, run_stream
from event_lake.metrics import Counts
from event_lake.pipeline import run
from event_lake.stop import StopRequest


def main(arguments: list[str]) -> int:
    given = _parse_arguments(arguments)
    return exit_code_of(given, lambda config: _run_job(config, given))


def _parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "stream_events.py", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="TOML file, on any Hadoop path")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="goes before the file")
    parser.add_argument("--until-caught-up", action="store_true", help="end when all that had arrived is stored")
    parser.add_argument("--recover", action="store_true", help="make a new checkpoint from the tables first")
    parser.add_argument("--report", metavar="FILE", help="write the run's totals as JSON, on any Hadoop path")
    # Glue adds arguments of its own (--JOB_NAME and others).
    given, _ = parser.parse_known_args(arguments)
    return given


def _run_job(config: Config, given: argparse.Namespace) -> int:
    def work(spark: SparkSession, stop: StopRequest) -> Counts:
        return run(spark, config, stop, given.until_caught_up, given.recover)

    return run_stream(config, config.checkpoint.path, given.report, work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
