"""What every job does around its work: logs for people, its configuration, and an exit code for each error."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from typing import TextIO

from event_lake.config import Config, read_config
from event_lake.errors import EventLakeError
from event_lake.storage import configuration_text

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
