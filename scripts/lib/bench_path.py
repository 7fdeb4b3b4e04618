"""The whole path, Kinesis to Delta, against plain Spark on the same events."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import run as run_script
from bench_events import FILES_PER_BATCH, STREAM, TYPES, Events, FilledKinesis, ceiling, make_events, write_files
from bench_report import commit, machine, median, memory_lines, path_notes, path_table, ratios, versions
from bench_run import Figures, Finished, RunFailed, clean_environment, run_measured, said

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "jobs"))
from event_lake.config_file import read_config
from event_lake.session import FIXED, PREFERRED

ROOT = run_script.ROOT
CONFIG = ROOT / "conf" / "local.toml"
YARDSTICK = "yardstick"
SLOW_ROUND_TRIP_SECONDS = 0.010
# The source keeps to what AWS allows by itself; a server without limits is to be read as fast as can be.
UNLIMITED = ("source.calls_per_second=1000", "source.bytes_per_second=1 GB")
NO_ACCOUNT = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass
class Case:
    """One row of the table: the same thing run several times."""

    name: str
    kinesis: FilledKinesis | None = None
    real: bool = False  # real shard limits and a round trip
    runs: list[Figures] = field(default_factory=list)
    calls: list[Mapping[str, Mapping[str, int]]] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=2_400_000, help="events a run (default %(default)s)")
    parser.add_argument("--batch", type=int, default=200_000, help="events a micro-batch (default %(default)s)")
    parser.add_argument("--warm-up", type=int, default=6, help="micro-batches that do not count (default %(default)s)")
    parser.add_argument("--shards", type=int, nargs="*", default=[4, 64], help="default 4 64")
    parser.add_argument("--repeat", type=int, default=2, help="runs a case; medians are shown (default %(default)s)")
    parser.add_argument(
        "--slow-repeat", type=int, default=1, help="runs with real limits (default %(default)s; 0: none)"
    )
    parser.add_argument("--no-yardstick", action="store_true", help="only the job itself")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other events (default %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="passed to the job")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every run")


def run(given: argparse.Namespace) -> None:
    """Raises RunFailed where a run fails or its result is wrong."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="event-lake-bench-")))
        with said(f"making {given.events:,} events"):
            events = make_events(folder, given.events, given.batch, given.seed)
        with said("writing them as files for the yardstick"):
            write_files(events, folder / "files")
        cases: list[Case] = []
        for shards in given.shards:
            with said(f"filling a Kinesis server with {shards} shards"):
                kinesis = stack.enter_context(closing(FilledKinesis(events, shards)))
            cases.append(Case(f"{shards} shards", kinesis))
        if not given.no_yardstick:
            cases.insert(1, Case(YARDSTICK))
        slow = [Case(f"{case.name}, real limits", case.kinesis, real=True) for case in cases if case.kinesis]
        for case in _interleaved(cases, given.repeat, slow, given.slow_repeat):
            with said(f"{case.name}, run {len(case.runs) + 1}"):
                finished = _run_once(case, events, folder, given.set)
                case.runs.append(Figures.of(finished, given.warm_up))
            _say_figures(case.runs[-1])
        _report(given, events, [case for case in [*cases, *slow] if case.runs])


def _interleaved(cases: Sequence[Case], repeat: int, slow: Sequence[Case], slow_repeat: int) -> Iterator[Case]:
    """Taking turns: whatever else this machine does for a while then meets every case alike."""
    for _ in range(repeat):
        yield from cases
    for _ in range(slow_repeat):
        yield from slow


def _run_once(case: Case, events: Events, folder: Path, overrides: Sequence[str]) -> Finished:
    home = folder / "run"
    home.mkdir()
    try:
        if case.kinesis is None:
            finished = run_measured(
                _yardstick_command(home, folder / "files", overrides),
                clean_environment(run_script.environment(home / "pid")),
                home / "log",
            )
        else:
            case.kinesis.prepare(case.real, SLOW_ROUND_TRIP_SECONDS)
            given = [*(() if case.real else UNLIMITED), *overrides]
            command = [str(ROOT / "scripts" / "run"), *_job_arguments(case.kinesis, home, given)]
            finished = run_measured(command, clean_environment(NO_ACCOUNT), home / "log", case.kinesis.server.pid)
            case.calls.append(case.kinesis.calls())
        _check(finished, events, home)
        return finished
    finally:
        shutil.rmtree(home)


