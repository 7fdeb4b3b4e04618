"""Starting the job on EMR and Glue: what is asked for is what AWS's own models allow, and arrives as it was shown."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from embedded_aws import EmbeddedAws
from emr_serverless_server import emr_serverless
from event_lake.config_file import read_config
from event_lake.session import FIXED
from lake import ROOT

sys.path.insert(0, str(ROOT / "scripts" / "lib"))
from deploy.calls import Call
from deploy.contents import write_contents
from deploy.environment import INTERPRETER
from deploy.errors import RequestError
from deploy.release import MAIN_JOB, Release
from deploy.spark_settings import DELTA_JARS
from deploy.upload import upload
from submit import main

ROLE = "arn:aws:iam::123456789012:role/event-lake-job"
CONFIG, LOGS = "s3://bucket/conf/emr.toml", "s3://bucket/logs/"
SERVERLESS = ["emr-serverless", "--application", "00abc1", "--role", ROLE]
GLUE = ["glue", "--role", ROLE]


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with EmbeddedAws() as running:
        running.client("s3").create_bucket(Bucket="bucket")
        yield running


@pytest.fixture
def release(aws: EmbeddedAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A small one that is uploaded, and a configuration; and this process knows no other AWS."""
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    aws.client("s3").put_object(Bucket="bucket", Key="conf/emr.toml", Body=(ROOT / "conf" / "emr.toml").read_bytes())
    return uploaded(aws, tmp_path, b"print()")


def uploaded(aws: EmbeddedAws, folder: Path, job: bytes, told: list[str] | None = None) -> Release:
    (folder / MAIN_JOB).write_bytes(job)
    write_contents(folder, {})
    tell = (told if told is not None else []).append
    return upload(aws.client("s3"), folder, "0.1.0", "s3://bucket/releases", tell)


def given(service: list[str], release: Release, *more: str) -> list[str]:
    return [*service, "--release", release.folder, "--config", CONFIG, "--logs", LOGS, *more]


