"""Reads the job's tables with delta-rs and DuckDB: readers that share no code with the job that wrote them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

# How a commit names the rows that it wrote: Spark's, and one of delta-rs itself.
ROWS, OWN_ROWS = "numOutputRows", "num_added_rows"


class LakeTables:
    """SQL over views of the tables by name: `events`, `quarantine`, `duplicates` and others."""

    def __init__(self, paths: dict[str, str], endpoint_url: str, environment: dict[str, str]) -> None:
        self._paths = {name: path.replace("s3a://", "s3://", 1) for name, path in paths.items()}
        self._options = {
            "AWS_ENDPOINT_URL": endpoint_url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": environment["AWS_REGION"],
            "AWS_ACCESS_KEY_ID": environment["AWS_ACCESS_KEY_ID"],
            "AWS_SECRET_ACCESS_KEY": environment["AWS_SECRET_ACCESS_KEY"],
        }
        self.duckdb = duckdb.connect(":memory:")
        self.duckdb.execute("SET TimeZone = 'UTC'")
        self.files: dict[str, int] = {}
        self.versions: dict[str, int] = {}
        self.compactions: dict[str, list[int]] = {}  # versions that only put files together
        self.written: dict[str, dict[int, int]] = {}  # rows, by the version that wrote them, as its commit says
        for name in paths:
            table = self._table(name)
            history = table.history()
            self.files[name] = len(table.file_uris())
            self.versions[name] = table.version()
            self.written[name] = {
                commit["version"]: int(
                    commit["operationMetrics"].get(ROWS, commit["operationMetrics"].get(OWN_ROWS, 0))
                )
                for commit in history
                if commit["operation"] == "WRITE"
            }
            self.compactions[name] = [commit["version"] for commit in history if commit["operation"] == "OPTIMIZE"]
            self.duckdb.register(name, table.to_pyarrow_table())

    def partitions(self, name: str, version: int) -> dict[str, tuple[int, int]]:
        """Files and bytes of each partition in a version of the table, by its log."""
        files = pa.table(self._table(name, version).get_add_actions(flatten=True))
        columns = [column for column in files.column_names if column.startswith("partition.")]
        found: dict[str, list[int]] = defaultdict(list)
        for row in files.select([*columns, "size_bytes"]).to_pylist():
            found["/".join(str(row[column]) for column in columns)].append(row["size_bytes"])
        return {partition: (len(sizes), sum(sizes)) for partition, sizes in found.items()}

    def _table(self, name: str, version: int | None = None) -> DeltaTable:
        return DeltaTable(self._paths[name], version=version, storage_options=self._options)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.duckdb.execute(query).fetchall()

    def one(self, query: str) -> Any:
        """The single value that the query gives."""
        return self.rows(query)[0][0]
