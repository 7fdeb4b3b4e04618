"""Runs the jobs through their scripts, with their output in log files and their own lines shown as they come."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from status_line import StatusLine

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
import class_archive
from embedded_aws import end_with_parent

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / ".cache" / "demo"
LIMIT_SECONDS = 300.0
END_SECONDS = 10.0
LOG_LINES_SHOWN = 25
# Of a job's own log, on standard output.
JOB_LINE = re.compile(r"[-0-9]+ [0-9:,]+ (?:INFO|WARNING|ERROR) \S+ (?P<said>.*)")


class JobFailed(Exception):
    """The job did not end with exit code 0; the message shows the end of its log."""


@dataclass(frozen=True)
class Run:
    report: dict[str, Any]
    seconds: float
    seconds_to_first_batch: float


def run_job(name: str, arguments: list[str], environment: dict[str, str]) -> Run:
    """Runs the job until it is caught up. Raises JobFailed."""
    log, report = LOGS / f"{name}.log", LOGS / f"{name}.json"
    report.unlink(missing_ok=True)
    command = ["run", *arguments, "--until-caught-up", "--report", str(report)]
    started = time.monotonic()
    first_batch = _run(log, command, environment)
    if not report.is_file():
        raise JobFailed(f"the job wrote no report to {_shown(report)}; the end of {_shown(log)}:\n{_tail(log)}")
    seconds = time.monotonic() - started
    return Run(json.loads(report.read_text()), seconds, seconds if first_batch is None else first_batch - started)


@contextlib.contextmanager
def report_in_the_making(arguments: list[str], environment: dict[str, str]) -> Iterator[Callable[[], Path]]:
    """Makes the page on the lake's quality meanwhile; yields what waits for it and gives its path, or raises
    JobFailed."""
    page = LOGS / "quality.html"
    page.unlink(missing_ok=True)
    command = ["report-quality", *arguments, "--output", page.as_uri()]
    with _running(LOGS / "report-quality.log", command, environment) as ended:

        def made() -> Path:
            ended()
            return page.relative_to(ROOT)

        yield made


def _run(log: Path, command: list[str], environment: dict[str, str]) -> float | None:
    """Runs one of the scripts; gives the moment at which its first micro-batch ended. Raises JobFailed."""
    with _running(log, command, environment) as ended:
        return ended()


@contextlib.contextmanager
def _running(log: Path, command: list[str], environment: dict[str, str]) -> Iterator[Callable[[], float | None]]:
    """One of the scripts; yields what waits for its end, as `_run` does. Whatever still runs then is ended."""
    LOGS.mkdir(parents=True, exist_ok=True)
    learned = log.with_suffix(".jsa")
    learned.unlink(missing_ok=True)
    if not class_archive.is_there():
        print("  (once: at its end Java writes down the classes it loaded, for faster starts)", flush=True)
    started, first_batch = time.monotonic(), list[float]()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [str(ROOT / "scripts" / command[0]), *command[1:]],
            cwd=ROOT,
            env={**environment, "SPARK_SUBMIT_OPTS": class_archive.java_options(learned)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            errors="replace",
            start_new_session=True,  # so that Ctrl-C reaches the demo alone, which then ends the job
            preexec_fn=end_with_parent,  # noqa: PLW1509 (it calls the kernel, nothing of Python's)
        )

        def ended() -> float | None:
            code = _follow(process, output, started, first_batch)
            if code != 0:
                raise JobFailed(f"the job ended with exit code {code}; the end of {_shown(log)}:\n{_tail(log)}")
            class_archive.keep(learned)
            return first_batch[0] if first_batch else None

        try:
            yield ended
        finally:
            _end(process)


def _follow(process: subprocess.Popen[str], output: IO[str], started: float, first_batch: list[float]) -> int:
    """Shows what the job says of itself, and on a terminal that time goes by; gives the exit code."""
    assert process.stdout is not None
    lines: queue.Queue[str | None] = queue.Queue()
    waiting = StatusLine(sys.stdout)
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    while True:
        seconds = time.monotonic() - started
        if seconds > LIMIT_SECONDS:
            raise JobFailed(f"the job was not done after {LIMIT_SECONDS:.0f} s; its log is {_shown(Path(output.name))}")
        with contextlib.suppress(queue.Empty):
            line = lines.get(timeout=0.2)
            if line is None:
                waiting.clear()
                return process.wait(END_SECONDS)
            output.write(line)
            output.flush()
            if line.startswith("received=") or "received=" in line:
                first_batch.append(time.monotonic())
            if said := JOB_LINE.match(line.rstrip()):
                waiting.clear()
                print(f"  {seconds:5.1f} s  {said['said']}", flush=True)
        waiting.show(f"  {seconds:5.1f} s  …")


def _read(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """Ends a job that still runs, and all that it started; its work is lost with the AWS that it reads anyway."""
    started = [process.pid, *_descendants(process.pid)] if process.poll() is None else []
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)


def _descendants(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [pid]
    for ancestor in found:
        found += [child for child, parent in parents if parent == ancestor]
    return found[1:]


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  | {line}" for line in lines[-LOG_LINES_SHOWN:])
