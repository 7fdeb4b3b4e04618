"""One HTML page on the quality of a lake: what came, what became of it, how long it took, and what stands out.

    spark-submit report_quality.py --config FILE [--set section.key=value ...] --output FILE [--last DURATION]
        [--audit FILE] [--examples N]

Reads only, so the job may run meanwhile. Exit codes: 0 done, 2 wrong configuration, 1 anything else.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from event_lake.config import Config
from event_lake.config_file import parse_duration
from event_lake.errors import ConfigError, EventLakeError
from event_lake.job import exit_code_of
from event_lake.report.period import Period
from event_lake.session import create_session
from event_lake.storage import Storage

MOST_EXAMPLES = 20


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="report_quality.py", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="the job's TOML file, on any Hadoop path")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="goes before the file")
    parser.add_argument("--output", required=True, metavar="FILE", help="the page, on any Hadoop path")
    parser.add_argument("--last", default="7 days", metavar="DURATION", help="the time up to now that it is about")
    parser.add_argument("--audit", metavar="FILE", help="what audit_events.py --report has written")
    parser.add_argument(
        "--examples", type=int, default=3, metavar="N", help="how many records of each problem it shows; 0: none"
    )
    given, _ = parser.parse_known_args(arguments)  # Glue adds arguments of its own
    return exit_code_of(given, lambda config: _report(config, given))


def _report(config: Config, given: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    period = Period(now - parse_duration("--last", given.last), now)
    if not 0 <= given.examples <= MOST_EXAMPLES:
        raise ConfigError(f"--examples is {given.examples}; expected 0 to {MOST_EXAMPLES}")
    try:
        from event_lake.report.gather import gather  # noqa: PLC0415
        from event_lake.report.page import page  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise EventLakeError(
            "the report's charts need matplotlib on the driver: pip install matplotlib, or event-lake[report]"
        ) from error
    spark = create_session(config)
    try:
        figures = gather(spark, config, period, examples=given.examples, audit_path=given.audit)
        Storage.of_session(spark).write_text(given.output, page(figures))
    finally:
        spark.stop()
    print(f"report={given.output}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
