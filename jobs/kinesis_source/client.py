"""Signed calls to the Kinesis HTTP API.

botocore finds credentials, region and endpoint and signs; urllib3 keeps the connections; orjson reads the answers.
boto3's own GetRecords parsing costs about 30 µs a record, this path a few: that is the whole reason for its being.
"""

from __future__ import annotations

import email.utils
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import botocore.auth
import botocore.awsrequest
import botocore.exceptions
import botocore.session
import orjson
import urllib3

from kinesis_source.errors import OptionError, StreamError, UnavailableError
from kinesis_source.options import Options

JSON_TYPE = "application/x-amz-json-1.1"

# Answers that another try may change; everything else that AWS refuses stays refused.
THROTTLES = frozenset({"ProvisionedThroughputExceededException", "LimitExceededException", "KMSThrottlingException"})
PASSING = frozenset({"InternalFailure", "InternalServerError", "ServiceUnavailable", "RequestTimeout", "SlowDown"})
EXPIRED_ITERATOR = "ExpiredIteratorException"

FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 3.0

T = TypeVar("T")


class PassingFault(Exception):
    """One try failed in a way that another may not; `code` is AWS's own, or ours where no answer came."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


def wait_before_retry(tries: int) -> float:
    """Seconds to wait after `tries` failures in a row: exponential, capped, fully jittered."""
    return random.uniform(0.5, 1.0) * min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(tries - 1, 10))


class ServerClock:
    """A time that is never later than the server's own, from the `Date` headers of its answers.

    AWS refuses an AT_TIMESTAMP in the future, and a driver's clock may be minutes off. A header counts whole
    seconds, rounded down, so each answer proves "the server's clock is at least this"; the proof that is furthest
    ahead, carried on by the monotonic clock, comes within the network's delay of the truth after a few answers.
    Only answers of the last two spans count, so a server clock that is set back is followed.
    """

    SPAN_SECONDS = 300.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._lead: float | None = None
        self._former_lead: float | None = None

    def saw(self, date_header: str | None) -> None:
        """Takes the Date header of an answer that has just come in; the driver's own clock stands in for none."""
        now = time.monotonic()
        try:
            date = email.utils.parsedate_to_datetime(date_header).timestamp() if date_header else time.time()
        except ValueError:
            date = time.time()
        with self._lock:
            if now - self._started > self.SPAN_SECONDS:
                self._former_lead, self._lead, self._started = self._lead, None, now
            self._lead = max(date - now, self._lead if self._lead is not None else float("-inf"))

    def now(self) -> float:
        """Unix seconds; asks for at least one answer before it."""
        leads = [lead for lead in (self._lead, self._former_lead) if lead is not None]
        return max(leads) + time.monotonic() if leads else time.time()

    def forget(self) -> None:
        """Drops what was learnt: the server says that its clock is behind it."""
        with self._lock:
            self._lead = self._former_lead = None


class KinesisClient:
    """Calls one stream's endpoint. Safe to share between threads; not to pickle."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.stream_field = options.stream_field
        self.clock = ServerClock()
        session = botocore.session.get_session()
        region = options.region or _region_of(options.stream) or session.get_config_variable("region")
        region = region or os.environ.get("AWS_REGION")  # where Lambda, EMR and Glue say it; botocore does not look
        if not region:
            raise OptionError("no AWS region: set the option region, AWS_REGION or a profile with one")
        self._region = str(region)
        credentials = session.get_credentials()
        if credentials is None:
            raise OptionError(
                "no AWS credentials: boto3's chain (environment, profile, role) found none for reading "
                f"stream {options.stream}"
            )
        self._credentials = credentials
        self._url = (options.endpoint_url or _endpoint(session, self._region)).rstrip("/") + "/"
        self._pool = urllib3.PoolManager(
            maxsize=64, retries=False, timeout=urllib3.Timeout(connect=5.0, read=30.0), cert_reqs="CERT_REQUIRED"
        )

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

    def call_once(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """One call, one try. Raises PassingFault or StreamError."""
        body = orjson.dumps(request)
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=self._signed(operation, body))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise PassingFault("ConnectionError", f"{type(error).__name__}: {error}") from error
        self.clock.saw(answer.headers.get("Date"))
        if answer.status == 200:
            try:
                content: dict[str, Any] = orjson.loads(answer.data) if answer.data else {}
                return content
            except orjson.JSONDecodeError as error:
                raise PassingFault("BadAnswer", f"{len(answer.data)} bytes that are not JSON") from error
        raise self._refusal(operation, answer)

    def _refusal(self, operation: str, answer: urllib3.BaseHTTPResponse) -> Exception:
        try:
            content = orjson.loads(answer.data)
        except orjson.JSONDecodeError:
            content = {}
        code = str(content.get("__type") or answer.headers.get("x-amzn-ErrorType") or f"HTTP {answer.status}")
        code = code.rpartition("#")[2].partition(":")[0]
        detail = str(content.get("message") or content.get("Message") or "no message")
        if answer.status >= 500 or answer.status == 429 or code in THROTTLES or code in PASSING:
            return PassingFault(code, detail)
        return StreamError(code, f"{operation} on stream {self._options.stream} was refused with {code}: {detail}")

    def _signed(self, operation: str, body: bytes) -> dict[str, str]:
        request = botocore.awsrequest.AWSRequest(
            method="POST",
            url=self._url,
            data=body,
            headers={"Content-Type": JSON_TYPE, "X-Amz-Target": f"Kinesis_20131202.{operation}"},
        )
        frozen = self._credentials.get_frozen_credentials()
        botocore.auth.SigV4Auth(frozen, "kinesis", self._region).add_auth(request)
        return dict(request.headers.items())


def _region_of(stream: str) -> str | None:
    return stream.split(":")[3] if stream.startswith("arn:") and stream.count(":") >= 5 else None


def _endpoint(session: botocore.session.Session, region: str) -> str:
    try:
        return str(session.create_client("kinesis", region_name=region).meta.endpoint_url)
    except botocore.exceptions.BotoCoreError as error:
        raise OptionError(f"no Kinesis endpoint for region {region!r}: {error}") from error
