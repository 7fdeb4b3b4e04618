"""The deduplication alone: a micro-batch with each engine, at several numbers of keys that are remembered."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import run as run_script
from bench_report import commit, machine, table, versions
from bench_run import Figures, RunFailed, clean_environment, run_measured, said

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "jobs"))
from event_lake.session import FIXED

ROOT = run_script.ROOT
MILLION = 1_000_000
# The state's folder or the index's, under the checkpoint.
STATE = {"index": "seen", "spark": "state"}


@dataclass
class Case:
    """One row of the table."""

    engine: str
    keys: int
    state_bytes: int = 0
    figures: Figures | None = None
    seconds: list[float] = field(default_factory=list)  # of each steady micro-batch

    @property
    def name(self) -> str:
        return f"{self.engine}, {self.keys / MILLION:g} M keys"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keys", type=float, nargs="*", default=[1, 10, 50], help="in millions; default 1 10 50")
    parser.add_argument(
        "--spark-keys", type=float, nargs="*", default=[1, 10, 50], help="of Spark's operator; default 1 10 50"
    )
    parser.add_argument("--batch", type=int, default=100_000, help="records a micro-batch (default %(default)s)")
    parser.add_argument(
        "--batches", type=int, default=20, help="micro-batches measured and before (default %(default)s)"
    )
    parser.add_argument("--warm-up", type=int, default=10, help="of them, not counted (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every run")


def run(given: argparse.Namespace) -> None:
    """Raises RunFailed where a run fails or counts other duplicates than there are."""
    done: list[Case] = []
    try:
        for case in _cases(given):
            with said(case.name):
                _run_once(case, given)
            done.append(case)
    finally:
        if done:  # what was measured is told, whatever became of the others
            _report(given, done)


def _cases(given: argparse.Namespace) -> Iterator[Case]:
    for engine, numbers in (("index", given.keys), ("spark", given.spark_keys)):
        for millions in numbers:
            yield Case(engine, int(millions * MILLION))


def _run_once(case: Case, given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="event-lake-bench-") as folder:
        home = Path(folder)
        environment = clean_environment(run_script.environment(home / "pid"))
        finished = run_measured(_command(case, given, home), environment, home / "log")
        duplicates = finished.total("duplicates")
        expected = int(given.batch * 0.05 / 2) * (2 * given.batches - 1)
        if duplicates != expected:
            raise RunFailed(f"{case.name}: {duplicates} duplicates were found, not {expected}")
        case.figures = Figures.of(finished, given.warm_up)
        case.seconds = list(case.figures.batch_seconds.values())[given.warm_up :]
        files = [path for path in (home / "checkpoint" / STATE[case.engine]).rglob("*") if path.is_file()]
        case.state_bytes = sum(path.stat().st_size for path in files)


def _command(case: Case, given: argparse.Namespace, home: Path) -> list[str]:
    settings = {**FIXED, "spark.sql.shuffle.partitions": "4", "spark.master": "local[2]"}
    options = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    submit = run_script.command([])
    submit.pop()
    return [
        *submit,
        *options,
        *(str(Path(__file__).parent / "bench_dedup_job.py"), "--engine", case.engine, "--home", str(home)),
        *("--keys", str(case.keys), "--batch", str(given.batch), "--batches", str(given.batches)),
    ]


def _report(given: argparse.Namespace, cases: list[Case]) -> None:
    place, made_with, measured = machine(), versions(), commit()
    print(
        f"\nDeduplication: micro-batches of {given.batch:,} parsed records of 360 bytes, 5 % duplicates, half of them "
        f"of keys from before\n{place['cores']} cores, {place['memory_mib']:,} MiB, {place['cpu']}; Spark "
        f"{made_with['pyspark']}, Java {made_with['java']}, Python {made_with['python']}; commit "
        f"{str(measured['hash'])[:10]}{' and changes' if measured['changed'] else ''}\n"
    )
    rows = [["case", "s a batch", "CPU s a batch", "x its first", "bytes a key", "peak MiB", "jvm", "workers"]]
    first: dict[str, float] = {}
    for case in cases:
        assert case.figures is not None
        seconds, figures = median(case.seconds), case.figures
        roles = figures.peak_mib_by_role
        rows.append(
            [
                case.name,
                f"{seconds:.2f}",
                f"{figures.cpu_seconds_per_million * given.batch / MILLION:.2f}",
                f"{seconds / first.setdefault(case.engine, seconds):.2f}",
                f"{case.state_bytes / (case.keys + given.batch * given.batches):.0f}",
                f"{figures.peak_mib:,.0f}",
                f"{roles['jvm']:,.0f}",
                f"{roles['workers']:,.0f}",
            ]
        )
    print(table(rows))
    print(f"""
Medians of {given.batches - given.warm_up} micro-batches after {given.warm_up} of warm-up; reading them from Parquet,
persisting, judging, counting and remembering included, tables apart. x its first: against the engine's fewest keys.
index is filled by writing its segments, spread over one window; spark by running so many records through it.""")
    if given.json:
        arguments = {name: str(value) if isinstance(value, Path) else value for name, value in vars(given).items()}
        document: dict[str, Any] = {"bench": "dedup", "machine": place, "versions": made_with, "commit": measured}
        document |= {"arguments": arguments, "cases": [asdict(case) for case in cases]}
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
