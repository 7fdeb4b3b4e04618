"""EMR on EC2: a step on a cluster that runs already; YARN starts the driver again when it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.calls import Call
from deploy.release import MAIN_JOB, Release
from deploy.spark_settings import as_options, emr_settings

# YARN distributes files by settings of its own, which spark-submit knows to set from these options.
FILES = {"spark.submit.pyFiles": "--py-files", "spark.archives": "--archives", "spark.jars": "--jars"}


def add_step(
    release: Release,
    *,
    cluster: str,
    role: str,
    name: str,
    arguments: Sequence[str],
    logs: str,
    failures_per_hour: int,
    conf: Mapping[str, str],
) -> Call:
    """The driver runs in the cluster, and not on the primary node, so that the step does not end with a connection.

    `role`: the step's own, on clusters with runtime roles; `logs`: in place of the cluster's; both may be "".
    """
    again = {
        "spark.yarn.maxAppAttempts": str(failures_per_hour + 1),
        "spark.yarn.am.attemptFailuresValidityInterval": "1h",
    }
    settings = emr_settings(release, "spark.yarn.appMasterEnv", again | conf)
    files = [word for key, option in FILES.items() for word in (option, settings.pop(key))]
    command = ["spark-submit", "--deploy-mode", "cluster", "--name", name, *files, *as_options(settings)]
    step: dict[str, Any] = {
        "Name": name,
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": [*command, release.file(MAIN_JOB), *arguments]},
    }
    if logs:
        step["StepMonitoringConfiguration"] = {"S3MonitoringConfiguration": {"LogUri": logs}}
    request: dict[str, Any] = {"JobFlowId": cluster, "Steps": [step]}
    return Call("emr", "AddJobFlowSteps", request | ({"ExecutionRoleArn": role} if role else {}))
