"""What the job may do and what it tells: the AWS calls that are documented and no others, no secret, no payload.

One run of the job by spark-submit, as people run it, with keys, an external id and records that can be recognised, and
a second one that fails in the middle of such records; then everything that they left behind is searched.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from embedded_aws import EmbeddedAws
from kinesis_server import KinesisServer
from lake import ROOT, Job, LakeHouse, event
from s3_recorder import S3Calls, s3_recorder
from sts_server import sts_server

DOCUMENT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROLE = "arn:aws:iam::123456789012:role/reader"
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAMARKEDKEYMARKED1",
    "AWS_SECRET_ACCESS_KEY": "marked+secret/key+marked+secret/key+mark",
    "AWS_SESSION_TOKEN": "marked//session//token",
}
EXTERNAL_ID = "marked-external-id"
ASSUMED = "ASSUMED-"  # begins all keys that the STS server gives
SECRETS = [*KEYS.values(), EXTERNAL_ID, ASSUMED]
PAYLOAD = "marked-payload"  # stands in every record


@dataclass
class Runs:
    """What two runs have left behind: by name, the text of logs, and all objects under the lake and the checkpoint."""

    codes: list[int]
    logs: dict[str, str]
    objects: dict[str, bytes]
    s3: S3Calls
    kinesis: set[str]
    first_s3: set[tuple[str, str]]


def marked(number: int, **fields: object) -> bytes:
    return event(number, secret=f"{PAYLOAD}-{number}", **fields)


RECORDS = [
    *(marked(number, event_name=f"type{number % 3}:x") for number in range(30)),
    marked(1),
    gzip.compress(marked(31)),
    PAYLOAD.encode() + b"\xff",
    marked(1)[:-1],
    marked(40, created_at=PAYLOAD),
    marked(41, event_name=f"{PAYLOAD} {PAYLOAD}"),
    b'{"event_uuid":["%s"]}' % PAYLOAD.encode(),
    b"\x1f\x8b" + PAYLOAD.encode(),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("security")
    with (
        KinesisServer() as server,
        EmbeddedAws() as aws,
        s3_recorder(aws.endpoint_url) as s3,
        sts_server() as sts,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in KEYS.items():
            patch.setenv(name, value)
        patch.setenv("TMPDIR", str(folder))
        aws.client("s3").create_bucket(Bucket="lake")
        server.create_stream("events", 2)
        house = LakeHouse(folder, server)
        (folder / "event-log").mkdir()
        settings = {
            "source.role_arn": ROLE,
            "source.external_id": EXTERNAL_ID,
            "source.sts_endpoint_url": sts.url,
            "lake.path": "s3a://lake/events",
            "lake.quarantine_path": "s3a://lake/quarantine",
            "checkpoint.path": "s3a://lake/checkpoint",
            "spark.hadoop.fs.s3a.endpoint": s3.url,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.master": "local[2]",
            "spark.sql.shuffle.partitions": "2",
            "spark.databricks.delta.snapshotPartitions": "1",
            "spark.eventLog.enabled": "true",
            "spark.eventLog.compress": "false",
            "spark.eventLog.dir": (folder / "event-log").as_uri(),
        }
        # In a file, as is documented: a command line stands in Spark's event log.
        own = folder / "own.toml"
        own.write_text(_toml({**house.settings, **settings}))
        codes, first_s3 = [], set()
        for _ in range(2):
            for number, data in enumerate(RECORDS):
                server.put("events", data, partition_key=str(number))
            with Job([str(ROOT / "scripts" / "run"), "--config", str(own), "--until-caught-up"], folder) as job:
                codes.append(job.wait())
            first_s3 = first_s3 or set(s3.made)
            for name in _names(aws, "checkpoint/seen/segments/"):
                aws.client("s3").put_object(Bucket="lake", Key=name, Body=b"no segment any more")
        objects = {
            name: aws.client("s3").get_object(Bucket="lake", Key=name)["Body"].read() for name in _names(aws, "")
        }
        logs = {
            str(path.relative_to(folder)): path.read_text(errors="replace")
            for path in [*folder.glob("job-*.log"), *folder.glob("event-log/**/*")]
            if path.is_file()
        }
        yield Runs(codes, logs, objects, s3, {call["operation"] for call in server.calls()} | _asked(sts), first_s3)


def _toml(settings: dict[str, str]) -> str:
    sections: dict[str, list[str]] = {}
    for key, value in settings.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, []).append(f"{name} = {json.dumps(value)}")
    return "\n".join(line for section, lines in sections.items() for line in (f"[{section}]", *lines))


def _names(aws: EmbeddedAws, prefix: str) -> list[str]:
    listed = aws.client("s3").list_objects_v2(Bucket="lake", Prefix=prefix)
    return [found["Key"] for found in listed.get("Contents", [])]


def _asked(sts: object) -> set[str]:
    return {form["Action"] for form in sts.asked}


@pytest.mark.index_only("its second run fails for want of a segment of the index")
def test_the_runs_are_worth_searching(runs: Runs) -> None:
    """Else the tests below would find nothing in nothing."""
    assert runs.codes[0] == 0
    assert runs.codes[1] != 0
    output = "\n".join(text for name, text in runs.logs.items() if name.startswith("job-"))
    assert f"received={len(RECORDS)} stored=31 duplicates=1 quarantined=6" in output
    assert "no segment" not in output
    assert "failed exit_code=" in output
    assert any("SparkListenerSQLExecutionStart" in text for text in runs.logs.values())
    assert any("SparkListenerEnvironmentUpdate" in text for text in runs.logs.values())
    assert any(PAYLOAD.encode() in body for name, body in runs.objects.items() if name.startswith("quarantine/"))
    folders = {name.partition("/")[0] for name in runs.objects}
    assert folders == {"checkpoint", "events", "events_duplicates", "events_lease", "quarantine"}


def test_no_secret_is_in_a_log_a_plan_a_setting_an_offset_or_a_table(runs: Runs) -> None:
    places = {**{name: text.encode() for name, text in runs.logs.items()}, **runs.objects}
    assert [(name, secret) for name, body in places.items() for secret in SECRETS if secret.encode() in body] == []


def test_no_payload_is_in_a_log_or_a_plan_not_even_where_the_job_fails(runs: Runs) -> None:
    assert [name for name, text in runs.logs.items() if PAYLOAD in text] == []


def test_payloads_are_in_the_data_of_tables_alone(runs: Runs) -> None:
    """Not in the logs of the tables, as statistics would be, nor in what is remembered of keys."""
    found = [name for name, body in runs.objects.items() if PAYLOAD.encode() in body]
    assert [name for name in found if not name.endswith(".parquet") or name.startswith("checkpoint/")] == []


# Least privilege


def documented(service: str) -> dict[str, str]:
    """The calls to a service in the document's table, and the IAM action that each needs."""
    rows = re.findall(rf"^\| `{service}` \| `(\w+)` \| `([\w:]+)` \|", DOCUMENT, re.MULTILINE)
    assert rows
    return dict(rows)


