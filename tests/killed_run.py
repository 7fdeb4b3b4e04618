"""The job in a process of its own, killed with kill -9 at one moment, however busy the machine is.

    killed_run.py RUN MODULE:CLASS.METHOD NTH KEY=VALUE...     (RUN: job or backfill; keys: of the config)

When the method is about to be called for the n-th time, this process and all that belong to it are killed.
"""

from __future__ import annotations

import importlib
import itertools
import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from conftest import small_session
from event_lake.beside import backfill
from event_lake.config_file import read_config
from event_lake.connectors.keys import CONNECTORS
from event_lake.pipeline import run
from event_lake.stop import StopRequest
from event_lake.storage import Storage
from lake import family


def kill_at(moment: str, nth: int) -> None:
    module, _, name = moment.partition(":")
    owner, _, method = name.partition(".")
    kind = getattr(importlib.import_module(module), owner)
    former, calls = getattr(kind, method), itertools.count(1)

    def watched(*arguments: Any, **named: Any) -> Any:
        if next(calls) >= nth:  # other threads come no further, either
            for pid in reversed(family(os.getpid())):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return former(*arguments, **named)

    setattr(kind, method, watched)


def main(kind: str, moment: str, nth: str, *settings: str) -> None:
    config = read_config("", list(settings))
    with tempfile.TemporaryDirectory() as home:
        spark = small_session(Path(home))
        kill_at(moment, int(nth))
        stop = StopRequest(Storage.of_session(spark), config.checkpoint.path)
        if kind == "backfill":
            backfill(spark, config, stop)
        else:
            run(spark, config, stop, until_caught_up=config.source.kind not in CONNECTORS)
        spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
