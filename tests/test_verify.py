"""scripts/verify against the embedded AWS: four events go in, and it says whether each has come out, once."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from embedded_aws import REGION, EmbeddedAws
from lake import ROOT, Job

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts" / "lib"))
from verify import main

STREAM, BUCKET = "events", "lake"
numbers = count()
PUT = re.compile(r"^put \S+ (verify-\S+) into (shardId-\S+) at (\d+)$", re.M)


class Deployment:
    """A stream, a bucket and a configuration, as a job has them; whether it runs is each test's own matter."""

    def __init__(self, aws: EmbeddedAws, folder: Path, name: str) -> None:
        self.aws = aws
        self.folder = folder
        self.stream = f"{STREAM}-{name}"
        self.lake = f"s3a://{BUCKET}/{name}"
        aws.client("kinesis").create_stream(StreamName=self.stream, ShardCount=2)
        self.config = folder / "job.toml"
        self.config.write_text(
            f'[source]\nstream = "{self.stream}"\nregion = "{REGION}"\nendpoint_url = "{aws.endpoint_url}"\n'
            f'[lake]\npath = "{self.lake}/events"\nquarantine_path = "{self.lake}/quarantine"\n'
            f'[checkpoint]\npath = "{self.lake}/checkpoint"\n[trigger]\ninterval = "1 second"\n'
            f'[spark]\nmaster = "local[2]"\nsql.shuffle.partitions = 2\nhadoop.fs.s3a.endpoint = "{aws.endpoint_url}"\n'
            "hadoop.fs.s3a.path.style.access = true\n"
        )

    def script(self, name: str, *arguments: str) -> Job:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        own = environment | self.aws.environment()
        return Job([str(ROOT / "scripts" / name), "--config", str(self.config), *arguments], self.folder, own)

    def verify(self, *arguments: str) -> tuple[int, str]:
        with self.script("verify", *arguments) as job:
            return job.wait(60), job.output()

    def write(self, rows: list[dict[str, Any]]) -> None:
        """What a job would have written; columns that verify does not read are left out."""
        options = {"AWS_ENDPOINT_URL": self.aws.endpoint_url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": REGION}
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        place = f"{self.lake}/events".replace("s3a:", "s3:")
        write_deltalake(place, pa.Table.from_pylist(rows), mode="append", storage_options=options | keys)


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with EmbeddedAws() as running:
        running.client("s3").create_bucket(Bucket=BUCKET)
        yield running


@pytest.fixture
def deployment(aws: EmbeddedAws, tmp_path: Path) -> Deployment:
    return Deployment(aws, tmp_path, f"lake-{next(numbers)}")


def test_a_job_that_runs_is_verified_by_four_events_stored_once_each(deployment: Deployment) -> None:
    with deployment.script("run") as job:
        job.until(lambda: "started spark=" in job.output())
        code, said = deployment.verify("--wait", "2 minutes")
        assert code == 0, said + job.output()[-3000:]
    put = PUT.findall(said)
    assert len({uuid for uuid, _, _ in put}) == 4
    assert "read back by shard iterator: 4 of 4" in said
    for uuid, _, _ in put:
        assert re.search(rf"^found {uuid} arrived_at=\S+Z stored_after=[\d.]+s$", said, re.M)
    assert said.splitlines()[-1].startswith("verify: OK, 4 events put, read back and stored once each; ")


def test_without_a_job_the_events_are_missing_and_it_says_where_they_are(deployment: Deployment) -> None:
    code, said = deployment.verify("--wait", "1 second")
    assert code == 1
    put = PUT.findall(said)
    assert len(put) == 4
    assert "read back by shard iterator: 4 of 4" in said
    for uuid, shard, sequence in put:
        assert f"{uuid} is missing ({shard}, {sequence})" in said
    assert f"{deployment.lake}/events is not there" in said
    assert "Traceback" not in said


def test_an_event_that_is_stored_twice_is_no_success(deployment: Deployment) -> None:
    with deployment.script("verify", "--wait", "30 seconds") as verifying:
        verifying.until(lambda: "waiting for the rows" in verifying.output())
        uuids = [uuid for uuid, _, _ in PUT.findall(verifying.output())]
        deployment.write([stored(uuid) for uuid in [*uuids, uuids[0]]])
        assert verifying.wait(60) == 1
        said = verifying.output()
    assert f"{uuids[0]} is stored 2 times" in said
    assert "is missing" not in said


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--set", "source.streem=x"], "did you mean source.stream?"),
        (["--set", "source.stream=nowhere"], "nowhere"),
        (["--wait", "long"], "--wait"),
        (["--config", "/nowhere.toml"], "/nowhere.toml"),
        (["--config", "s3://lake/nowhere.toml"], "s3://lake/nowhere.toml"),
        (["--set", "source.kind=files", "--set", "source.path=/in"], "source.kind"),
    ],
)
def test_a_wrong_configuration_ends_with_exit_code_2_and_is_named(
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    named: str,
) -> None:
    for name, value in deployment.aws.environment().items():
        monkeypatch.setenv(name, value)
    assert main(["--config", str(deployment.config), *arguments]) == 2
    assert named in capsys.readouterr().err


def stored(uuid: str) -> dict[str, Any]:
    moment = pa.scalar(1_764_230_400_000_000, pa.timestamp("us", tz="UTC")).as_py()
    payload = orjson.dumps({"event_uuid": uuid}).decode()
    return {
        "event_uuid": uuid,
        "event_type": "account",
        "payload": payload,
        "arrived_at": moment,
        "stored_at": moment,
    }
