"""What is read from S3 by boto3 comes through answers that break off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import HTTPClientError, IncompleteReadError

from chaos.ambush import CUT, Weather
from chaos.proxy import S3Proxy
from embedded_aws import REGION, EmbeddedAws
from event_lake.deduplicate.folder import Folder
from event_lake.lease_store import S3Store
from event_lake.s3_client import read_object, s3_client

BUCKET = "lake"
CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Proxy]:
    """Cuts a third of the answers off in the middle."""
    with EmbeddedAws() as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        aws.client("s3").create_bucket(Bucket=BUCKET)
        with S3Proxy(aws.endpoint_url, seed=2) as proxy:
            proxy.weather = Weather(0.3, (CUT,))
            yield proxy


def test_a_lease_is_read_through_answers_that_break_off(proxy: S3Proxy) -> None:
    store = S3Store(s3_client(proxy.endpoint_url, REGION, path_style=True), BUCKET, "events_lease")
    assert store.create("1.holder", "this driver")
    assert {store.read("1.holder") for _ in range(20)} == {"this driver"}
    assert proxy.faults[CUT] >= 5


def test_a_segment_of_the_index_is_fetched_through_answers_that_break_off(
    proxy: S3Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = Folder(f"s3a://{BUCKET}/segments", proxy.endpoint_url, REGION, path_style=True)
    for number in range(20):
        folder.write(f"{number}.arrow", CONTENT)
        assert folder.local(f"{number}.arrow").read_bytes() == CONTENT
    assert proxy.faults[CUT] >= 5


def test_an_object_whose_answers_all_break_off_is_given_up_with_the_reason(proxy: S3Proxy) -> None:
    client = s3_client(proxy.endpoint_url, REGION, path_style=True)
    client.put_object(Bucket=BUCKET, Key="x", Body=CONTENT)
    proxy.weather = Weather(1.0, (CUT,))
    with pytest.raises((HTTPClientError, IncompleteReadError, ConnectionError)):
        read_object(client, BUCKET, "x")
    assert proxy.faults[CUT] == 5


def test_an_object_that_is_not_there_is_asked_for_once(proxy: S3Proxy) -> None:
    client = s3_client(proxy.endpoint_url, REGION, path_style=True)
    with pytest.raises(client.exceptions.NoSuchKey):
        read_object(client, BUCKET, "x")
    assert proxy.requests["GET"] == 1
