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


@pytest.mark.parametrize("name", ["build", "run", "dev", "notebook", "checkov/checkov"])
def test_every_package_is_pinned_with_hashes_and_as_asked_for(name: str) -> None:
    pins = pinned(name)
    assert pins
    assert [package for package, (_, hashes) in pins.items() if hashes == 0] == []
    wanted = asked_for(name)
    assert {package: version or pins[package][0] for package, version in wanted.items()} == {
        package: pins[package][0] for package in wanted
    }


@pytest.mark.parametrize("lane", ["3.5", "4.2"])
def test_another_lane_differs_in_spark_and_delta_alone(lane: str) -> None:
    wanted, pins, dev = asked_for(f"{lane}/spark"), pinned(f"{lane}/dev"), pinned("dev")
    assert wanted.keys() == {"pyspark", "delta-spark"}
    assert {package: pins[package][0] for package in wanted} == wanted
    assert [package for package, (_, hashes) in pins.items() if hashes == 0] == []
    assert pins.keys() == dev.keys()
    assert {name for name, pin in pins.items() if pin != dev[name]} <= {*wanted, "py4j"}


@pytest.mark.parametrize("lane", ["3.5", "4.2"])
def test_the_jars_of_another_lane_have_the_delta_of_its_package(lane: str) -> None:
    delta = asked_for(f"{lane}/spark")["delta-spark"]
    jars = (FOLDER / lane / "jars.sha256").read_text()
    assert f"-{delta}.jar\n" in jars
    assert f'rev="{delta}"' in (FOLDER / lane / "ivy.xml").read_text()


def test_what_the_job_runs_with_is_what_the_tests_run_with() -> None:
    run, dev = pinned("run"), pinned("dev")
    assert {package: dev.get(package) for package in run} == run
