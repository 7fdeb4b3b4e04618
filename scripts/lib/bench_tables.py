"""The tables after a simulated day of micro-batches: files, log, commits, queries, and what maintenance changes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import run as run_script
from bench_report import commit, machine, table, versions
from bench_run import RunFailed, clean_environment, said

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from class_archive import FAST_COMPILER

MODES = {
    "none": "no maintenance",
    "between": "the job's own, between micro-batches",
    "beside": "the same in a second thread, one core",
    "delta": "Delta's auto compaction",
    "optimized": "Delta's optimised writes",
}
MIB = 1024 * 1024
PAUSE = 0.05  # seconds after a micro-batch that count as maintenance
WARM_UP = 100  # micro-batches, until the JVM has compiled what they need
Lines = list[dict[str, Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batches", type=int, default=2000, help="a minute each (default %(default)s)")
    parser.add_argument("--types", type=int, default=10, help="event types (default %(default)s)")
    parser.add_argument("--rows", type=int, default=167, help="events of a type and micro-batch (default %(default)s)")
    parser.add_argument(
        "--small-files", type=int, default=50, help="maintenance.most_small_files (default %(default)s)"
    )
    parser.add_argument("--modes", nargs="+", choices=MODES, default=["none", "between"], help="default none between")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every micro-batch")


def run(given: argparse.Namespace) -> None:
    """Raises RunFailed where a run fails or a table does not hold what was written."""
    with said(", ".join(MODES[mode] for mode in given.modes)):
        lines = _lines(given)
    found = {mode: [line for line in lines if line["mode"] == mode] for mode in given.modes}
    print(_header(given))
    print(table([["micro-batches", *BATCHES], *([MODES[mode], *_batches(lines)] for mode, lines in found.items())]))
    print(table([["log", *LOG], *([MODES[mode], *_log(lines)] for mode, lines in found.items())]))
    print(table([["the first day", *STATE], *(row for mode, lines in found.items() for row in _states(mode, lines))]))
    if given.json:
        document = {"bench": "tables", "machine": machine(), "versions": versions(), "commit": commit(), "runs": found}
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _lines(given: argparse.Namespace) -> Lines:
    with tempfile.TemporaryDirectory(prefix="event-lake-bench-") as folder:
        home = Path(folder)
        settings = {"spark.master": "local[2]", "spark.sql.shuffle.partitions": "4"}
        options = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
        job = [str(Path(__file__).parent / "bench_tables_job.py"), "--home", folder, "--modes", *given.modes]
        sizes = [f"--{name}={getattr(given, name)}" for name in ("batches", "types", "rows")]
        sizes.append(f"--small-files={given.small_files}")
        command = [*run_script.command([])[:-1], *options, *job, *sizes]
        # Thousands of small commits: Java's optimising compiler costs more than it gives back.
        own = {"SPARK_SUBMIT_OPTS": FAST_COMPILER}
        environment = clean_environment({**run_script.environment(home / "pid"), **own})
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        raise RunFailed(f"exit code {done.returncode}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    wrong = [line for line in lines if "rows" in line and line["rows"] != line["written"]]
    if wrong:
        raise RunFailed(f"the table does not hold what was written: {wrong}")
    return lines


def _header(given: argparse.Namespace) -> str:
    place, made_with, measured = machine(), versions(), commit()
    events = given.batches * given.types * given.rows
    return (
        f"\nA simulated day of 24 million events over 100 types in 1,440 micro-batches, at {given.types} of 100 types: "
        f"{given.batches:,} micro-batches of {given.types} x {given.rows} events, {events:,} in all\n{place['cores']} "
        f"cores, {place['memory_mib']:,} MiB, {place['cpu']}; Spark {made_with['pyspark']}, Delta "
        f"{made_with['delta-spark']}, local disk; commit {str(measured['hash'])[:10]}"
        f"{' and changes' if measured['changed'] else ''}\n"
    )


BATCHES = ("write s: early", "late", "p99", "CPU s: early", "late", "pause s: median", "max", "all", "CPU s: pauses")


def _batches(lines: Lines) -> list[str]:
    batches = [line for line in lines if "write" in line]
    batches = batches[min(WARM_UP, len(batches) // 3) :]
    fifth = max(len(batches) // 5, 1)

    def middle(key: str, some: Lines) -> float:
        return median(line[key] for line in some)

    early, late = batches[:fifth], batches[-fifth:]
    pauses = [line["pause"] for line in batches if line["pause"] > PAUSE] or [0.0]
    figures = [middle("write", early), middle("write", late), quantiles([b["write"] for b in batches], n=100)[-1]]
    figures += [middle("cpu", early), middle("cpu", late), median(pauses), max(pauses), sum(pauses)]
    return [*(f"{figure:.2f}" for figure in figures), f"{sum(line['pause_cpu'] for line in batches):.0f}"]


LOG = ("live files: early", "late", "log files", "log MiB", "last checkpoint KiB")


def _log(lines: Lines) -> list[str]:
    looks = [line for line in lines if "log_files" in line]
    first, last = looks[len(looks) // 5], looks[-1]
    return [
        *(f"{count:,}" for count in (first["files"], last["files"], last["log_files"])),
        f"{last['log_bytes'] / MIB:.1f}",
        f"{last['checkpoint_bytes'] / 1024:.0f}",
    ]


STATE = ("files", "a partition", "MiB", "KiB a file", "DuckDB s", "Spark s", "maintenance s")


def _states(mode: str, lines: Lines) -> list[list[str]]:
    return [
        [
            f"{MODES[mode]}, {line['state']}",
            f"{line['day_files']:,}",
            f"{line['day_files'] / line['day_partitions']:.0f}",
            f"{line['day_bytes'] / MIB:.1f}",
            f"{line['day_bytes'] / line['day_files'] / 1024:,.0f}",
            f"{line['duckdb']:.2f}",
            f"{line['spark']:.2f}",
            f"{line['maintained']:.0f}" if line["maintained"] else "",
        ]
        for line in lines
        if "state" in line
    ]
