"""A cluster on this machine that knows nothing of the project: what scripts/build made is all that it is given.

Spark's `local-cluster`: a driver and two executors, each a process with a folder of its own. The driver starts in an
empty folder with the environment unpacked beside it, as EMR does it. The environment is packed by the same code as
the real one, with links to the installed packages in place of 100 MB.
"""

from __future__ import annotations

import os
import sys
import tarfile
from importlib.metadata import distribution
from pathlib import Path

import class_archive
from deploy.environment import INTERPRETER, NAME, pack_environment
from deploy.release import ENVIRONMENT, MAIN_JOB, MODULES
from deploy.wheels import NOT_PACKED, pins
from embedded_aws import EmbeddedAws
from lake import Job
from lanes import JARS
from local_cluster import spark_home


class PackedCluster:
    """`submit` runs the packed main job; all that it writes is below `folder`."""

    def __init__(self, folder: Path, dist: Path, aws: EmbeddedAws) -> None:
        self._folder, self._dist, self._aws = folder, dist, aws
        self.spark_home = spark_home(folder / "spark")
        self._environment = folder / ENVIRONMENT
        (folder / "work").mkdir()
        pack_environment(linked_packages(folder / "packages"), _interpreter(), self._environment, folder / "work")
        self._started_in = folder / "driver"
        with tarfile.open(self._environment) as archive:
            archive.extractall(self._started_in / NAME, filter="fully_trusted")

    def submit(self, *arguments: str) -> Job:
        files = {"--py-files": self._dist / MODULES, "--archives": f"{self._environment}#{NAME}"}
        options = [str(word) for option in files.items() for word in option]
        options += [word for key, value in self._settings().items() for word in ("--conf", f"{key}={value}")]
        command = [f"{self.spark_home}/bin/spark-submit", *options, str(self._dist / MAIN_JOB), *arguments]
        return Job(
            ["sh", "-c", 'cd "$0" && exec "$@"', str(self._started_in), *command], self._folder, self._variables()
        )

    def _settings(self) -> dict[str, str]:
        return {
            "spark.master": "local-cluster[2,1,1024]",
            "spark.executor.memory": "700m",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.extraClassPath": f"{JARS}/*",
            "spark.executor.extraClassPath": f"{JARS}/*",
            "spark.executor.extraJavaOptions": self._java(),
            "spark.hadoop.fs.s3a.endpoint": self._aws.endpoint_url,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.sql.shuffle.partitions": "2",
            "spark.databricks.delta.snapshotPartitions": "1",
            "spark.ui.enabled": "false",
        }

    def _java(self) -> str:
        return f"{class_archive.SHORT_LIVED} -Djava.io.tmpdir={self._folder}"

    def _variables(self) -> dict[str, str]:
        """Nothing of this process: no PYTHONPATH, no virtual environment, no home."""
        java = {name: os.environ[name] for name in ("JAVA_HOME",) if name in os.environ}
        return (
            java
            | self._aws.environment()
            | {
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self._folder),
                "TMPDIR": str(self._folder),
                "SPARK_HOME": str(self.spark_home),
                "SPARK_LOCAL_IP": "127.0.0.1",
                "SPARK_SUBMIT_OPTS": self._java(),
                "PYSPARK_PYTHON": INTERPRETER,
                "PYSPARK_DRIVER_PYTHON": INTERPRETER,
            }
        )


def linked_packages(folder: Path) -> Path:
    """A site-packages folder of what an environment has, as links to what is installed here."""
    folder.mkdir()
    for package in sorted(set(pins()) - NOT_PACKED):
        installed = distribution(package)
        for name in sorted({file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}):
            (folder / name).symlink_to(Path(str(installed.locate_file(name))))
    return folder


def _interpreter() -> str:
    """The one behind this virtual environment."""
    return os.path.realpath(sys.executable)