def shown(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> list[Call]:
    assert main([*arguments, "--dry-run"]) == 0
    return [Call(**call) for call in json.loads(capsys.readouterr().out)]


def settings_in(words: list[str]) -> dict[str, str]:
    pairs = (words[at + 1].split("=", 1) for at, word in enumerate(words) if word == "--conf")
    return dict(pairs)


def test_a_run_on_emr_serverless_streams_starts_again_and_has_its_own_python(
    release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    (call,) = shown(capsys, given(SERVERLESS, release, "--conf", "spark.executor.memory=8g"))
    call.check()
    request = call.request
    assert (request["mode"], request["retryPolicy"]) == ("STREAMING", {"maxFailedAttemptsPerHour": 5})
    submit = request["jobDriver"]["sparkSubmit"]
    assert submit["entryPoint"] == f"{release.folder}/stream_events.py"
    assert submit["entryPointArguments"] == ["--config", CONFIG]
    settings = settings_in(shlex.split(submit["sparkSubmitParameters"]))
    assert settings.items() >= (FIXED | {"spark.executor.memory": "8g"}).items()
    assert settings["spark.archives"] == f"{release.folder}/event-lake-environment.tar.gz#environment"
    assert {key for key, value in settings.items() if value == INTERPRETER} == {
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON",
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON",
        "spark.executorEnv.PYSPARK_PYTHON",
    }


def test_jars_of_ones_own_come_behind_deltas(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    (call,) = shown(capsys, given(SERVERLESS, release, "--conf", "spark.jars=/usr/share/connector.jar"))
    settings = settings_in(shlex.split(call.request["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]))
    assert settings["spark.jars"] == f"{DELTA_JARS},/usr/share/connector.jar"


def test_what_is_sent_to_emr_serverless_is_what_was_shown(
    release: Release, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (start,) = shown(capsys, given(SERVERLESS, release))
    with emr_serverless() as (endpoint, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_EMR_SERVERLESS", endpoint)
        assert main(given(SERVERLESS, release)) == 0
        assert main([*SERVERLESS, "--cancel", "00run1", "--grace", "600"]) == 0
    (started, body), (cancelled, _) = asked
    assert started == "POST /applications/00abc1/jobruns"
    rest = {key: value for key, value in start.request.items() if key not in ("applicationId", "clientToken")}
    assert body.pop("clientToken") != start.request["clientToken"]
    assert body == rest
    assert cancelled == "DELETE /applications/00abc1/jobruns/00run1?shutdownGracePeriodInSeconds=600"


def test_a_step_on_a_cluster_arrives_as_it_was_shown(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    instances: Any = {"MasterInstanceType": "m7g.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
    cluster = boto3.client("emr").run_job_flow(Name="test", Instances=instances)["JobFlowId"]
    arguments = given(["emr", "--cluster", cluster], release)
    (call,) = shown(capsys, arguments)
    words = call.request["Steps"][0]["HadoopJarStep"]["Args"]
    assert words[:3] == ["spark-submit", "--deploy-mode", "cluster"]
    assert words[-3:] == [f"{release.folder}/stream_events.py", "--config", CONFIG]
    assert settings_in(words).items() >= FIXED.items()
    assert main(arguments) == 0
    (step,) = boto3.client("emr").list_steps(ClusterId=cluster)["Steps"]
    assert step["Config"]["Args"] == words


def test_a_job_on_glue_is_made_started_and_changed(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    create, start = shown(capsys, given(GLUE, release))
    assert (create.operation, start.operation) == ("CreateJob", "StartJobRun")
    assert create.request["Command"]["Name"] == "gluestreaming"
    assert create.request["MaintenanceWindow"] == "Sun:2"
    assert "Timeout" not in create.request
    settings = create.request["DefaultArguments"]["--conf"]
    assert settings_in(["--conf", *settings.split(" ")]) == FIXED
    assert main(given(GLUE, release)) == 0
    kept = boto3.client("glue").get_job(JobName="event-lake")["Job"]
    assert kept["DefaultArguments"] == create.request["DefaultArguments"]
    assert main(given(GLUE, release, "--update", "--workers", "5")) == 0
    assert boto3.client("glue").get_job(JobName="event-lake")["Job"]["NumberOfWorkers"] == 5


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([*SERVERLESS, "--conf", "spark.sql.session.timeZone=CET"], "the job needs UTC there"),
        ([*SERVERLESS, "--conf", "spark.app.name=two words"], "would split it"),
        ([*SERVERLESS, "--conf", "executor.memory=8g"], "expected spark.KEY=VALUE"),
        ([*SERVERLESS, "--role", "job"], "executionRoleArn"),
        ([*SERVERLESS, "--cancel", "00run1", "--grace", "5"], "expected 0, or 15 to 1800 seconds"),
        ([*GLUE, "--", "--recover"], "Glue takes --name value"),
        ([*GLUE, "--release", "dist"], "scripts/build --upload prints the one to give"),
        ([*GLUE, "--config", "s3://bucket/conf/wrong.toml"], "source.strem"),
        ([*GLUE, "--config", "s3://bucket/conf/nothing.toml"], "cannot be read"),
    ],
)
def test_what_would_fail_on_a_cluster_is_refused_before_anything_is_sent(
    release: Release, aws: EmbeddedAws, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.client("s3").put_object(Bucket="bucket", Key="conf/wrong.toml", Body=b'source.strem = "events"')
    jobs = boto3.client("glue").get_jobs()["Jobs"]
    front, rear = (arguments[:-2], arguments[-2:]) if "--" in arguments else (arguments, [])
    defaults = given(front[:1], release)[1:]
    assert main([front[0], *defaults, *front[1:], *rear]) == 2
    assert reason in capsys.readouterr().err
    assert boto3.client("glue").get_jobs()["Jobs"] == jobs


def test_a_request_that_the_services_model_does_not_know_is_refused() -> None:
    with pytest.raises(RequestError, match="MaintenanceWindows"):
        Call("glue", "CreateJob", {"Name": "x", "Role": ROLE, "Command": {}, "MaintenanceWindows": "Sun:2"}).check()


def test_a_release_is_never_replaced_and_uploaded_once(aws: EmbeddedAws, tmp_path: Path) -> None:
    told: list[str] = []
    first = uploaded(aws, tmp_path, b"print(1)")
    assert uploaded(aws, tmp_path, b"print(1)", told) == first
    assert all(line.startswith("there already") for line in told)
    second = uploaded(aws, tmp_path, b"print(2)")
    assert second != first
    key = first.file(MAIN_JOB).removeprefix("s3://bucket/")
    assert aws.client("s3").get_object(Bucket="bucket", Key=key)["Body"].read() == b"print(1)"


@pytest.mark.parametrize("name", ["emr.toml", "glue.toml"])
def test_the_examples_are_short_and_hold(name: str) -> None:
    text = (ROOT / "conf" / name).read_text()
    assert len(text.splitlines()) < 20
    assert read_config(text).lake.path.startswith("s3://")
