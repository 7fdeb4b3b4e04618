"""Everything around the job: a Kinesis and an S3 on loopback, producers, and what can be broken of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from embedded_aws import REGION, EmbeddedAws
from kinesis_server import KinesisServer
from lake import ROOT, Job

from .ambush import Weather
from .clock import JumpingClock
from .cluster import SmallCluster
from .disk import SmallDisk
from .moments import BUCKET, TABLES
from .producers import STREAM, Book, Producers
from .proxy import S3Proxy
from .told import told_wrongly
from .truth import LakeTables, differences

PATHS = {table: f"s3a://{BUCKET}/lake/{table}" for table in (*TABLES, "metrics")}
READS = ("GetRecords", "GetShardIterator", "ListShards")
SPARK = {
    "master": "local[2,4]",  # a task is tried four times, as on a cluster
    "sql.shuffle.partitions": "2",
    "databricks.delta.snapshotPartitions": "1",
    "hadoop.fs.s3a.path.style.access": "true",
}


class World:
    """`with World(folder, engine, seed) as world:` - one stream, one lake, one checkpoint, and jobs one by one."""

    def __init__(self, folder: Path, engine: str, seed: int, rate: int = 30, clustered: bool = False) -> None:
        """`rate`: records put a second."""
        self.folder, self.engine = folder, engine
        self.usual_seconds = 20.0  # from a start to its first micro-batch, as the last one took
        self.book = Book()
        self.told = 0  # micro-batches that the metrics tell of
        self._seed, self._rate, self._clustered = seed, rate, clustered

    def __enter__(self) -> World:
        with ExitStack() as held:
            self.aws = held.enter_context(EmbeddedAws())
            self.s3 = self.aws.client("s3")
            self.s3.create_bucket(Bucket=BUCKET)
            self.kinesis = held.enter_context(KinesisServer())
            self.proxy = held.enter_context(S3Proxy(self.aws.endpoint_url, self._seed))
            self.clock = JumpingClock(self.folder)
            self.disk = held.enter_context(SmallDisk(self.folder))
            self.cluster = self._cluster(held)
            self.producers = held.enter_context(Producers(self.kinesis, self.book, self._seed, self._rate))
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def submit(self, *arguments: str) -> Job:
        """The job by spark-submit, through scripts/run; it runs until asked to stop unless told otherwise."""
        return self._run("run", arguments)

    def audit(self) -> Job:
        """The audit job, over all that was ever put."""
        return self._run("audit", ("--from", "trim_horizon"))

    def _run(self, script: str, arguments: Sequence[str]) -> Job:
        config = self.folder / "job.toml"
        spark = SPARK | (self.cluster.settings() if self.cluster else {})
        spark |= {
            "hadoop.fs.s3a.endpoint": self.proxy.endpoint_url,
            "hadoop.fs.s3a.buffer.dir": f"{self.disk.path}/s3a",
            "local.dir": f"{self.disk.path}/spark",
        }
        config.write_text("[spark]\n" + "".join(f'"{key}" = "{value}"\n' for key, value in spark.items()))
        options = [word for key, value in self._settings().items() for word in ("--set", f"{key}={value}")]
        command = [str(ROOT / "scripts" / script), "--config", str(config), *options, *arguments]
        return Job(command, self.folder, self.environment())

    def environment(self) -> dict[str, str]:
        """Of the job and all its processes: this AWS and no other, the small disk, the clock that jumps."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        own = self.aws.environment() | self.clock.environment() | {"TMPDIR": str(self.disk.path)}
        del own["AWS_ENDPOINT_URL"]  # each service has its own here
        return inherited | own

    def set_weather(self, kinesis: float, s3: float, empty_pages: int, seed: int) -> None:
        """Which shares of the calls fail, and how many empty answers come before records."""
        self.kinesis.set_faults(kinesis, operations=READS, seed=seed)
        self.kinesis.set_empty_pages(empty_pages, between=empty_pages > 0)
        self.proxy.weather = Weather(s3)

    def ask_to_stop(self) -> None:
        self.s3.put_object(Bucket=BUCKET, Key="checkpoint/stop", Body=b"")

    def executors(self) -> list[int]:
        """The processes in which tasks run, on a cluster."""
        return self.cluster.executors() if self.cluster else []

    def sweep(self) -> None:
        """Removes what killed jobs leave in temporary folders, as the next boot would; copies of segments stay."""
        for left in self.disk.path.iterdir():
            if not left.name.startswith("event-lake-seen"):
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)

    def differences(self, last: int | None) -> list[str]:
        """In what the tables are not what was put, and the metrics not what the tables are; to be asked when all of it
        has been processed. `last`: the last micro-batch's number, if there was one since the last look."""
        tables = LakeTables(PATHS, self.aws.endpoint_url, self.aws.environment())
        self.told = tables.one("SELECT count(*) FROM metrics")
        return [*differences(tables, self.book, self.engine), *told_wrongly(tables, self.engine, last)]

    def _cluster(self, held: ExitStack) -> SmallCluster | None:
        return held.enter_context(SmallCluster(self.folder, self.environment())) if self._clustered else None

    def _settings(self) -> dict[str, str]:
        return {
            "source.stream": STREAM,
            "source.region": REGION,
            "source.endpoint_url": self.kinesis.endpoint_url,
            "source.retry_for": "30 seconds",
            "lake.path": PATHS["events"],
            "lake.quarantine_path": PATHS["quarantine"],
            "lake.duplicates_path": PATHS["duplicates"],
            "metrics.table_path": PATHS["metrics"],
            "metrics.table_every": "1 second",
            "checkpoint.path": f"s3a://{BUCKET}/checkpoint",
            "dedup.engine": self.engine,
            "dedup.buckets": "2",
            "trigger.interval": "500 ms",
            "maintenance.most_small_files": "4",  # so that killed jobs compact, too
            "lease.time": "2 seconds",  # a killed driver holds the next one up for so long
        }
