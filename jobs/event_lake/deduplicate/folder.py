"""Immutable files under the checkpoint, as Python workers reach them: on a file system or in S3.

Python workers have no Hadoop. A file that is written here never changes (a task that runs twice writes the same bytes)
and no name is used again, so a copy on this machine cannot be out of date.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import uuid
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from event_lake.errors import ConfigError, DataLossError
from event_lake.s3_client import read_object, s3_client

UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Folder:
    """One folder. Pickles to the workers; credentials are found where it is used, by boto3's own chain."""

    url: str
    endpoint_url: str = ""
    region: str = ""
    path_style: bool = False

    def check(self) -> None:
        """Raises ConfigError where Python workers could not reach it."""
        if urlsplit(self.url).scheme not in ("", "file", "s3", "s3a"):
            raise ConfigError(
                f'checkpoint.path lies at {self.url}, and with dedup.engine = "index" Python workers must reach it, '
                'which they can in S3 and on plain file systems; put it there, or set dedup.engine = "spark"'
            )

    def write(self, name: str, content: Any) -> None:
        """Creates or replaces a file, all of it or nothing; `content` is bytes, or a buffer of them."""
        if self._in_s3:
            self._client.put_object(Bucket=urlsplit(self.url).netloc, Key=self._key(name), Body=bytes(content))
        else:
            _write_whole(self.place(name), content)

    def delete(self, name: str) -> None:
        """Nothing happens where there is no such file."""
        if self._in_s3:
            self._client.delete_object(Bucket=urlsplit(self.url).netloc, Key=self._key(name))
        else:
            self.place(name).unlink(missing_ok=True)

    def place(self, name: str) -> Path:
        """Where the file is on this machine, once it is there."""
        return (self._copies if self._in_s3 else self._plain) / name

    def local(self, name: str) -> Path:
        """The file on this machine; fetched from S3 where it is not there yet. Raises DataLossError."""
        path = self.place(name)
        if not path.exists():
            if not self._in_s3:
                raise self.lost(name)
            _write_whole(path, self._fetch(name))
        return path

    def keep_copies_of(self, names: Container[str]) -> None:
        """Drops this machine's copies of all other files; a worker that has one open may go on reading it."""
        if self._in_s3 and self._copies.exists():
            for copy in self._copies.iterdir():
                if copy.name not in names and not copy.name.startswith(UNFINISHED):
                    copy.unlink(missing_ok=True)

    def _fetch(self, name: str) -> bytes:
        client = self._client
        try:
            return read_object(client, urlsplit(self.url).netloc, self._key(name))
        except client.exceptions.NoSuchKey as error:
            raise self.lost(name) from error

    def lost(self, name: str) -> DataLossError:
        """What to raise where a file that is needed is not there."""
        return DataLossError(
            f"{self.url}/{name} is gone, and with it the keys of events that are stored: copies of them would be "
            "stored again. Nothing was written. Restore the file, or recover from the tables into a new checkpoint "
            "path (docs/operations.md)."
        )

    @property
    def _client(self) -> Any:
        return s3_client(self.endpoint_url, self.region, self.path_style)

    @property
    def _in_s3(self) -> bool:
        return urlsplit(self.url).scheme in ("s3", "s3a")

    @property
    def _plain(self) -> Path:
        return Path(unquote(urlsplit(self.url).path))

    @property
    def _copies(self) -> Path:
        """This machine's folder of copies; another lake, or another server, has another."""
        place = hashlib.sha256(f"{self.endpoint_url} {self.url}".encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"event-lake-seen-{os.getuid()}" / place

    def _key(self, name: str) -> str:
        return f"{unquote(urlsplit(self.url).path).strip('/')}/{name}"


def _write_whole(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{UNFINISHED}{uuid.uuid4().hex}")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            unfinished.unlink()
