"""`scripts/bench source` measures, checks what it read, and writes its figures; small here, and without Spark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1] / "scripts" / "lib" / "bench.py"


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH), "source", "--repeat", "1", "--no-spark", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_source_is_measured_beside_a_plain_boto3_loop(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    sizes = ("--records", "4000", "--shards", "1", "3", "--limited-mib", "3", "--json", str(figures))
    done = bench(*sizes)
    assert done.returncode == 0, done.stderr
    cases = {case["name"]: case for case in json.loads(figures.read_text())["cases"]}
    assert set(cases) == {"1 shard", "3 shards", "3 shards, plain boto3", "8 limited", "8 limited, catching up"}
    assert [cases[name]["runs"][0]["records"] for name in ("1 shard", "3 shards")] == [4000, 3999]
    assert all(case["runs"][0]["cpu_seconds"] > 0 for case in cases.values())
    # Not above what the server lets through; the last answer is not waited for, and a run as short as this one is
    # mostly planning.
    assert all(0.0 < cases[name]["share"] < 1.5 for name in ("8 limited", "8 limited, catching up"))
    assert all(line.split("  ")[0] in done.stdout for line in cases)


def test_a_wrong_size_is_a_failed_run_and_says_what_would_do() -> None:
    done = bench("--records", "100", "--data-bytes", "50")
    assert done.returncode == 1
    assert "give at least 124" in done.stderr
