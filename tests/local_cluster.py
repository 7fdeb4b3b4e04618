"""Spark's `local-cluster`, of the Spark that pip has installed."""

from __future__ import annotations

from pathlib import Path

import pyspark


def spark_home(folder: Path) -> Path:
    """pip's Spark under another name: a local cluster keeps its executors' folders below SPARK_HOME."""
    folder.mkdir()
    for part in (Path(pyspark.__file__).parent / name for name in ("bin", "jars", "python")):
        (folder / part.name).symlink_to(part)
    return folder
