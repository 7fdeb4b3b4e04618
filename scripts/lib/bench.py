"""Measures on this machine, with real protocols and real processes; every sub-command checks what it measured.

    scripts/bench [path]    the whole path, Kinesis to Delta, against plain Spark on the same events
    scripts/bench source    the Kinesis source alone, against a plain boto3 loop
    scripts/bench dedup     the deduplication alone, its two engines at several numbers of keys
    scripts/bench tables    a simulated day of micro-batches in the tables, with maintenance and without

Figures go to stdout, progress to stderr; --json keeps everything. Exit code 0: measured; 1: a run failed or its result
was wrong.
"""

from __future__ import annotations

import argparse
import signal
import sys
from types import FrameType

import bench_dedup
import bench_path
import bench_source
import bench_tables
from bench_run import RunFailed

COMMANDS = {"path": bench_path, "source": bench_source, "dedup": bench_dedup, "tables": bench_tables}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        module.add_arguments(commands.add_parser(name, help=(module.__doc__ or "").splitlines()[0]))
    asks_for_help = bool(arguments) and arguments[0] in ("-h", "--help")
    if not asks_for_help and not (arguments and arguments[0] in COMMANDS):
        arguments = ["path", *arguments]
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        COMMANDS[given.command].run(given)
        return 0
    except RunFailed as error:
        print(f"bench: FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