def _job_arguments(kinesis: FilledKinesis, home: Path, overrides: Sequence[str]) -> list[str]:
    settings = [
        f"source.stream={STREAM}",
        f"source.endpoint_url={kinesis.server.endpoint_url}",
        f"lake.path=file://{home}/events",
        f"lake.quarantine_path=file://{home}/quarantine",
        f"checkpoint.path=file://{home}/checkpoint",
        *overrides,
    ]
    pairs = [word for setting in settings for word in ("--set", setting)]
    return ["--config", str(CONFIG), *pairs, "--until-caught-up", "--report", f"file://{home}/report.json"]


def _yardstick_command(home: Path, files: Path, overrides: Sequence[str]) -> list[str]:
    """spark-submit as scripts/run does it, with every setting that the job makes for itself."""
    config = read_config(CONFIG.read_text(), overrides)
    settings = {**PREFERRED, **{f"spark.{key}": value for key, value in config.spark.items()}, **FIXED}
    options = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    submit = run_script.command([])
    job = submit.pop()
    assert job.endswith("stream_events.py")
    delay = int((config.dedup.window + config.dedup.margin).total_seconds())
    return [
        *submit,
        *options,
        *(str(Path(__file__).parent / "bench_yardstick.py"), "--events", f"file://{files}"),
        *("--lake", f"file://{home}/events", "--checkpoint", f"file://{home}/checkpoint"),
        *("--delay", f"{delay} seconds", "--files-per-batch", str(FILES_PER_BATCH)),
    ]


def _check(finished: Finished, events: Events, home: Path) -> None:
    """Raises RunFailed where an event is missing or there twice: a fast wrong result is worth nothing."""
    expected = {"received": events.count, "stored": events.distinct, "duplicates": events.count - events.distinct}
    counted = {name: finished.total(name) for name in expected}
    wrong = events.check(home / "events") or (f"the job counted {counted}" if counted != expected else None)
    if wrong:
        raise RunFailed(f"the result is wrong: {wrong}; expected {expected}")


def _say_figures(figures: Figures) -> None:
    print(
        f"bench:   {figures.records_per_second:,.0f} records/s, {figures.cpu_seconds_per_million:.1f} CPU s a million, "
        f"peak {figures.peak_mib:,.0f} MiB, others kept {figures.other_load:.1f} cores busy",
        file=sys.stderr,
        flush=True,
    )


def _report(given: argparse.Namespace, events: Events, cases: Sequence[Case]) -> None:
    medians = {case.name: median(case.runs) for case in cases}
    yardstick = medians.get(YARDSTICK)
    place, made_with, measured = machine(), versions(), commit()
    print(
        f"\nThe whole path: {events.count:,} events of {events.data_bytes / events.count:.0f} bytes, {TYPES} types, "
        f"{100 * (1 - events.distinct / events.count):.1f} % duplicates, {given.batch:,} a micro-batch; "
        "lake, quarantine and checkpoint on the local file system\n"
        f"{place['cores']} cores, {place['memory_mib']:,} MiB, {place['cpu']}; Spark {made_with['pyspark']}, "
        f"Delta {made_with['delta-spark']}, Java {made_with['java']}, Python {made_with['python']}; "
        f"commit {str(measured['hash'])[:10]}{' and changes' if measured['changed'] else ''}\n"
    )
    print(path_table(medians, yardstick, {case.name: len(case.runs) for case in cases}))
    ceilings = {c.kinesis.shards: ceiling(events, c.kinesis.shards) for c in cases if c.real and c.kinesis}
    print(path_notes(given.warm_up, SLOW_ROUND_TRIP_SECONDS, ceilings))
    print("\n".join(memory_lines(medians)))
    if given.json:
        arguments = {name: str(value) if isinstance(value, Path) else value for name, value in vars(given).items()}
        document = {
            "bench": "path",
            "machine": place,
            "versions": made_with,
            "commit": measured,
            "arguments": arguments,
            "events": {"count": events.count, "distinct": events.distinct, "data_bytes": events.data_bytes},
            "cases": [_document(case, medians[case.name], yardstick) for case in cases],
        }
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _document(case: Case, median: Figures, yardstick: Figures | None) -> dict[str, Any]:
    return {
        "name": case.name,
        "shards": case.kinesis.shards if case.kinesis else None,
        "real_limits": case.real,
        "median": asdict(median),
        "ratio_to_yardstick": ratios(median, yardstick) if yardstick else None,
        "runs": [asdict(figures) for figures in case.runs],
        "kinesis_calls": case.calls,
    }