def test_the_calls_to_kinesis_and_sts_are_those_that_are_documented(runs: Runs) -> None:
    assert runs.kinesis == {*documented("kinesis"), *documented("sts")}


def test_the_calls_to_s3_are_those_that_are_documented(runs: Runs) -> None:
    made = {operation for operation, _ in runs.s3.made}
    assert made - set(documented("s3")) == set()
    multipart = {name for name in documented("s3") if "Multipart" in name or name == "UploadPart"}
    assert set(documented("s3")) - made <= multipart | {"DeleteObject", "DeleteObjects"}


def test_no_rows_and_no_commit_of_a_table_are_ever_deleted(runs: Runs) -> None:
    deleted = {key for operation, key in runs.s3.made if operation.startswith("Delete")}
    assert any(key.startswith("checkpoint/") for key in deleted)
    assert [key for key in deleted if re.search(r"\.parquet$|_delta_log/\d+\.json$", key)] == []


def test_the_policies_of_the_document_allow_the_actions_of_its_table_and_no_others() -> None:
    policies = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)]
    allowed = {action for policy in policies for statement in policy["Statement"] for action in statement["Action"]}
    assert allowed == {action for service in ("kinesis", "sts", "s3") for action in documented(service).values()}
    assert not any("*" in action for action in allowed)
    resources = [statement["Resource"] for policy in policies for statement in policy["Statement"]]
    assert "*" not in resources
