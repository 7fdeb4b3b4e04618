"""The proxy of the chaos runs does to S3's clients what it says, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

from chaos.ambush import ANSWERED, BUSY, CUT, KINDS, UNANSWERED, Ambush, Weather
from chaos.proxy import S3Proxy
from embedded_aws import REGION, EmbeddedAws

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "store"
BODY = random.Random(1).randbytes(3_000_000)


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with EmbeddedAws() as aws:
        aws.client("s3").create_bucket(Bucket=BUCKET)
        yield aws


@pytest.fixture
def proxy(aws: EmbeddedAws) -> Iterator[S3Proxy]:
    with S3Proxy(aws.endpoint_url, seed=1) as proxy:
        yield proxy


def client(proxy: S3Proxy, attempts: int) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=proxy.endpoint_url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": attempts}),
    )


def keys(aws: EmbeddedAws, prefix: str) -> list[str]:
    return [
        entry["Key"] for entry in aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    ]


def test_in_calm_weather_requests_and_answers_pass_unchanged(aws: EmbeddedAws, proxy: S3Proxy) -> None:
    s3 = client(proxy, 1)
    s3.put_object(Bucket=BUCKET, Key="calm/a b+c", Body=BODY)
    s3.copy_object(Bucket=BUCKET, Key="calm/copy", CopySource={"Bucket": BUCKET, "Key": "calm/a b+c"})
    assert s3.get_object(Bucket=BUCKET, Key="calm/copy")["Body"].read() == BODY
    assert s3.head_object(Bucket=BUCKET, Key="calm/copy")["ContentLength"] == len(BODY)
    assert keys(aws, "calm/") == ["calm/a b+c", "calm/copy"]
    s3.delete_object(Bucket=BUCKET, Key="calm/copy")
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=BUCKET, Key="calm/copy")
    assert not proxy.faults


@pytest.mark.parametrize(
    ("kind", "seen", "stored"),
    [(UNANSWERED, HTTPClientError, False), (ANSWERED, HTTPClientError, True), (BUSY, ClientError, False)],
)
def test_a_put_that_meets_a_fault_is_seen_to_fail_and_is_stored_only_where_it_was_served(
    aws: EmbeddedAws, proxy: S3Proxy, kind: str, seen: type[Exception], stored: bool
) -> None:
    s3 = client(proxy, 1)
    proxy.weather = Weather(1.0, (kind,))
    with pytest.raises(seen, match="SlowDown" if kind == BUSY else "onnection"):
        s3.put_object(Bucket=BUCKET, Key=f"{kind}/x", Body=b"x")
    assert bool(keys(aws, f"{kind}/")) is stored
    assert proxy.faults == {kind: 1}


def test_an_answer_that_is_cut_is_seen_as_such(aws: EmbeddedAws, proxy: S3Proxy) -> None:
    aws.client("s3").put_object(Bucket=BUCKET, Key="cut/x", Body=BODY)
    proxy.weather = Weather(1.0, (CUT,))
    body = client(proxy, 1).get_object(Bucket=BUCKET, Key="cut/x")["Body"]
    with pytest.raises((HTTPClientError, ConnectionError)):
        body.read()


def test_clients_that_try_again_come_through_faults_of_every_kind(aws: EmbeddedAws, proxy: S3Proxy) -> None:
    s3, numbers = client(proxy, 12), range(20)
    proxy.weather = Weather(0.25, (UNANSWERED, ANSWERED, BUSY))
    for number in numbers:
        s3.put_object(Bucket=BUCKET, Key=f"again/{number}", Body=b"%d" % number)
    while proxy.faults.keys() != set(KINDS) - {CUT}:
        s3.put_object(Bucket=BUCKET, Key="again/more", Body=b"")
    proxy.weather = Weather()
    found = [s3.get_object(Bucket=BUCKET, Key=f"again/{number}")["Body"].read() for number in numbers]
    assert found == [b"%d" % number for number in numbers]


@pytest.mark.parametrize("served", [False, True])
def test_an_ambush_strikes_once_before_or_after_the_nth_request_that_fits(
    aws: EmbeddedAws, proxy: S3Proxy, served: bool
) -> None:
    s3, prefix = client(proxy, 1), f"ambush-{served}"
    there_when_struck: list[list[str]] = []
    proxy.ambush = Ambush(
        lambda: there_when_struck.append(keys(aws, prefix)), rf"PUT /{BUCKET}/{prefix}/x\d$", nth=2, served=served
    )
    s3.put_object(Bucket=BUCKET, Key=f"{prefix}/x0", Body=b"")
    s3.put_object(Bucket=BUCKET, Key=f"{prefix}/other", Body=b"")
    with pytest.raises(HTTPClientError):
        s3.put_object(Bucket=BUCKET, Key=f"{prefix}/x1", Body=b"")
    s3.put_object(Bucket=BUCKET, Key=f"{prefix}/x2", Body=b"")
    assert proxy.ambush.struck.is_set()
    assert there_when_struck == [[f"{prefix}/other", f"{prefix}/x0", *([f"{prefix}/x1"] if served else [])]]
