"""The notebooks in Jupyter: on a stream and a lake of made-up events, or on those of a configuration.

Exit code: Jupyter's; 1 where the job that fills the lake failed.
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from demo_job import ROOT, JobFailed, run_job
from run import spark_environment, submit_options

sys.path.insert(0, str(ROOT / "tests"))
from kinesis_server import KinesisServer
from traffic import generate

STREAM, SHARDS, REGION = "events", 4, "us-east-1"
MINUTES = 60  # of arrivals that are made up
BROKEN = 0.02
# Nothing of a person's own AWS settings may lead anybody to a real account.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
}
LOCAL = ROOT / "conf" / "local.toml"
PLACES = {
    "lake.path": "events",
    "lake.quarantine_path": "quarantine",
    "checkpoint.path": "checkpoint",
    "metrics.table_path": "metrics",
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="notebook", description=(__doc__ or "").splitlines()[0], epilog="All else is given to Jupyter."
    )
    parser.add_argument("--config", metavar="FILE", help="the job's TOML file; default: a lake that is made up")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="goes before the file")
    parser.add_argument("--count", type=int, default=20_000, help="how many events to make up (default %(default)s)")
    given, for_jupyter = parser.parse_known_args(arguments)
    if given.config:
        path = given.config if "://" in given.config else str(Path(given.config).resolve())
        return jupyter(kernel_environment(path, given.set), for_jupyter)
    with KinesisServer() as server, tempfile.TemporaryDirectory(prefix="event-lake-notebook-") as folder:
        os.environ.update(CREDENTIALS)
        settings = [*made_up(server, Path(folder), given.count), *given.set]
        print(f"The job stores {given.count:,} made-up events of the last {MINUTES} minutes:", flush=True)
        try:
            run_job("notebook", ["--config", str(LOCAL), *_as_arguments(settings)], dict(os.environ))
        except JobFailed as error:
            print(f"notebook: FAILED: {error}")
            return 1
        return jupyter(kernel_environment(str(LOCAL), settings), for_jupyter)


def made_up(server: KinesisServer, folder: Path, count: int, types: int = 20, slices: int = 12) -> list[str]:
    """Fills a stream with events that arrived within the last MINUTES, at a rate that goes up and down; gives the
    settings for a job that stores them in a folder, in about so many micro-batches."""
    server.create_stream(STREAM, SHARDS)
    now = time.time()
    for number, put in enumerate(generate(count, types=types, broken=BROKEN, seed=1, now=now - MINUTES * 60)):
        share = number / count
        arrival = now - 60 * MINUTES * (1 - share - math.sin(6 * math.pi * share) / 30)
        server.put(STREAM, put.data, partition_key=put.partition_key, arrival=arrival)
    return [
        f"source.stream={STREAM}",
        f"source.region={REGION}",
        f"source.endpoint_url={server.endpoint_url}",
        f"source.slice={MINUTES * 60 // slices} seconds",
        *(f"{key}={(folder / name).as_uri()}" for key, name in PLACES.items()),
    ]


def kernel_environment(config: str, settings: Sequence[str]) -> dict[str, str]:
    """What a kernel needs to open a lake: `open_lake` reads the configuration from it, and pyspark how to start."""
    return spark_environment() | {
        "EVENT_LAKE_CONFIG": config,
        "EVENT_LAKE_SET": "\n".join(settings),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT / "jobs"), os.environ.get("PYTHONPATH")))),
        "PYSPARK_SUBMIT_ARGS": shlex.join([*submit_options(), "pyspark-shell"]),
    }


def jupyter(environment: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Until it is ended, in its browser window or by Ctrl-C, which it asks about itself."""
    place = ["--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={ROOT / 'notebooks'}"]
    process = subprocess.Popen([sys.executable, "-m", "jupyterlab", *place, *arguments], env=environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return process.wait()


def _as_arguments(settings: Sequence[str]) -> list[str]:
    return list(chain.from_iterable(("--set", setting) for setting in settings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
