"""Where a lease's small files lie: a folder in which of all who create one file at once exactly one succeeds.

S3 by boto3 (`If-None-Match: *`): S3A's own create checks first and puts then, and the second of two writers wins (seen
on 3.4.2). Plain file systems by O_EXCL. Any other Hadoop file system by its create without overwriting: HDFS documents
that as exclusive; whether another one is so is for whoever uses it to know.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from py4j.protocol import Py4JError

from event_lake.errors import ConfigError
from event_lake.s3_client import read_object, s3_client
from event_lake.storage import Storage, is_on_s3


class LeaseStore(Protocol):
    """One folder. Every method raises OSError where the store cannot be reached."""

    def create(self, name: str, text: str) -> bool:
        """Makes a file; False, and nothing changed, where it exists."""

    def replace(self, name: str, text: str) -> None:
        """Creates or replaces a file."""

    def read(self, name: str) -> str | None:
        """A file's text; None where there is none."""

    def names(self) -> Sequence[str]:
        """All files, in ascending order."""

    def delete(self, name: str) -> None:
        """Deletes a file where there is one."""


def store_at(url: str, storage: Storage) -> LeaseStore:
    """The store for a folder in full (with its scheme), on any Hadoop file system."""
    parts = urlsplit(url)
    if is_on_s3(url):
        if not parts.path.strip("/"):
            raise ConfigError(f"{url} is a bucket, not a folder in one; give lake.path a folder of its own")
        client = s3_client(**storage.s3_settings(), attempts=4, answer_seconds=10)
        return S3Store(client, parts.netloc, unquote(parts.path).strip("/"))
    if parts.scheme in ("", "file"):
        return PlainStore(Path(unquote(parts.path)))
    return HadoopStore(storage, url)


@dataclass(frozen=True)
class S3Store:
    """A prefix in a bucket."""

    client: Any
    bucket: str
    prefix: str

    def create(self, name: str, text: str) -> bool:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - as in s3_client

        with _as_os_error():
            try:
                self.client.put_object(Bucket=self.bucket, Key=self._key(name), Body=text.encode(), IfNoneMatch="*")
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (409, 412):
                    raise
                # It may be ours: a request that boto3 made again, since the first one's answer was lost.
                return self.read(name) == text
        return True

    def replace(self, name: str, text: str) -> None:
        with _as_os_error():
            self.client.put_object(Bucket=self.bucket, Key=self._key(name), Body=text.encode())

    def read(self, name: str) -> str | None:
        with _as_os_error():
            try:
                return read_object(self.client, self.bucket, self._key(name)).decode()
            except self.client.exceptions.NoSuchKey:
                return None

    def names(self) -> Sequence[str]:
        with _as_os_error():
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/")
            return [found["Key"].rpartition("/")[2] for page in pages for found in page.get("Contents", ())]

    def delete(self, name: str) -> None:
        with _as_os_error():
            self.client.delete_object(Bucket=self.bucket, Key=self._key(name))

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}"


@contextmanager
def _as_os_error() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as in s3_client

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise OSError(str(error)) from error


@dataclass(frozen=True)
class PlainStore:
    """A folder of this machine, or one that machines share as a file system."""

    folder: Path

    def create(self, name: str, text: str) -> bool:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with (self.folder / name).open("x") as file:
                file.write(text)
        except FileExistsError:
            return False
        return True

    def replace(self, name: str, text: str) -> None:
        unfinished = self.folder / f".{uuid.uuid4().hex}"
        unfinished.write_text(text)
        os.replace(unfinished, self.folder / name)

    def read(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text()
        except FileNotFoundError:
            return None

    def names(self) -> Sequence[str]:
        return sorted(os.listdir(self.folder)) if self.folder.exists() else []

    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class HadoopStore:
    """A folder on any Hadoop file system."""

    storage: Storage
    url: str

    def create(self, name: str, text: str) -> bool:
        with _java_as_os_error():
            return self.storage.create_text(f"{self.url}/{name}", text)

    def replace(self, name: str, text: str) -> None:
        with _java_as_os_error():
            self.storage.write_text(f"{self.url}/{name}", text)

    def read(self, name: str) -> str | None:
        with _java_as_os_error():
            path = f"{self.url}/{name}"
            return self.storage.read_text(path) if self.storage.exists(path) else None

    def names(self) -> Sequence[str]:
        with _java_as_os_error():
            return [entry.name for entry in self.storage.entries(self.url)]

    def delete(self, name: str) -> None:
        with _java_as_os_error():
            self.storage.delete(f"{self.url}/{name}")


@contextmanager
def _java_as_os_error() -> Iterator[None]:
    try:
        yield
    except Py4JError as error:
        raise OSError(str(error)) from error
