"""What a measurement says of itself: medians, ratios, the table for people, and where it was taken."""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench_run import Figures

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pyspark", "delta-spark", "pyarrow", "orjson", "botocore", "urllib3")
LIMIT_MIB = 3 * 1024


def median(runs: Sequence[Figures]) -> Figures:
    """Each figure's median on its own; they need not be of one run."""

    def of(name: str) -> Any:
        values = [getattr(figures, name) for figures in runs]
        if isinstance(values[0], Mapping):
            known = [key for key in values[0] if all(key in value for value in values)]
            return {key: statistics.median(value[key] for value in values) for key in known}
        return statistics.median(values)

    return Figures(**{f.name: of(f.name) for f in fields(Figures)})


def ratios(ours: Figures, yardstick: Figures) -> dict[str, float]:
    """Above 1, the job is faster, or uses more."""
    return {
        "records_per_second": ours.records_per_second / yardstick.records_per_second,
        "cpu_seconds_per_million": ours.cpu_seconds_per_million / yardstick.cpu_seconds_per_million,
        "peak_mib": ours.peak_mib / yardstick.peak_mib,
    }


def table(rows: Sequence[Sequence[str]]) -> str:
    """The first row is the head, the first column is text; the rest stands to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def path_table(medians: Mapping[str, Figures], yardstick: Figures | None, runs: Mapping[str, int]) -> str:
    head = ["case", "runs", "records/s", "CPU s/M", "of it chmod", "Kinesis CPU s/M", "peak MiB"]
    head += ["warm-up s", "first batch s", "others' cores"]
    rows = [[*head, "x records/s", "x CPU"] if yardstick else head]
    for name, figures in medians.items():
        row = [
            name,
            str(runs[name]),
            f"{figures.records_per_second:,.0f}",
            f"{figures.cpu_seconds_per_million:.1f}",
            f"{figures.helper_cpu_seconds_per_million:.1f}",
            f"{figures.served_cpu_seconds_per_million:.1f}" if figures.served_cpu_seconds_per_million else "-",
            f"{figures.peak_mib:,.0f}",
            f"{figures.warm_up_seconds:.1f}",
            f"{figures.start_seconds:.1f}",
            f"{figures.other_load:.2f}",
        ]
        if yardstick:
            against = ratios(figures, yardstick)
            row += [f"{against['records_per_second']:.2f}", f"{against['cpu_seconds_per_million']:.2f}"]
        rows.append(row)
    return table(rows)


def path_notes(warm_up: int, round_trip: float, ceilings: Mapping[int, float]) -> str:
    """What the table's words mean; `ceilings` are the records a second that so many shards give at most."""
    given = ", ".join(f"{shards} shards {most:,.0f}" for shards, most in ceilings.items())
    notes = f"""
Medians. records/s and CPU s/M (a million records): steady, after {warm_up} micro-batches of warm-up. CPU: the JVM and
its Python processes, Kinesis' own apart; of it chmod: programs that Hadoop runs for each file on a local disk, and
nowhere else. yardstick: the same events from JSON-lines files through plain Spark; x: this case / yardstick.
others' cores: what the rest of this machine kept busy meanwhile, this measurement included."""
    if ceilings:
        notes += f"""
real limits: 5 calls/s and 2 MiB/s a shard, {1000 * round_trip:.0f} ms a round trip; most records/s: {given}."""
    return notes + "\nPeak memory, the JVM's resident and the Python processes' proportional sets:"


def source_notes(processes: int, data_bytes: int, round_trip_ms: float) -> str:
    """What the words of the source's table mean."""
    return f"""
Medians. {processes} processes read records of {data_bytes} bytes from a Kinesis server in a process of its own, on
the same cores. records/s and MB/s: from letting them go to the last one's end, starting and planning apart. CPU s/M:
seconds of all reading processes for a million records (Spark: of the JVM and its Python processes). plan s: finding
where each shard ends. peak MiB: of all reading processes together. limited: 5 calls/s and 2 MiB/s a shard,
{round_trip_ms:g} ms a round trip; catching up: slice by slice as a streaming query does, planning included; of 2 MiB/s:
the share of that which was reached, without the second's worth that is saved up at the start."""


def memory_lines(medians: Mapping[str, Figures]) -> list[str]:
    """Peaks by kind of process; each at its own moment, so that they add up to more than the peak of all."""
    return [
        f"  {name}: {figures.peak_mib:,.0f} of {LIMIT_MIB:,} MiB"
        f"{'' if figures.peak_mib <= LIMIT_MIB else ' - TOO MUCH'} ("
        + ", ".join(f"{role} {mib:,.0f}" for role, mib in figures.peak_mib_by_role.items())
        + ")"
        for name, figures in medians.items()
    ]


def machine() -> dict[str, Any]:
    memory = re.search(r"MemTotal:\s+([0-9]+) kB", Path("/proc/meminfo").read_text())
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cores": os.cpu_count(),
        "memory_mib": int(memory[1]) // 1024 if memory else None,
        "cpu": model[1].strip() if model else platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    java = str(Path(os.environ["JAVA_HOME"]) / "bin" / "java") if os.environ.get("JAVA_HOME") else "java"
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    return {
        "python": platform.python_version(),
        "java": told.split('"')[1] if '"' in told else told.split("\n")[0],
        **{package: version(package) for package in PACKAGES},
    }


def commit() -> dict[str, Any]:
    """The commit that was measured, and whether files of the job differ from it; nothing where there is no git."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "jobs", "conf", "scripts", "requirements")
        return {"hash": git("rev-parse", "HEAD"), "changed": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {"hash": None, "changed": None}
