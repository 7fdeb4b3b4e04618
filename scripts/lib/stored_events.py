"""Looks for single events in a lake's tables, as any other reader would: with delta-rs or pyarrow, without Spark."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from pyarrow.fs import FileSelector, FileSystem, LocalFileSystem, S3FileSystem, SubTreeFileSystem

from event_lake.config import Config

COLUMNS = ["event_uuid", "event_type", "arrived_at", "stored_at", "payload"]


@dataclass(frozen=True)
class Row:
    """Of the events table; times are UTC."""

    event_uuid: str
    event_type: str
    arrived_at: datetime
    stored_at: datetime
    payload: str


class StoredEvents:
    """The events and quarantine tables that a configuration names; one that is not there yet has no rows."""

    def __init__(self, config: Config) -> None:
        self._lake = config.lake
        self._settings = config.spark
        self._region = config.source.region

    def rows(self, uuids: Sequence[str]) -> list[Row]:
        """The rows of these events, in order of their uuids."""
        found = self._matching(self._lake.path, uuids, COLUMNS)
        rows = [Row(**{**one, **{key: _time(one[key]) for key in ("arrived_at", "stored_at")}}) for one in found]
        return sorted(rows, key=lambda row: row.event_uuid)

    def quarantined(self, uuids: Sequence[str]) -> list[tuple[str, str]]:
        """Those of these events that are in quarantine, each with its problem."""
        columns = ["event_uuid", "problem", "detail"]
        found = self._matching(self._lake.quarantine_path, uuids, columns)
        return sorted((one["event_uuid"], f"{one['problem']}: {one['detail']}") for one in found)

    def newest(self) -> datetime | None:
        """When the events table was last written; None where it is not there, or does not say."""
        if self._lake.format != "delta":
            return None
        table = self._delta(self._lake.path)
        return None if table is None else datetime.fromtimestamp(table.history(1)[0]["timestamp"] / 1000, UTC)

    def _matching(self, path: str, uuids: Sequence[str], columns: list[str]) -> list[dict[str, Any]]:
        dataset = self._dataset(path)
        if dataset is None:
            return []
        found: list[dict[str, Any]] = dataset.to_table(columns, filter=pc.field("event_uuid").isin(uuids)).to_pylist()
        return found

    def _dataset(self, path: str) -> ds.Dataset | None:
        files, folder = self._files(path)
        if self._lake.format == "delta":
            table = self._delta(path)
            # Arrow's own file system: its threads would call delta-rs's in Python, and one that still does when the
            # interpreter ends aborts the process (seen: exit code -6 behind "verify: OK").
            return None if table is None else table.to_pyarrow_dataset(filesystem=SubTreeFileSystem(folder, files))
        if not any(
            entry.is_file for entry in files.get_file_info(FileSelector(folder, allow_not_found=True, recursive=True))
        ):
            return None
        return ds.dataset(folder, filesystem=files, format=self._lake.format, partitioning="hive")

    def _delta(self, path: str) -> DeltaTable | None:
        try:
            return DeltaTable(path.replace("s3a://", "s3://", 1), storage_options=self._storage_options(path))
        except TableNotFoundError:
            return None

    def _files(self, path: str) -> tuple[FileSystem, str]:
        parts = urlsplit(path)
        if parts.scheme in ("", "file"):
            return LocalFileSystem(), unquote(parts.path)
        given = self._storage_options(path)
        return S3FileSystem(
            access_key=given.get("AWS_ACCESS_KEY_ID"),
            secret_key=given.get("AWS_SECRET_ACCESS_KEY"),
            session_token=given.get("AWS_SESSION_TOKEN"),
            region=given.get("AWS_REGION"),
            endpoint_override=given.get("AWS_ENDPOINT_URL"),
        ), f"{parts.netloc}{parts.path}"

    def _storage_options(self, path: str) -> dict[str, str]:
        """boto3's credentials, which delta-rs would look for in fewer places, and the endpoint that S3A was told."""
        if urlsplit(path).scheme in ("", "file"):
            return {}
        session = boto3.Session()
        found = session.get_credentials()
        keys = found.get_frozen_credentials() if found else None
        endpoint = self._settings.get("hadoop.fs.s3a.endpoint", "")
        region = self._settings.get("hadoop.fs.s3a.endpoint.region") or session.region_name or self._region
        options = {
            "AWS_ACCESS_KEY_ID": keys.access_key if keys else None,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key if keys else None,
            "AWS_SESSION_TOKEN": keys.token if keys else None,
            "AWS_REGION": region or os.environ.get("AWS_REGION"),
            "AWS_ENDPOINT_URL": endpoint if endpoint.startswith("http") else None,
            "AWS_ALLOW_HTTP": "true" if endpoint.startswith("http://") else None,
        }
        return {name: value for name, value in options.items() if value}


def _time(value: datetime | str) -> datetime:
    """Plain JSON has times as text."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
