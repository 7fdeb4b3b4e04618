"""Signed calls to the Kinesis HTTP API.

botocore finds credentials, region and endpoint; urllib3 keeps the connections; orjson reads the answers.
boto3's own GetRecords parsing costs about 30 µs a record, this path a few: that is the whole reason for its being.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import botocore.exceptions
import botocore.session
import orjson
import urllib3

from kinesis_source.clock import ServerClock
from kinesis_source.credentials import Frozen, find_credentials, hidden
from kinesis_source.errors import OptionError, StreamError, UnavailableError
from kinesis_source.options import Options
from kinesis_source.signing import Signer

JSON_TYPE = "application/x-amz-json-1.1"

# Answers that another try may change; everything else that AWS refuses stays refused.
THROTTLES = frozenset({"ProvisionedThroughputExceededException", "LimitExceededException", "KMSThrottlingException"})
PASSING = frozenset({"InternalFailure", "InternalServerError", "ServiceUnavailable", "RequestTimeout", "SlowDown"})
STS_PASSING = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "IDPCommunicationError"})
EXPIRED_ITERATOR = "ExpiredIteratorException"

FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 3.0

# 10 MiB of records in base64, and what JSON adds to 10,000 of them (API reference, GetRecords): for answers that do not
# say how long they are.
LARGEST_ANSWER = 17 * 1024 * 1024
PIECE_BYTES = 256 * 1024

T = TypeVar("T")


class PassingFault(Exception):
    """One try failed in a way that another may not; `code` is AWS's own, or ours where no answer came."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class AnswerTooLarge(Exception):
    """An answer that there is no room for; nothing of it was read."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes")
        self.size = size


def wait_before_retry(tries: int) -> float:
    """Seconds to wait after `tries` failures in a row: exponential, capped, fully jittered."""
    return random.uniform(0.5, 1.0) * min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(tries - 1, 10))


class KinesisClient:
    """Calls one stream's endpoint. Safe to share between threads; not to pickle."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.stream_field = options.stream_field
        # Another account's stream is allowed by its ARN only, in every call; a name stands beside no token or iterator.
        self.arn_field = {name: value for name, value in options.stream_field.items() if name == "StreamARN"}
        self.clock = ServerClock()
        session = botocore.session.get_session()
        self._region, endpoint_url = region_and_endpoint(options, session)
        self._credentials = find_credentials(session, options, self._region)
        self._url = endpoint_url.rstrip("/") + "/"
        self._signer = Signer(self._url, "kinesis", self._region)
        # A try may take as long as all tries together, within what is sensible for one.
        self._answer_seconds = min(60.0, max(5.0, options.retry_seconds))
        timeout = urllib3.Timeout(connect=5.0, read=min(30.0, self._answer_seconds))
        self._pool = urllib3.PoolManager(maxsize=64, retries=False, timeout=timeout, cert_reqs="CERT_REQUIRED")

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """One call, tried again on passing faults for the configured time.

        Raises StreamError where AWS refuses for good and UnavailableError when the time is up.
        """
        return self.retrying(lambda: self.call_once(operation, request), operation)

    def retrying(self, attempt: Callable[[], T], what: str) -> T:
        """Runs `attempt` until it succeeds, at most for the configured time."""
        deadline = time.monotonic() + self._options.retry_seconds
        tries = 0
        while True:
            try:
                return attempt()
            except PassingFault as fault:
                tries += 1
                wait = wait_before_retry(tries)
                if time.monotonic() + wait > deadline:
                    raise self.gave_up(what, tries, fault) from fault
                time.sleep(wait)

    def gave_up(self, what: str, tries: int, fault: PassingFault) -> UnavailableError:
        return UnavailableError(
            f"{what} on stream {self._options.stream} failed {tries} times within {self._options.retry_seconds:g} s, "
            f"last with {fault}. Nothing is lost: start the query again and it goes on from its checkpoint. "
            "If this is throttling, other consumers use up the shard's 5 calls/s or 2 MB/s, or retrySeconds is too low."
        )

    def call_once(
        self, operation: str, request: dict[str, Any], admits: Callable[[int], bool] | None = None
    ) -> dict[str, Any]:
        """One call, one try. Raises PassingFault or StreamError, and AnswerTooLarge where `admits` refuses its size."""
        body = orjson.dumps(request)
        headers, keys = self._signed(operation, body)
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=headers, preload_content=False)
            try:
                self.clock.saw(answer.headers.get("Date"))
                content = self._received(answer, admits)
            finally:
                answer.close()  # what was read to its end is back in the pool by now
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise PassingFault("ConnectionError", f"{type(error).__name__}: {error}") from error
        if answer.status != 200:
            raise self._refusal(operation, answer, content, keys)
        try:
            parsed: dict[str, Any] = orjson.loads(content) if content else {}
        except orjson.JSONDecodeError as error:
            raise PassingFault("BadAnswer", f"{len(content)} bytes that are not JSON") from error
        if not isinstance(parsed, dict):
            raise PassingFault("BadAnswer", "JSON that is no object")
        return parsed

    def _received(self, answer: urllib3.BaseHTTPResponse, admits: Callable[[int], bool] | None) -> bytearray:
        """The whole body, in bounded time: a server that sends a byte now and then is no better than a silent one."""
        deadline = time.monotonic() + self._answer_seconds
        length = int(answer.headers.get("Content-Length") or 0)
        if admits is not None and not admits(length or LARGEST_ANSWER):
            raise AnswerTooLarge(length or LARGEST_ANSWER)
        content = bytearray()
        read = getattr(answer, "read1", answer.read)  # urllib3 1 has only the latter, which waits for the whole piece
        while piece := read(PIECE_BYTES):
            content += piece
            if time.monotonic() > deadline:
                raise PassingFault("SlowAnswer", f"{len(content)} of {length} bytes in {self._answer_seconds:g} s")
        if len(content) < length:
            raise PassingFault("TruncatedAnswer", f"{len(content)} of {length} bytes")
        return content

    def _refusal(self, operation: str, answer: urllib3.BaseHTTPResponse, body: bytearray, keys: Frozen) -> Exception:
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            content = None
        content = content if isinstance(content, dict) else {}
        code = str(content.get("__type") or answer.headers.get("x-amzn-ErrorType") or f"HTTP {answer.status}")
        code = code.rpartition("#")[2].partition(":")[0]
        detail = hidden(str(content.get("message") or content.get("Message") or "no message"), keys)
        if answer.status >= 500 or answer.status == 429 or code in THROTTLES or code in PASSING:
            return PassingFault(code, detail)
        return StreamError(code, f"{operation} on stream {self._options.stream} was refused with {code}: {detail}")

    def _signed(self, operation: str, body: bytes) -> tuple[dict[str, str], Frozen]:
        """The headers of a request, and the keys that signed it."""
        try:
            keys = self._credentials.get_frozen_credentials()
        except botocore.exceptions.ClientError as error:
            raise self._no_keys(error) from None
        except botocore.exceptions.BotoCoreError as error:
            raise PassingFault("NoCredentials", f"{type(error).__name__}: {error}") from None
        headers = {"content-type": JSON_TYPE, "x-amz-target": f"Kinesis_20131202.{operation}"}
        return self._signer.headers(headers, body, keys), keys

    def _no_keys(self, error: botocore.exceptions.ClientError) -> Exception:
        """STS did not let the role be assumed."""
        said, status = error.response.get("Error", {}), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = str(said.get("Code") or f"HTTP {status}")
        if (status or 0) >= 500 or code in STS_PASSING:
            return PassingFault(code, "from STS, while a role was assumed")
        return StreamError(
            code,
            f"the role {self._options.role_arn} could not be assumed for reading stream {self._options.stream}: "
            f"STS answered {code}. Check roleArn, the role's trust policy and its external id.",
        )


def region_and_endpoint(options: Options, session: botocore.session.Session | None = None) -> tuple[str, str]:
    """The region and the URL of Kinesis there that options, the stream's ARN and boto3's chain lead to. Makes no call.

    Raises OptionError where there is none."""
    session = session or botocore.session.get_session()
    region = options.region or _region_of(options.stream) or session.get_config_variable("region")
    region = region or os.environ.get("AWS_REGION")  # where Lambda, EMR and Glue say it; botocore does not look
    if not region:
        raise OptionError("no AWS region: set the option region, AWS_REGION or a profile with one")
    return str(region), options.endpoint_url or _endpoint(session, str(region))


def _region_of(stream: str) -> str | None:
    return stream.split(":")[3] if stream.startswith("arn:") and stream.count(":") >= 5 else None


def _endpoint(session: botocore.session.Session, region: str) -> str:
    try:
        return str(session.create_client("kinesis", region_name=region).meta.endpoint_url)
    except botocore.exceptions.BotoCoreError as error:
        raise OptionError(f"no Kinesis endpoint for region {region!r}: {error}") from error
