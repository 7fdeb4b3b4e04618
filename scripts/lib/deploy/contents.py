"""dist/CONTENTS.txt: every file of a release with its checksum, and what is in the archives among them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

NAME = "CONTENTS.txt"
ID_LENGTH = 12


def write_contents(dist: Path, notes: Mapping[str, Sequence[str]]) -> None:
    """`notes`: lines for files whose contents no listing of names would tell, by file name."""
    lines = []
    for file in sorted(dist.iterdir()):
        if file.name == NAME:
            continue
        content = file.read_bytes()
        lines.append(f"{hashlib.sha256(content).hexdigest()}  {len(content):>10}  {file.name}")
        inside = notes.get(file.name) or (_names(file) if zipfile.is_zipfile(file) else [])
        lines += [f"    {line}" for line in inside]
    (dist / NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")


def release_id(dist: Path) -> str:
    """Of these very bytes."""
    return hashlib.sha256((dist / NAME).read_bytes()).hexdigest()[:ID_LENGTH]


def _names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        return opened.namelist()
