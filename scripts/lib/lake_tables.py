"""Reads the job's tables with delta-rs and DuckDB: readers that share no code with the job that wrote them."""

from __future__ import annotations

from typing import Any

import duckdb
from deltalake import DeltaTable

# How a commit names the rows that it wrote: Spark's, and one of delta-rs itself.
ROWS, OWN_ROWS = "numOutputRows", "num_added_rows"


class LakeTables:
    """SQL over views of the tables by name: `events`, `quarantine`, `duplicates` and others."""

    def __init__(self, paths: dict[str, str], endpoint_url: str, environment: dict[str, str]) -> None:
        options = {
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
        self.written: dict[str, dict[int, int]] = {}  # rows, by the version that wrote them, as its commit says
        for name, path in paths.items():
            table = DeltaTable(path.replace("s3a://", "s3://", 1), storage_options=options)
            self.files[name] = len(table.file_uris())
            self.versions[name] = table.version()
            self.written[name] = {
                commit["version"]: int(
                    commit["operationMetrics"].get(ROWS, commit["operationMetrics"].get(OWN_ROWS, 0))
                )
                for commit in table.history()
                if commit["operation"] == "WRITE"
            }
            self.duckdb.register(name, table.to_pyarrow_table())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.duckdb.execute(query).fetchall()

    def one(self, query: str) -> Any:
        """The single value that the query gives."""
        return self.rows(query)[0][0]
