"""What is installed is what is written down: each package in one version, each with its hashes."""

from __future__ import annotations

import re

import pytest

from lake import ROOT

FOLDER = ROOT / "requirements"


def pinned(name: str) -> dict[str, tuple[str, int]]:
    """By package: its version, and how many hashes it has."""
    found = {}
    for block in re.split(r"\n(?=[a-z])", (FOLDER / f"{name}.txt").read_text()):
        if match := re.match(r"([a-z0-9-]+)==(\S+)", block):
            found[match[1]] = (match[2], block.count("--hash=sha256:"))
    return found


def asked_for(name: str) -> dict[str, str | None]:
    """By package: its version where one is asked for."""
    lines = [line for line in (FOLDER / f"{name}.in").read_text().splitlines() if line and line[0] not in "#-"]
    parts = [re.match(r"([A-Za-z0-9_-]+)(?:\[.*\])?(?:==(\S+))?$", line) for line in lines]
    assert all(parts)
    return {part[1].lower().replace("_", "-"): part[2] for part in parts if part}


@pytest.mark.parametrize("name", ["build", "run", "dev", "notebook"])
def test_every_package_is_pinned_with_hashes_and_as_asked_for(name: str) -> None:
    pins = pinned(name)
    assert pins
    assert [package for package, (_, hashes) in pins.items() if hashes == 0] == []
    wanted = asked_for(name)
    assert {package: version or pins[package][0] for package, version in wanted.items()} == {
        package: pins[package][0] for package in wanted
    }


def test_what_the_job_runs_with_is_what_the_tests_run_with() -> None:
    run, dev = pinned("run"), pinned("dev")
    assert {package: dev.get(package) for package in run} == run
