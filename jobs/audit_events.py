"""The audit job: holds a range of the stream against the tables, and says what is missing and what is too much.

    spark-submit audit_events.py --config FILE [--set section.key=value ...] [--from TIME] [--to TIME] [--report FILE]

Exit codes: 0 all is right, 2 wrong configuration or range, 3 records are missing, 4 rows are too many, misplaced or
altered, 1 anything else. docs/audit.md explains the numbers.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
import time

from pyspark.sql import SparkSession

from event_lake.audit import Asked, Audit
from event_lake.audit.findings import sentence
from event_lake.config import Config
from event_lake.config_file import parse_duration
from event_lake.job import exit_code_of
from event_lake.lease import stopped_lake
from event_lake.session import create_session
from event_lake.storage import Storage

log = logging.getLogger("event_lake")


def main(arguments: list[str]) -> int:
    given = _parse_arguments(arguments)
    return exit_code_of(given, lambda config: _run_audit(config, _asked(given), given.report, given.repair))


def _asked(given: argparse.Namespace) -> Asked:
    look_back = parse_duration("--look-back", given.look_back) if given.look_back else None
    findings_path = f"{given.report}.findings" if given.report else None
    return Asked(given.since, given.until, look_back, given.show, findings_path)


def _parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("audit_events.py", description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("--config", required=True, metavar="FILE", help="the job's TOML file, on any Hadoop path")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="goes before the file")
    parser.add_argument("--from", dest="since", metavar="TIME", help="ISO 8601, or trim_horizon; default: a day ago")
    parser.add_argument("--to", dest="until", metavar="TIME", help="ISO 8601; default: where the events table ends")
    parser.add_argument(
        "--look-back", metavar="DURATION", help="how far back copies are sought; default: 2 x (dedup.window + margin)"
    )
    parser.add_argument("--show", type=int, default=20, metavar="N", help="how many findings are shown")
    parser.add_argument("--report", metavar="FILE", help="write the numbers as JSON, and all findings to FILE.findings")
    parser.add_argument(
        "--repair", action="store_true", help="first list duplicates that are not, and move events stored twice there"
    )
    # Glue adds arguments of its own (--JOB_NAME and others).
    given, _ = parser.parse_known_args(arguments)
    return given


def _run_audit(config: Config, asked: Asked, report_path: str | None, repair: bool) -> int:
    began = time.monotonic()
    spark = create_session(config)
    storage = Storage.of_session(spark)
    try:
        if asked.findings_path:
            storage.delete(asked.findings_path)  # of an earlier audit
        repaired = _repair(spark, config, asked) if repair else None
        with Audit(spark, config, asked) as audit:
            report = dataclasses.replace(audit.report(audit.find()), repaired=repaired)
        for finding in report.findings:
            log.error("%s", sentence(dict(finding)))
        seconds = round(time.monotonic() - began, 1)
        if report_path:
            storage.write_text(report_path, report.to_json(seconds))
        log.info("audited stream=%s from=%s to=%s seconds=%s", report.stream, report.start, report.end, seconds)
        print(report, flush=True)
        return report.exit_code
    finally:
        spark.stop()


def _repair(spark: SparkSession, config: Config, asked: Asked) -> dict[str, int]:
    """What it has done. The job is stopped meanwhile: a table has one writer."""
    with stopped_lake(Storage.of_session(spark), config) as lease, Audit(spark, config, asked) as audit:
        return dataclasses.asdict(audit.repair(lease.check))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
