"""What every job does around its work: logs for people, its configuration, and an exit code for each error.

And those that run a stream: a session, an ear for whoever asks them to stop, and an account of what they did.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from pyspark.sql import SparkSession

from event_lake.config import Config
from event_lake.config_file import read_config
from event_lake.errors import EventLakeError
from event_lake.metrics import Counts
from event_lake.session import create_session
from event_lake.stop import StopRequest
from event_lake.storage import Storage, configuration_text

log = logging.getLogger("event_lake")


def exit_code_of(given: argparse.Namespace, work: Callable[[Config], int], logs: TextIO | None = None) -> int:
    """Runs a job's work, which returns its exit code, with the configuration that `--config` and `--set` give.

    An error of the tree of `errors` is told in one line and becomes its exit code. `logs`: standard output by default.
    """
    logging.basicConfig(
        stream=logs or sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    for chatty in ("py4j", "botocore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        return work(read_config(configuration_text(given.config), given.set))
    except EventLakeError as error:
        log.error("failed exit_code=%d %s", error.exit_code, error)
        return error.exit_code


def run_stream(
    config: Config, checkpoint_path: str, report: str | None, work: Callable[[SparkSession, StopRequest], Counts]
) -> int:
    """Runs work that may be asked to stop, by signals or by a marker under this checkpoint path. Prints what it
    counted, and writes it as JSON to `report`, on any Hadoop path."""
    began = time.monotonic()
    spark = create_session(config)
    storage = Storage.of_session(spark)
    stop = StopRequest(storage, checkpoint_path)
    stop.listen()
    _tell_pid()
    source, lake = config.source.kind, config.lake.path
    log.info("started spark=%s source=%s lake=%s checkpoint=%s", spark.version, source, lake, checkpoint_path)
    try:
        totals = work(spark, stop)
        seconds = round(time.monotonic() - began, 1)
        if report:
            text = json.dumps({**dataclasses.asdict(totals), "seconds": seconds}, indent=1) + "\n"
            storage.write_text(report, text)
        log.info("finished %s seconds=%s", totals, seconds)
        print(totals, flush=True)
        return 0
    finally:
        spark.stop()


def _tell_pid() -> None:
    """For scripts/run, which passes signals on: under spark-submit only this process can hear them."""
    path = os.environ.get("EVENT_LAKE_PID_FILE")
    if path:
        with open(path, "w", encoding="utf-8") as file:
            file.write(str(os.getpid()))
