"""Connectors of AWS that are not there: compiled into the running JVM, and the stream that they read.

Janino does it, which Spark brings, so that no JDK is needed; on Spark 3.5 and 4 alike.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from pyspark.sql import SparkSession

SOURCES = Path(__file__).resolve().parent / "connectors"
PROVIDERS = ("eventlake.standin.AwsKinesis", "eventlake.standin.GlueKinesis")
SERVICES = "META-INF/services/org.apache.spark.sql.sources.DataSourceRegister"
ARRIVED = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)


def install(spark: SparkSession) -> Path:
    """Compiles the stand-ins into the folder that `small_session` has put on the class path; gives that folder."""
    folder = Path(spark.conf.get("spark.driver.extraClassPath").rpartition(":")[2])
    if not (folder / SERVICES).exists():
        _compile(spark, sorted(SOURCES.glob("*.java")), folder)
        services = folder / SERVICES
        services.parent.mkdir(parents=True)
        services.write_text("\n".join(PROVIDERS) + "\n")
    return folder


def _compile(spark: SparkSession, sources: list[Path], folder: Path) -> None:
    jvm = spark.sparkContext._jvm
    files = spark.sparkContext._gateway.new_array(jvm.java.io.File, len(sources))
    for number, source in enumerate(sources):
        files[number] = jvm.java.io.File(str(source))
    compiler = jvm.org.codehaus.janino.Compiler()
    compiler.setDestinationDirectory(jvm.java.io.File(str(folder)), False)
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    compiler.setIClassLoader(jvm.org.codehaus.janino.ClassLoaderIClassLoader(loader))
    compiler.compile(files)


@dataclass(frozen=True)
class Record:
    """What a connector yields as one row."""

    data: bytes
    sequence: str
    shard: str = "shardId-000000000000"
    key: str = "key"
    arrived: datetime = ARRIVED


@dataclass
class StandInStream:
    """A folder that the stand-ins read as a stream: each call of `put` is a micro-batch."""

    folder: Path
    _sequence: count[int] = field(default_factory=lambda: count(1000))
    _batches: count[int] = field(default_factory=count)

    @property
    def endpoint_url(self) -> str:
        return self.folder.as_uri() + "/"

    def put(self, records: Iterable[bytes | Record]) -> None:
        """A micro-batch; bytes become records of two shards in turn."""
        lines = []
        for number, record in enumerate(records):
            if isinstance(record, bytes):
                record = Record(record, str(next(self._sequence)), f"shardId-{number % 2:012}")
            micros = int(record.arrived.timestamp() * 1_000_000)
            data = base64.b64encode(record.data).decode()
            lines.append(f"{record.shard}\t{record.sequence}\t{record.key}\t{micros}\t{data}\n")
        hidden = self.folder / "being-written"
        hidden.write_text("".join(lines))
        hidden.rename(self.folder / f"{next(self._batches)}.records")

    def starts(self) -> list[dict[str, str]]:
        """The options of each time that the source was asked for."""
        lines = (self.folder / "options.log").read_text().splitlines()
        return [dict(re.findall(r"([\w.]+)=([^,}]*)", line)) for line in lines]

    def reads(self) -> list[str]:
        """Micro-batch and shard of each partition that was read."""
        return (self.folder / "reads.log").read_text().splitlines()
