"""Whose credentials calls are signed with, how, and that nothing of them is seen anywhere."""

from __future__ import annotations

import json
import logging
import pickle
from collections import namedtuple
from collections.abc import Callable, Iterator
from datetime import timedelta

import botocore.auth
import botocore.awsrequest
import pytest
from botocore.credentials import ReadOnlyCredentials

from embedded_aws import EmbeddedAws
from kinesis_query import KinesisQuery
from kinesis_server import KinesisServer
from kinesis_source import KinesisSourceError, OptionError, StreamError, UnavailableError
from kinesis_source.client import KinesisClient
from kinesis_source.credentials import hidden
from kinesis_source.options import Options
from kinesis_source.signing import Signer
from kinesis_source.source import KinesisStreamReader
from sts_server import StsServer, sts_server

MakeQuery = Callable[..., KinesisQuery]
ROLE = "arn:aws:iam::123456789012:role/reader"
Keys = namedtuple("Keys", "access_key secret_key token")


@pytest.fixture
def sts() -> Iterator[StsServer]:
    with sts_server() as running:
        yield running


def client_of(**options: str) -> KinesisClient:
    return KinesisClient(Options.parse({"streamName": "events", "region": "eu-central-1", **options}))


@pytest.mark.parametrize("token", [None, "a/session+token=="])
@pytest.mark.parametrize(
    "url",
    ["https://kinesis.eu-central-1.amazonaws.com/", "http://127.0.0.1:4567/", "https://vpce.example:8443/a%20b/c"],
)
def test_requests_are_signed_as_botocore_signs_them(url: str, token: str | None) -> None:
    keys, body = Keys("AKIDEXAMPLE", "secret/+key", token), b'{"ShardIterator":"x"}'
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "Kinesis_20131202.GetRecords"}
    ours = Signer(url, "kinesis", "eu-central-1").headers(headers, body, keys, now=1_700_000_000)
    theirs = botocore.auth.SigV4Auth(ReadOnlyCredentials(*keys), "kinesis", "eu-central-1")
    request = botocore.awsrequest.AWSRequest("POST", url, headers, body)
    request.headers["X-Amz-Date"] = request.context["timestamp"] = "20231114T221320Z"
    if token:
        request.headers["X-Amz-Security-Token"] = token
    text = theirs.string_to_sign(request, theirs.canonical_request(request))
    assert ours["authorization"].endswith(f"Signature={theirs.signature(text, request)}")
    assert f"SignedHeaders={theirs.signed_headers(theirs.headers_to_sign(request))}," in ours["authorization"]
    assert theirs.scope(request) in ours["authorization"]


def test_a_signer_follows_keys_that_change() -> None:
    signer = Signer("http://127.0.0.1/", "kinesis", "us-east-1")
    signatures = [
        signer.headers({}, b"", Keys("A", secret, None), now=now)["authorization"]
        for secret, now in (("one", 1e9), ("two", 1e9), ("one", 1e9 + 86400), ("one", 1e9))
    ]
    assert len(set(signatures)) == 3
    assert signatures[0] == signatures[3]


def test_a_role_is_assumed_and_its_keys_sign(sts: StsServer) -> None:
    client = client_of(roleArn=ROLE, externalId="outside", stsEndpointUrl=sts.url)
    assert sts.asked == []
    headers, _ = client._signed("GetRecords", b"{}")
    assert "Credential=ASSUMED-KEY-1/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "ASSUMED-TOKEN-1"
    (asked,) = sts.asked
    assert (asked["RoleArn"], asked["RoleSessionName"], asked["ExternalId"]) == (ROLE, "kinesis-exact", "outside")
    client._signed("GetRecords", b"{}")
    assert len(sts.asked) == 1


def test_the_roles_keys_are_renewed_before_they_expire(sts: StsServer) -> None:
    client = client_of(roleArn=ROLE, roleSessionName="nightly", stsEndpointUrl=sts.url)
    sts.lifetime = timedelta(minutes=5)  # botocore renews in the last ten to fifteen minutes
    client._signed("GetRecords", b"{}")
    sts.lifetime = timedelta(hours=1)
    for _ in range(3):
        headers, _ = client._signed("GetRecords", b"{}")
        assert "Credential=ASSUMED-KEY-2/" in headers["authorization"]
    assert [asked["RoleSessionName"] for asked in sts.asked] == ["nightly"] * 2


def test_a_stream_is_read_with_an_assumed_role_in_driver_and_tasks(
    server: KinesisServer, query: MakeQuery, sts: StsServer
) -> None:
    server.put("events", b"x")
    records = query(roleArn=ROLE, stsEndpointUrl=sts.url).drain(1)
    assert [record.data for record in records] == [b"x"]
    assert len(sts.asked) == 1, "driver and tasks are one process here"


