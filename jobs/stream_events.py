"""The main job: reads events from Kinesis and writes them to the lake, until asked to stop.

    spark-submit stream_events.py --config FILE [--set section.key=value ...] [--until-caught-up] [--recover]
                                  [--report FILE]

Exit codes: 0 done, 2 wrong configuration, 3 data would be lost, 4 the accounting failed, 1 anything else.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import sys
import time

from event_lake.config import Config
from event_lake.job import exit_code_of
from event_lake.metrics import Counts
from event_lake.pipeline import run
from event_lake.session import create_session
from event_lake.stop import StopRequest
from event_lake.storage import Storage

log = logging.getLogger("event_lake")


def main(arguments: list[str]) -> int:
    given = _parse_arguments(arguments)
    return exit_code_of(given, lambda config: _run_job(config, given))


def _parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="stream_events.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", required=True, metavar="FILE", help="TOML file, on any Hadoop path")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="goes before the file")
    parser.add_argument("--until-caught-up", action="store_true", help="end when all that had arrived is stored")
    parser.add_argument("--recover", action="store_true", help="make a new checkpoint from the tables first")
    parser.add_argument("--report", metavar="FILE", help="write the run's totals as JSON, on any Hadoop path")
    # Glue adds arguments of its own (--JOB_NAME and others).
    given, _ = parser.parse_known_args(arguments)
    return given


def _run_job(config: Config, given: argparse.Namespace) -> int:
    began = time.monotonic()
    spark = create_session(config)
    storage = Storage.of_session(spark)
    stop = StopRequest(storage, config.checkpoint.path)
    stop.listen()
    _tell_pid()
    log.info("started spark=%s source=%s lake=%s", spark.version, config.source.kind, config.lake.path)
    try:
        totals = run(spark, config, stop, given.until_caught_up, given.recover)
        seconds = round(time.monotonic() - began, 1)
        if given.report:
            storage.write_text(given.report, _report(totals, seconds))
        log.info("finished %s seconds=%s", totals, seconds)
        print(totals, flush=True)
        return 0
    finally:
        spark.stop()


def _report(totals: Counts, seconds: float) -> str:
    return json.dumps({**dataclasses.asdict(totals), "seconds": seconds}, indent=1) + "\n"


def _tell_pid() -> None:
    """For scripts/run, which passes signals on: under spark-submit only this process can hear them."""
    path = os.environ.get("EVENT_LAKE_PID_FILE")
    if path:
        with open(path, "w", encoding="utf-8") as file:
            file.write(str(os.getpid()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
