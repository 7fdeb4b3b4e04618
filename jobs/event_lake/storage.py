"""Small files on any Hadoop path (file, s3, s3a): the configuration, the stop marker, the report, manifests.

Table data never comes through here; Spark reads and writes that.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark import SparkConf, SparkContext

from event_lake.errors import ConfigError


def is_on_s3(path: str) -> bool:
    """Of a path in full, with its scheme."""
    return path.lower().startswith(("s3:", "s3a:"))


@dataclass(frozen=True)
class Entry:
    """One file or folder in a listing."""

    path: str
    name: str
    is_folder: bool


class Storage:
    """Hadoop's file systems, as configured for the running Spark driver."""

    def __init__(self, jvm: Any, hadoop_conf: Any) -> None:
        # Looked up once: for each part of a class's name py4j asks whether that is a class, in every jar there is.
        self._path: Any = jvm.org.apache.hadoop.fs.Path
        self._conf = hadoop_conf

    @classmethod
    def of_driver(cls) -> Storage:
        """Before there is a session: with the settings that spark-submit was given."""
        SparkContext._ensure_initialized(conf=SparkConf())
        jvm: Any = SparkContext._jvm
        return cls(jvm, jvm.org.apache.spark.deploy.SparkHadoopUtil.get().newConfiguration(SparkConf()._jconf))

    @classmethod
    def of_session(cls, spark: Any) -> Storage:
        """With the running session's settings, the [spark] section of the configuration among them."""
        return cls(spark._jvm, spark._jsparkSession.sessionState().newHadoopConf())

    def qualified(self, path: str) -> str:
        """The path in full, with its scheme and in the one spelling that Hadoop gives it."""
        return str(self._file_system(path).makeQualified(self._path(path)).toString())

    def exists(self, path: str) -> bool:
        return bool(self._file_system(path).exists(self._path(path)))

    def is_file(self, path: str) -> bool:
        """One request to S3, and a cheap one; where there is nothing, `exists` makes a listing, too."""
        return bool(self._file_system(path).isFile(self._path(path)))

    def names_any(self, pattern: str) -> bool:
        """Whether there is a file or folder of this path, which may be a glob."""
        return bool(self._file_system(pattern).globStatus(self._path(pattern)))

    def modified(self, path: str) -> datetime | None:
        """When the file was last written; None where there is none."""
        if not self.exists(path):
            return None
        status = self._file_system(path).getFileStatus(self._path(path))
        return datetime.fromtimestamp(status.getModificationTime() / 1000, UTC)

    def read_text(self, path: str) -> str:
        """Raises ConfigError where there is no such file."""
        try:
            stream = self._file_system(path).open(self._path(path))
        except Py4JJavaError as error:
            raise ConfigError(f"{path} cannot be read: {error.java_exception.toString()}") from error
        try:
            return bytes(stream.readAllBytes()).decode("utf-8")
        finally:
            stream.close()

    def write_text(self, path: str, text: str) -> None:
        """Creates or replaces the file, folders included."""
        stream = self._file_system(path).create(self._path(path), True)
        try:
            stream.write(text.encode("utf-8"))
        finally:
            stream.close()

    def create_text(self, path: str, text: str) -> bool:
        """Makes a new file; False where there is one. That of several at once only one succeeds is for the file system
        to see to."""
        try:
            stream = self._file_system(path).create(self._path(path), False)
        except Py4JJavaError as error:
            if "AlreadyExists" in error.java_exception.getClass().getName():
                return False
            raise
        try:
            stream.write(text.encode("utf-8"))
        finally:
            stream.close()
        return True

    def write_whole(self, path: str, text: str) -> None:
        """A new file that is there whole or not at all, whenever the driver is killed."""
        if is_on_s3(path):
            self.write_text(path, text)  # an object appears when all of it has been put
            return
        self.write_text(f"{path}.new", text)
        self.delete(path)
        self.move(f"{path}.new", path)

    def s3_settings(self) -> dict[str, Any]:
        """How S3A was told to reach S3, for clients that are not Hadoop; credentials are found by each on its own."""
        endpoint = self._conf.get("fs.s3a.endpoint") or ""
        plain = self._conf.get("fs.s3a.connection.ssl.enabled") == "false"
        if endpoint and "://" not in endpoint:
            endpoint = f"{'http' if plain else 'https'}://{endpoint}"
        return {
            "endpoint_url": "" if endpoint.endswith("://s3.amazonaws.com") else endpoint,
            "region": self._conf.get("fs.s3a.endpoint.region") or "",
            "path_style": self._conf.get("fs.s3a.path.style.access") == "true",
        }

    def delete(self, path: str) -> None:
        """Deletes a file, or a folder with all that is in it; nothing happens where there is none."""
        self._file_system(path).delete(self._path(path), True)

    def delete_empty(self, folder: str) -> None:
        """Deletes a folder with nothing in it; any other one stays."""
        with contextlib.suppress(Py4JJavaError):
            self._file_system(folder).delete(self._path(folder), False)

    def move(self, old: str, new: str) -> None:
        target = self._path(new)
        files = self._file_system(new)
        files.mkdirs(target.getParent())
        if not files.rename(self._path(old), target):
            raise OSError(f"{old} could not be moved to {new}")

    def entries(self, folder: str) -> Sequence[Entry]:
        """What stands directly in a folder, by name; nothing where there is no such folder."""
        files = self._file_system(folder)
        if not files.exists(self._path(folder)):
            return []
        return sorted((_entry(status) for status in files.listStatus(self._path(folder))), key=lambda e: e.name)

    def files_below(self, folder: str) -> Sequence[str]:
        """The paths of all files below a folder."""
        found: list[str] = []
        waiting = [folder]
        while waiting:
            for entry in self.entries(waiting.pop()):
                (waiting if entry.is_folder else found).append(entry.path)
        return found

    def _file_system(self, path: str) -> Any:
        return self._path(path).getFileSystem(self._conf)


def configuration_text(path: str) -> str:
    """The configuration file, before there is a session."""
    # A plain path is this machine's, as with spark-submit --files, although a cluster's default file system is HDFS.
    if os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
            return file.read()
    return Storage.of_driver().read_text(path)


def _entry(status: Any) -> Entry:
    path = status.getPath()
    return Entry(path.toString(), path.getName(), bool(status.isDirectory()))