def test_a_role_that_may_not_be_assumed_is_named_with_what_sts_said(query: MakeQuery, sts: StsServer) -> None:
    sts.refusal = "AccessDenied"
    with pytest.raises(StreamError, match=rf"{ROLE} could not be assumed.*events.*AccessDenied.*trust policy"):
        query(roleArn=ROLE, stsEndpointUrl=sts.url).batch()


def test_an_sts_that_does_not_answer_is_tried_again_and_then_named(query: MakeQuery) -> None:
    with pytest.raises(UnavailableError, match="NoCredentials: EndpointConnectionError"):
        query(roleArn=ROLE, stsEndpointUrl="http://127.0.0.1:9", retrySeconds="1").batch()


@pytest.mark.parametrize(
    ("options", "named"),
    [({"roleArn": "reader"}, "roleArn"), ({"externalId": "x"}, "externalId"), ({"stsEndpointUrl": "x"}, "stsEndpoint")],
)
def test_options_of_a_role_that_make_no_sense_are_named(options: dict[str, str], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        client_of(**options)


def test_a_role_is_assumed_at_an_sts_that_is_not_of_our_making() -> None:
    role = "arn:aws:iam::000000000000:role/reader"  # ministack keeps accounts apart, and that is its first
    with EmbeddedAws() as aws:
        aws.client("kinesis").create_stream(StreamName="events", ShardCount=1)
        aws.client("kinesis").put_record(StreamName="events", Data=b"x", PartitionKey="a")
        query = KinesisQuery(
            {
                "streamName": "events",
                "region": "us-east-1",
                "endpointUrl": aws.endpoint_url,
                "roleArn": role,
                "stsEndpointUrl": aws.endpoint_url,
            }
        )
        assert [record.data for record in query.drain(1)] == [b"x"]


def test_another_accounts_stream_is_named_by_its_arn_in_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    arn = "arn:aws:kinesis:ap-south-1:210987654321:stream/theirs"
    client = KinesisClient(Options.parse({"streamName": arn}))
    assert client.stream_field == client.arn_field == {"StreamARN": arn}
    assert client._url == "https://kinesis.ap-south-1.amazonaws.com/"
    assert client_of().arn_field == {}


@pytest.mark.parametrize("url", ["https://kinesis-fips.us-east-1.amazonaws.com", "https://vpce-1.kinesis.example"])
def test_a_fips_or_vpc_endpoint_is_called_where_it_is_given(url: str) -> None:
    client = client_of(endpointUrl=url)
    headers, _ = client._signed("GetRecords", b"{}")
    assert client._url == url + "/"
    assert f"https://{headers['host']}" == url
    assert "/eu-central-1/kinesis/" in headers["authorization"]


def test_the_environment_can_ask_for_fips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    assert "fips" in client_of(region="us-east-1")._url


def test_what_aws_repeats_of_a_request_is_hidden() -> None:
    keys = Keys("AKIA1", "SECRET1", "TOKEN1")
    said = "The Canonical String should have been 'x-amz-security-token:TOKEN1' for AKIA1 SECRET1"
    assert hidden(said, keys) == "The Canonical String should have been 'x-amz-security-token:***' for *** ***"
    assert hidden("nothing", Keys("", "", None)) == "nothing"


@pytest.mark.parametrize("with_role", [False, True])
def test_nothing_secret_is_in_logs_offsets_errors_or_pickles(
    server: KinesisServer,
    query: MakeQuery,
    sts: StsServer,
    with_role: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA-RECOGNISABLE-KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "RECOGNISABLE-SECRET")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "RECOGNISABLE-TOKEN")
    role = {"roleArn": ROLE, "stsEndpointUrl": sts.url, "externalId": "RECOGNISABLE-OUTSIDE"} if with_role else {}
    server.put("events", b"x")
    emitted: list[str] = []
    with caplog.at_level(logging.DEBUG):
        running = query(**role)
        running.drain(1)
        options = Options.parse(running.options)
        reader = KinesisStreamReader(options)
        emitted += [*running.log.ends, repr(options), repr(reader), json.dumps(reader.latestOffset())]
        pickled = pickle.dumps(reader)
        server.set_faults(1.0, kinds=["reset"])
        emitted.append(text_of_the_error(query(**role, retrySeconds="0.2")))
        server.clear_faults()
        emitted.append(text_of_the_error(query(**role, streamName="nowhere")))
        if with_role:
            sts.refusal = "AccessDenied"
            emitted.append(text_of_the_error(query(**role, roleSessionName="another")))
    text = "\n".join([*emitted, caplog.text, *capfd.readouterr()])
    for secret in ("RECOGNISABLE", "ASSUMED-SECRET", "ASSUMED-TOKEN"):
        assert secret not in text
    assert b"RECOGNISABLE" not in pickled.replace(b"RECOGNISABLE-OUTSIDE", b"")
    assert b"ASSUMED" not in pickled


def text_of_the_error(query: KinesisQuery) -> str:
    with pytest.raises(KinesisSourceError) as raised:
        query.batch()
    return f"{raised.getrepr(showlocals=False)} {raised.value}"
