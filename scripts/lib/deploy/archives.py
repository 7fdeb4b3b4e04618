"""Archives that are the same bytes whenever the same things are packed: one moment, one order, one owner.

The zip is stored, not compressed: then its bytes rest on nothing but its contents, and Python imports from it faster.
The tar archive is compressed, so its bytes are the same with the same zlib; `contents` lists the checksum of what is
in it besides, which is the same with any.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

FIRST_MOMENT = 315_532_800  # 1980-01-01T00:00:00Z; zip files know no earlier one
READABLE, RUNNABLE = 0o644, 0o755


def moment() -> int:
    """Unix seconds that every entry bears: SOURCE_DATE_EPOCH (reproducible-builds.org), or else zip's first moment."""
    return max(int(os.environ.get("SOURCE_DATE_EPOCH") or FIRST_MOMENT), FIRST_MOMENT)


def write_zip(target: Path, entries: Mapping[str, bytes]) -> None:
    """Entries by their names in the archive."""
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, time.gmtime(moment())[:6])
            entry.create_system = 3  # Unix, also where this runs elsewhere: it is a byte of the archive
            entry.external_attr = READABLE << 16
            archive.writestr(entry, entries[name])


def write_tar_gz(target: Path, folder: Path) -> str:
    """Everything below a folder, links as links. Returns the SHA-256 of what was compressed."""
    digest = hashlib.sha256()
    with (
        target.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as compressed,
        tarfile.open(fileobj=_Digesting(compressed, digest), mode="w|", format=tarfile.GNU_FORMAT) as archive,
    ):
        for path in _below(folder):
            member = _member(path, str(path.relative_to(folder)))
            if member.isreg():
                with path.open("rb") as content:
                    archive.addfile(member, content)
            else:
                archive.addfile(member)
    return digest.hexdigest()


class _Digesting:
    """A file to write to that also computes a checksum of what is written."""

    def __init__(self, file: gzip.GzipFile, digest: hashlib._Hash) -> None:
        self._file, self._digest = file, digest

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._file.write(data)


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)


def _member(path: Path, name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mtime, member.mode = moment(), RUNNABLE
    if path.is_symlink():
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)
    elif path.is_dir():
        member.type = tarfile.DIRTYPE
    else:
        member.mode, member.size = READABLE, path.stat().st_size
    return member
