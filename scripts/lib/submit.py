"""Starts the main job on EMR Serverless, on an EMR cluster or on Glue, from a release that is in S3.

Exit code 0: AWS has taken the request (or it was only shown); 2: the request or the configuration is wrong, and
nothing was sent; 1: AWS refused it, and the message is its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "jobs"))
from deploy import emr, emr_serverless, glue
from deploy.calls import Call, as_text
from deploy.errors import DeployError, RequestError
from deploy.release import MAIN_JOB, Release
from deploy.spark_settings import settings_of
from event_lake.config_file import read_config
from event_lake.errors import ConfigError

Arguments = argparse.Namespace


def main(arguments: list[str]) -> int:
    given = _parse_arguments(arguments)
    try:
        calls = given.calls(given)
        for call in calls:
            call.check()
        if given.dry_run:
            print(as_text(calls))
            return 0
        if not getattr(given, "cancel", ""):
            _look_at(given)
        for call in calls:
            print(json.dumps({call.operation: call.send()}, default=str))
    except (DeployError, ConfigError) as error:
        print(f"submit: {error}", file=sys.stderr)
        return 2
    except (ClientError, BotoCoreError) as error:
        print(f"submit: {error}", file=sys.stderr)
        return 1
    return 0


def _emr_serverless(given: Arguments) -> list[Call]:
    if given.cancel:
        return [emr_serverless.cancel(given.application, given.cancel, given.grace)]
    call = emr_serverless.start(
        Release(_needed(given, "release")),
        application=given.application,
        role=_needed(given, "role"),
        name=given.name,
        arguments=_job_arguments(given),
        logs=_needed(given, "logs"),
        failures_per_hour=given.failures_per_hour,
        token=str(uuid.uuid4()),
        conf=settings_of(given.conf),
    )
    return [call]


def _emr(given: Arguments) -> list[Call]:
    call = emr.add_step(
        Release(_needed(given, "release")),
        cluster=given.cluster,
        role=given.role,
        name=given.name,
        arguments=_job_arguments(given),
        logs=given.logs,
        failures_per_hour=given.failures_per_hour,
        conf=settings_of(given.conf),
    )
    return [call]


def _glue(given: Arguments) -> list[Call]:
    job = glue.definition(
        Release(_needed(given, "release")),
        role=_needed(given, "role"),
        arguments=_job_arguments(given),
        logs=_needed(given, "logs"),
        workers=given.workers,
        worker_type=given.worker_type,
        retries=given.retries,
        maintenance=given.maintenance,
        conf=settings_of(given.conf),
    )
    define = glue.update if given.update else glue.create
    return [define(given.name, job), glue.start(given.name)]


def _needed(given: Arguments, name: str) -> str:
    value: str = getattr(given, name)
    if not value:
        raise RequestError(f"--{name} is missing")
    return value


def _job_arguments(given: Arguments) -> list[str]:
    return ["--config", _needed(given, "config"), *given.job_arguments]


def _look_at(given: Arguments) -> None:
    """The configuration as the job will read it, and whether the release is there, before a cluster is paid for."""
    read_config(_object(given.config)["Body"].read().decode("utf-8"))
    _object(Release(given.release).file(MAIN_JOB))


def _object(path: str) -> dict[str, Any]:
    parts = urlsplit(path)
    if parts.scheme != "s3":
        raise RequestError(f"{path} is not in S3: the cluster could not read it")
    try:
        return dict(boto3.client("s3").get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/")))
    except ClientError as error:
        raise RequestError(f"{path} cannot be read: {error}") from error


def _parse_arguments(arguments: list[str]) -> Arguments:
    parser = argparse.ArgumentParser(prog="scripts/submit-...", description=(__doc__ or "").partition("\n\n")[0])
    services = parser.add_subparsers(required=True, metavar="SERVICE")
    serverless = _service(services, "emr-serverless", _emr_serverless)
    serverless.add_argument("--application", required=True, metavar="ID")
    serverless.add_argument("--failures-per-hour", type=int, default=5, help="then it is started no more (%(default)s)")
    serverless.add_argument("--cancel", default="", metavar="RUN_ID", help="end this run, and start none")
    serverless.add_argument(
        "--grace", type=int, default=300, metavar="SECONDS", help="before it is killed (%(default)s)"
    )
    cluster = _service(services, "emr", _emr)
    cluster.add_argument("--cluster", required=True, metavar="ID")
    cluster.add_argument("--failures-per-hour", type=int, default=5, help="then it is started no more (%(default)s)")
    on_glue = _service(services, "glue", _glue)
    on_glue.add_argument("--update", action="store_true", help="the job is there already: change it to this release")
    on_glue.add_argument("--workers", type=int, default=2, help="the driver's included (%(default)s)")
    on_glue.add_argument("--worker-type", default="G.1X", help="(%(default)s)")
    on_glue.add_argument("--retries", type=int, default=3, help="after failures (%(default)s)")
    on_glue.add_argument("--maintenance", default="Sun:2", metavar="DAY:HOUR", help="GMT (%(default)s)")
    return parser.parse_args(arguments)


def _service(services: Any, name: str, calls: Callable[[Arguments], list[Call]]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = services.add_parser(
        name, prog=f"scripts/submit-{name}", description=calls.__doc__
    )
    parser.set_defaults(calls=calls)
    parser.add_argument("--release", default="", metavar="S3_FOLDER", help="as scripts/build --upload printed it")
    parser.add_argument("--config", default="", metavar="S3_PATH", help="the job's configuration")
    parser.add_argument("--role", default="", metavar="ARN", help="what the job may do: docs/security.md")
    parser.add_argument("--logs", default="", metavar="S3_PREFIX", help="where logs go")
    parser.add_argument("--name", default="event-lake", help="(%(default)s)")
    parser.add_argument("--conf", action="append", default=[], metavar="KEY=VALUE", help="of Spark: sizes, for one")
    parser.add_argument("--dry-run", action="store_true", help="show the requests as JSON, and send nothing")
    parser.add_argument("job_arguments", nargs="*", metavar="-- ARGUMENT", help="the job's own, behind --")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
