"""EMR Serverless: a streaming job run, which the service starts again when it fails, and its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploy.calls import Call
from deploy.errors import RequestError
from deploy.release import MAIN_JOB, Release
from deploy.spark_settings import as_options, emr_settings

SERVICE = "emr-serverless"
GRACE_SECONDS = range(15, 1801)  # "EMR Serverless job run cancellation with grace period"; 0 ends it at once


def start(
    release: Release,
    *,
    application: str,
    role: str,
    name: str,
    arguments: Sequence[str],
    logs: str,
    failures_per_hour: int,
    token: str,
    conf: Mapping[str, str],
) -> Call:
    """A run in STREAMING mode: no time limit, and started again as long as it fails at most so often an hour.

    `token`: the same one twice starts one run. `logs`: s3://bucket/prefix/.
    """
    settings = emr_settings(release, "spark.emr-serverless.driverEnv", conf)
    submit = {
        "entryPoint": release.file(MAIN_JOB),
        "entryPointArguments": list(arguments),
        "sparkSubmitParameters": " ".join(as_options(settings)),
    }
    request = {
        "applicationId": application,
        "clientToken": token,
        "executionRoleArn": role,
        "name": name,
        "mode": "STREAMING",
        "retryPolicy": {"maxFailedAttemptsPerHour": failures_per_hour},
        "jobDriver": {"sparkSubmit": submit},
        "configurationOverrides": {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": logs}}},
    }
    return Call(SERVICE, "StartJobRun", request)


def cancel(application: str, run: str, grace_seconds: int) -> Call:
    """Ends a run and starts it no more. Raises RequestError for a grace period that the service would refuse."""
    if grace_seconds and grace_seconds not in GRACE_SECONDS:
        raise RequestError(f"--grace {grace_seconds}: expected 0, or {GRACE_SECONDS[0]} to {GRACE_SECONDS[-1]} seconds")
    request = {"applicationId": application, "jobRunId": run, "shutdownGracePeriodInSeconds": grace_seconds}
    return Call(SERVICE, "CancelJobRun", request)
