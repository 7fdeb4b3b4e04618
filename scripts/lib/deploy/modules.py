"""The pure Python that goes to driver and workers as one zip, for --py-files; what is native is never in it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from deploy.errors import BuildError

ROOT = Path(__file__).resolve().parents[3]
JOBS = ROOT / "jobs"
OWN = ("event_lake", "kinesis_source")
# Pure Python of others: contracts on the workers; metrics and Delta's API on the driver. Delta's is here since it
# lies inside the jar on a cluster, where Python finds it only by luck.
OTHERS = ("delta", "fastjsonschema", "prometheus_client")
NATIVE = (".so", ".pyd", ".dylib")
# What installing leaves behind, and hints for type checkers, which nobody imports.
LEFT = (".pyc", ".pyi", "py.typed")


def zipped_modules(others: Sequence[str] = OTHERS) -> dict[str, bytes]:
    """The contents of the zip by name. Raises BuildError where a package is not there, or is not pure Python."""
    modules = {}
    for package in (*OWN, *others):
        place = JOBS / package if package in OWN else _installed(package)
        for file in sorted(place.rglob("*")):
            if file.is_dir() or file.name.endswith(LEFT):
                continue
            if file.name.endswith(NATIVE):
                raise BuildError(f"{package} is native ({file.name}): it belongs in the packed environment")
            if file.suffix != ".py":
                raise BuildError(f"{file} is no module: from a zip it could not be read as a file")
            modules[str(file.relative_to(place.parent))] = file.read_bytes()
    return modules


def entry_files() -> dict[str, bytes]:
    """What spark-submit is given, by name."""
    return {file.name: file.read_bytes() for file in sorted(JOBS.glob("*.py"))}


def _installed(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise BuildError(f"{package} is not installed; scripts/set-up installs what requirements/ pins")
    return Path(found.submodule_search_locations[0])
