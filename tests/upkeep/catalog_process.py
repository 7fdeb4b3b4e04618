"""Registers lakes in a Hive metastore on Derby, each by the job itself, and reads them by name in a session after that.

    python catalog_process.py FOLDER FORMAT=LAKE_PATH ...

Prints what it read as the last line, JSON. A process of its own: a session has its catalog from its start to its end.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import register_tables
from class_archive import FAST_COMPILER
from event_lake.config_file import read_config
from event_lake.session import create_session
from lanes import JARS


def settings(folder: str) -> list[str]:
    spark = {
        "master": "local[2]",
        "driver.host": "127.0.0.1",
        "driver.bindAddress": "127.0.0.1",
        "driver.extraClassPath": f"{JARS}/*",
        "driver.extraJavaOptions": f"{FAST_COMPILER} -XX:+UseSerialGC -Dderby.system.home={folder}",
        "ui.enabled": "false",
        "sql.shuffle.partitions": "2",
        "databricks.delta.snapshotPartitions": "1",
        "sql.catalogImplementation": "hive",
        "sql.warehouse.dir": f"file:{folder}/warehouse",
        "hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder}/metastore;create=true",
        "hadoop.datanucleus.schema.autoCreateAll": "true",
        "hadoop.hive.metastore.schema.verification": "false",
    }
    return [f"spark.{key}={value}" for key, value in spark.items()]


def lake(file_format: str, path: str) -> list[str]:
    given = {"source.stream": "s", "lake.path": f"{path}/events", "lake.quarantine_path": f"{path}/quarantine"}
    given |= {"checkpoint.path": f"{path}/checkpoint", "lake.format": file_format}
    return [f"{key}={value}" for key, value in given.items()]


def main(folder: str, lakes: list[str]) -> None:
    (Path(folder) / "job.toml").touch()
    codes = {}
    for name in lakes:
        file_format, _, path = name.partition("=")
        options = [word for text in [*settings(folder), *lake(file_format, path)] for word in ("--set", text)]
        arguments = ["--config", f"{folder}/job.toml", *options, "--database", f"lake_{file_format}"]
        codes[file_format] = [register_tables.main(arguments), register_tables.main(arguments)]
    other = [word for text in [*settings(folder), *lake("delta", folder)] for word in ("--set", text)]
    codes["nothing there"] = [register_tables.main(["--config", f"{folder}/job.toml", *other, "--database", "x"])]
    spark = create_session(read_config("", [*settings(folder), *lake("delta", folder)]))
    read = {}
    for file_format in codes:
        for table in ("events", "quarantine", "duplicates") if file_format in ("delta", "parquet", "json") else ():
            name = f"lake_{file_format}.{table}"
            day = "date = DATE '2022-02-14'"
            frame = spark.sql(f"SELECT sequence_number, shard_id FROM {name} WHERE {day} ORDER BY shard_id, 1")
            read[name] = [list(row) for row in frame.collect()]
    spark.stop()
    print(json.dumps({"codes": codes, "read": read}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
