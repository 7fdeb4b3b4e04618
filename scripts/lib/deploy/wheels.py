"""Wheels: our own, and those of the packages that the job needs besides Spark, as requirements/run.txt pins them.

Fetched by pip for the cluster's Python and processor, whatever this machine's are, and held against the pins' hashes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from deploy.archives import write_zip
from deploy.errors import BuildError
from deploy.modules import JOBS, OWN, ROOT

# Every cluster has its own Spark; the others go with the zip, or are needed by Delta's installer alone.
NOT_PACKED = {"pyspark", "py4j", "delta-spark", "importlib-metadata", "zipp", "fastjsonschema", "prometheus-client"}
# What Glue's own Python lacks (its list of provided modules has boto3, numpy, pandas and pyarrow).
NOT_IN_GLUE = {"orjson", "fastjsonschema", "prometheus-client"}
NEWEST_GLIBC = 34  # Amazon Linux 2023 has 2.34; pip is to be told every one that runs there
OLDEST_GLIBC = 17
ARCHITECTURES = ("x86_64", "aarch64")


def pins() -> dict[str, str]:
    """By package: its lines of requirements/run.txt, hashes included."""
    text = (ROOT / "requirements" / "run.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    return {match[1]: block for block in blocks if (match := re.match(r"([a-z0-9-]+)==", block))}


def fetch_wheels(packages: Collection[str], folder: Path, python: str, architecture: str) -> list[Path]:
    """Downloads the wheels of pinned packages for a Python ("3.11") and a processor. Raises BuildError."""
    wanted = folder / "wanted.txt"
    wanted.write_text("\n".join(pins()[package] for package in sorted(packages)) + "\n", encoding="utf-8")
    platforms = [f"manylinux_2_{minor}_{architecture}" for minor in range(OLDEST_GLIBC, NEWEST_GLIBC + 1)]
    platforms.append(f"manylinux2014_{architecture}")
    _pip(
        ["download", "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(wanted), "-d", str(folder)]
        + ["--python-version", python, "--implementation", "cp"]
        + [word for platform in platforms for word in ("--platform", platform)]
    )
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != len(packages):
        raise BuildError(f"asked pip for {len(packages)} wheels and got {len(wheels)}: {[w.name for w in wheels]}")
    return wheels


def unpack_wheel(wheel: Path, folder: Path) -> None:
    """Puts a wheel's modules below a site-packages folder. Scripts are left out: they would name this machine."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            parts = PurePosixPath(entry.filename).parts
            if parts[0].endswith(".data"):
                if parts[1] not in ("purelib", "platlib"):
                    continue
                parts = parts[2:]
            if entry.is_dir():
                continue
            if ".." in parts or entry.filename.startswith("/"):
                raise BuildError(f"{wheel.name} has {entry.filename}, which lies outside of it")
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(entry))


def build_own_wheel(folder: Path, work: Path) -> Path:
    """The wheel of our own packages, made from a copy: setuptools leaves folders beside what it builds."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, work / name)
    for package in OWN:
        shutil.copytree(JOBS / package, work / "jobs" / package, ignore=shutil.ignore_patterns("__pycache__"))
    _pip(["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(work)])
    (wheel,) = folder.glob("event_lake-*.whl")
    with zipfile.ZipFile(wheel) as made:
        entries = {name: made.read(name) for name in made.namelist()}
    write_zip(wheel, entries)  # setuptools passes the umask on to some of them
    return wheel


def write_glue_wheels(target: Path, wheels: Collection[Path]) -> None:
    """Glue's "zip of wheels" (Glue 5.0 and later; "Using Python libraries with AWS Glue", appendix A): the wheels and a
    requirements.txt that names them, in a folder `wheels`."""
    entries = {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in wheels}
    named = sorted("==".join(wheel.name.split("-")[:2]).replace("_", "-") for wheel in wheels)
    write_zip(target, {**entries, "wheels/requirements.txt": "".join(f"{line}\n" for line in named).encode()})


def _pip(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise BuildError(f"pip {arguments[0]} failed with {ended.returncode}:\n{ended.stderr.strip()[-2000:]}")
