"""Glue: a streaming job that is made once, changed by the next release, and started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.calls import Call
from deploy.errors import RequestError
from deploy.release import GLUE_WHEELS, MAIN_JOB, Release
from deploy.spark_settings import as_options, glue_settings

SERVICE = "glue"
VERSION = "6.0"  # Spark 4.1.1, Delta 4.2.0, Python 3.13


def definition(
    release: Release,
    *,
    role: str,
    arguments: Sequence[str],
    logs: str,
    workers: int,
    worker_type: str,
    retries: int,
    maintenance: str,
    conf: Mapping[str, str],
) -> dict[str, Any]:
    """What CreateJob and UpdateJob take alike. `maintenance`: when Glue may restart it, as "Sun:2" (GMT).

    No Timeout: with one of less than seven days Glue would end the job, and not start it again.
    """
    return {
        "Role": role,
        "GlueVersion": VERSION,
        "Command": {"Name": "gluestreaming", "ScriptLocation": release.file(MAIN_JOB), "PythonVersion": "3"},
        "WorkerType": worker_type,
        "NumberOfWorkers": workers,
        "ExecutionProperty": {"MaxConcurrentRuns": 1},
        "MaxRetries": retries,
        "MaintenanceWindow": maintenance,
        "DefaultArguments": {
            # Installed on every node, with nothing from outside.
            "--additional-python-modules": release.file(GLUE_WHEELS),
            "--python-modules-installer-option": "--no-index",
            "--datalake-formats": "delta",
            # One argument takes all settings: Glue puts its value behind a --conf, and the others follow in it.
            "--conf": " ".join(as_options(glue_settings(conf))[1:]),
            "--enable-continuous-cloudwatch-log": "true",
            "--enable-metrics": "true",
            "--enable-spark-ui": "true",
            "--spark-event-logs-path": logs,
            **_pairs(arguments),
        },
    }


def create(name: str, job: dict[str, Any]) -> Call:
    return Call(SERVICE, "CreateJob", {"Name": name, **job})


def update(name: str, job: dict[str, Any]) -> Call:
    return Call(SERVICE, "UpdateJob", {"JobName": name, "JobUpdate": job})


def start(name: str) -> Call:
    return Call(SERVICE, "StartJobRun", {"JobName": name})


def _pairs(arguments: Sequence[str]) -> dict[str, str]:
    """Glue keeps arguments as a map: each name once, each with a value."""
    names, values = arguments[::2], arguments[1::2]
    if len(arguments) % 2 or len(set(names)) != len(names) or not all(name.startswith("--") for name in names):
        raise RequestError(
            f"{' '.join(arguments)}: Glue takes --name value, each name once; use the configuration file"
        )
    return dict(zip(names, values, strict=True))
