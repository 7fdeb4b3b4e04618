"""Makes what goes to a cluster, in dist/: a zip of pure Python, a wheel, a zip of wheels for Glue, a packed environment
for EMR, the entry files, and a listing of all that. The same sources make the same bytes.

Exit code 0: done; 2: something is missing, and dist/ is as it was.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import boto3

from deploy.archives import write_zip
from deploy.completeness import check_complete
from deploy.contents import NAME, write_contents
from deploy.environment import pack_environment, top_level
from deploy.errors import DeployError
from deploy.modules import ROOT, entry_files, zipped_modules
from deploy.release import ENVIRONMENT, GLUE_WHEELS, MODULES
from deploy.upload import upload
from deploy.wheels import (
    ARCHITECTURES,
    NOT_IN_GLUE,
    NOT_PACKED,
    build_own_wheel,
    fetch_wheels,
    pins,
    unpack_wheel,
    write_glue_wheels,
)

DIST = ROOT / "dist"


def main(arguments: list[str]) -> int:
    given = _parse_arguments(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="event-lake-build-") as work:
            version = build(Path(work), given)
        print((given.dist / NAME).read_text(encoding="utf-8"), end="")
        if given.upload:
            s3 = boto3.client("s3")
            release = upload(s3, given.dist, version, given.upload, lambda line: print(line, file=sys.stderr))
            print(f"release: {release.folder}")
    except DeployError as error:
        print(f"build: {error}", file=sys.stderr)
        return 2
    return 0


def build(work: Path, given: argparse.Namespace) -> str:
    """Fills dist/ when all is made and checked. Returns the version."""
    made = _folder(work, "made")
    modules, entries = zipped_modules(), entry_files()
    for name, text in entries.items():
        (made / name).write_bytes(text)
    write_zip(made / MODULES, modules)
    wheel = build_own_wheel(made, _folder(work, "source"))
    notes, provided = {}, _pinned_modules()
    if not given.pure:
        packages = _folder(work, "packages")
        notes[ENVIRONMENT], provided = _environment(made, work, packages, given)
        others = fetch_wheels(NOT_IN_GLUE, _folder(work, "glue"), given.glue_python, given.architecture)
        write_glue_wheels(made / GLUE_WHEELS, [wheel, *others])
    _check_written(made / MODULES, entries, provided)
    write_contents(made, notes)
    shutil.rmtree(given.dist, ignore_errors=True)
    shutil.copytree(made, given.dist)
    return wheel.name.split("-")[1]


def _environment(made: Path, work: Path, packages: Path, given: argparse.Namespace) -> tuple[list[str], set[str]]:
    """Packs it; returns lines that say what is in it, and the modules that it provides."""
    version = Path(given.python).name.removeprefix("python")
    wheels = fetch_wheels(set(pins()) - NOT_PACKED, _folder(work, "wheels"), version, given.architecture)
    for wheel in wheels:
        unpack_wheel(wheel, packages)
    provided = top_level(packages)
    checksum = pack_environment(packages, given.python, made / ENVIRONMENT, _folder(work, "environment"))
    lines = [f"uncompressed: {checksum}", f"bin/python: {given.python}, {given.architecture}"]
    return lines + [wheel.name for wheel in wheels], provided


def _pinned_modules() -> set[str]:
    """The modules of the packages that an environment would have, as far as they are installed here."""
    packed = set(pins()) - NOT_PACKED
    found = packages_distributions().items()
    return {module for module, names in found if {name.lower().replace("_", "-") for name in names} & packed}


def _check_written(archive: Path, entries: dict[str, bytes], provided: set[str]) -> None:
    """The zip as it was written, not as it was meant to be."""
    with zipfile.ZipFile(archive) as opened:
        check_complete({name: opened.read(name) for name in opened.namelist()}, entries, provided)


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def _parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/build", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--pure", action="store_true", help="only what is pure Python: no environment, no downloads")
    parser.add_argument(
        "--python", default="/usr/bin/python3.11", metavar="PATH", help="the cluster's interpreter (%(default)s)"
    )
    parser.add_argument("--glue-python", default="3.13", metavar="VERSION", help="Glue's Python (%(default)s)")
    parser.add_argument("--architecture", choices=ARCHITECTURES, default=ARCHITECTURES[0], help="(%(default)s)")
    parser.add_argument("--dist", type=Path, default=DIST, metavar="FOLDER", help="where to (dist/ of the checkout)")
    parser.add_argument("--upload", metavar="S3_PREFIX", help="then bring it to s3://bucket/prefix")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
