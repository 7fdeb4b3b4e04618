"""The line on a terminal that says how far a drain or a backfill has come."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from terminal import Terminal

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts" / "lib"))
from drain import Drain
from status_line import StatusLine, duration

LIB = Path(__file__).resolve().parents[1] / "scripts" / "lib"
# A job that writes as jobs do: whole lines and torn ones, to both streams, and something that is no UTF-8.
COUNTS = "received=1000 stored=990 duplicates=10 quarantined=0 late_dropped=0"
WRITER = """
import os, time
os.write(1, b"2026-11-27 INFO event_lake started spark=4.1.1 source=kinesis\\n")
time.sleep(0.3)
for number in range(3):
    os.write(2, b"WARN TaskSet")
    time.sleep(0.1)
    os.write(1, b"received=1000 stored=990 duplicates=10 quarantined=0 late_dropped=0 batch=%d seconds=0.1 "
        b"lag_seconds=%d.0\\n" % (number, 90 - 40 * number))
    os.write(2, b"Manager: lost a task\\n")
    time.sleep(0.3)
os.write(1, b"payload \\xff\\nthe last line has no end")
raise SystemExit(3)
""".replace("COUNTS", COUNTS)
# What scripts/run does around spark-submit.
WATCHER = """
import subprocess, sys
from job_output import JobOutput, pipes
job = subprocess.Popen([sys.executable, "-c", sys.argv[1]], **pipes())
output = JobOutput(job)
while True:
    try:
        sys.exit(output.wait(timeout=1))
    except subprocess.TimeoutExpired:
        pass
"""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def batch(records: int, seconds: float, lag: float | str) -> str:
    counts = f"received={records} stored={records} duplicates=0 quarantined=0 late_dropped=0"
    return f"2026-11-27 07:00:00,000 INFO event_lake.batch {counts} batch=7 seconds={seconds} lag_seconds={lag}"


def told(clock: Clock, drain: Drain, at: float, line: str) -> list[str]:
    clock.now = at
    drain.told(line)
    return drain.parts()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with Terminal() as opened:
        yield opened


def test_a_drain_tells_records_rate_lag_and_the_time_left_at_the_pace_at_which_it_has_caught_up() -> None:
    clock = Clock()
    drain = Drain(clock)
    assert told(clock, drain, 12, "no line of a job") == ["no micro-batch yet", "12 s"]
    assert told(clock, drain, 20, "INFO event_lake started spark=4.1.1") == ["no micro-batch yet", "0 s"]
    # Planned at 20, when the next record had been waiting for an hour: from one micro-batch nobody can tell a pace.
    one = told(clock, drain, 30, batch(400_000, 10, 3600))
    assert one == ["400,000 records", "40,000/s", "60 min behind the tip", "10 s so far"]
    # Ten minutes of arrivals in ten seconds; what arrives meanwhile is not for this drain.
    two = told(clock, drain, 40, batch(400_000, 10, 3010))
    assert two == ["800,000 records", "40,000/s", "50 min behind the tip", "about 50 s left"]
    clock.now = 45
    assert drain.parts()[-1] == "about 45 s left"
    assert told(clock, drain, 90, batch(200_000, 10, 0)) == ["1,000,000 records", "14,286/s", "70 s so far"]


def test_totals_at_the_end_are_not_counted_as_a_micro_batch_once_more() -> None:
    clock = Clock()
    drain = Drain(clock)
    told(clock, drain, 10, batch(1000, 5, 0))
    end = "received=1000 stored=1000 duplicates=0 quarantined=0 late_dropped=0"
    assert told(clock, drain, 10, f"INFO event_lake finished {end} seconds=9.0")[0] == "1,000 records"
    assert told(clock, drain, 10, end)[0] == "1,000 records"


def test_a_source_that_does_not_tell_its_lag_is_shown_without() -> None:
    clock = Clock()
    drain = Drain(clock)
    told(clock, drain, 10, batch(1000, 5, "unknown"))
    assert told(clock, drain, 20, batch(3000, 5, "unknown")) == ["4,000 records", "200/s", "20 s so far"]


def test_durations_are_told_in_two_units_at_most() -> None:
    texts = [duration(seconds) for seconds in (0.4, 99, 600, 5999, 12_000, 400_000)]
    assert texts == ["0 s", "99 s", "10 min", "100 min", "3 h 20 min", "4 d 15 h"]


def test_what_a_job_writes_stands_above_the_line_unchanged_and_the_line_is_gone_at_the_end(terminal: Terminal) -> None:
    watcher, device = [sys.executable, "-c", WATCHER, WRITER], terminal.device
    ended = subprocess.run(
        watcher, cwd=LIB, stdout=device, stderr=device, env=os.environ | terminal.environment, check=False
    )
    terminal.close()
    assert ended.returncode == 3
    lines = terminal.lines()
    of_stderr = [line for line in lines if line.startswith("WARN")]
    assert of_stderr == ["WARN TaskSetManager: lost a task"] * 3
    assert [line for line in lines if line not in of_stderr] == [
        "2026-11-27 INFO event_lake started spark=4.1.1 source=kinesis",
        *(
            f"{COUNTS} batch={number} seconds=0.1 lag_seconds={lag}"
            for number, lag in enumerate(("90.0", "50.0", "10.0"))
        ),
        "payload \N{REPLACEMENT CHARACTER}",
        "the last line has no end",
        "",
    ]
    shown = terminal.shown()
    assert shown[0] == "no micro-batch yet, 0 s"
    assert {line.split(" records")[0] for line in shown if " records" in line} == {"1,000", "2,000", "3,000"}
    assert any("50 s behind the tip, about" in line for line in shown)


def test_only_what_fits_is_shown_also_when_the_terminal_becomes_narrower(terminal: Terminal) -> None:
    with open(terminal.device, "w", closefd=False) as stream:
        line = StatusLine(stream)
        for columns in (80, 40, 17, 8):
            terminal.resize(columns)
            line.show("1,000,000 records", "40,000/s", "12 min behind the tip", "about 2 min left")
        line.clear()
    terminal.close()
    assert terminal.shown() == [
        "1,000,000 records, 40,000/s, 12 min behind the tip, about 2 min left",
        "1,000,000 records, 40,000/s",
        "1,000,000 record",
        "1,000,0",
    ]
    assert terminal.lines() == [""]


def test_nothing_is_written_to_what_cannot_move_its_cursor(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with open(terminal.device, "w", closefd=False) as stream:
        dumb = StatusLine(stream)
        dumb.show("7 records")
        dumb.clear()
    monkeypatch.setenv("TERM", "xterm")
    with (tmp_path / "log").open("w") as file:
        redirected = StatusLine(file)
        redirected.show("7 records")
        redirected.clear()
    terminal.close()
    assert terminal.written() == (tmp_path / "log").read_text() == ""
