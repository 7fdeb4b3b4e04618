"""Spark's API for sources in Python, where it is there: since 4.0.

Spark 3.5 has none. The names stand in for it, so that whoever needs the rest of this package (finding the tip, reading
without Spark, the errors) can import it there; nothing can register or load the source then.
"""

from __future__ import annotations

try:
    from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceStreamReader, InputPartition
except ModuleNotFoundError:  # Spark 3.5

    class DataSource:  # type: ignore[no-redef]
        """Nothing makes it here."""

    class DataSourceReader:  # type: ignore[no-redef]
        """Nothing calls it here."""

    class DataSourceStreamReader:  # type: ignore[no-redef]
        """Nothing calls it here."""

    class InputPartition:  # type: ignore[no-redef]
        """Nothing plans it here."""


__all__ = ["DataSource", "DataSourceReader", "DataSourceStreamReader", "InputPartition"]
