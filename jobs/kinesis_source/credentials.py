"""Whose credentials calls are signed with: boto3's own chain, or a role that is assumed with them.

They are found where they are used, in the driver and in each task, and are renewed there before they expire; they never
travel with the reader, and stand in no offset, plan, log or error.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol, cast

import botocore.credentials
import botocore.exceptions
import botocore.session

from kinesis_source.errors import OptionError
from kinesis_source.options import Options

SESSION_NAME = "kinesis-exact"

# Of botocore: at debug level they write requests and answers out whole, and STS's answer is a secret key.
LOGS_WITH_KEYS = ("botocore.auth", "botocore.endpoint", "botocore.parsers")


# What STS gave, in memory only: Spark keeps the process for the next micro-batch, which need not ask again.
_assumed_before: dict[tuple[str | None, str], dict[str, Any]] = {}


class Frozen(Protocol):
    """One set of keys that belong together."""

    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...
    @property
    def token(self) -> str | None: ...


class Credentials(Protocol):
    """Something that has keys, fresh ones each time that they are asked for."""

    def get_frozen_credentials(self) -> Frozen: ...


def find_credentials(session: botocore.session.Session, options: Options, region: str) -> Credentials:
    """Raises OptionError where the chain has none."""
    found = session.get_credentials()
    if found is None:
        raise OptionError(
            "no AWS credentials: boto3's chain (environment, profile, role) found none for reading "
            f"stream {options.stream}"
        )
    if options.role_arn is None:
        return cast(Credentials, found)
    return _assumed(session, found, options, options.role_arn, region)


def _assumed(session: botocore.session.Session, source: Any, options: Options, role: str, region: str) -> Credentials:
    def sts(_: str, **keys: Any) -> Any:
        return session.create_client("sts", **{**keys, "region_name": region, "endpoint_url": options.sts_endpoint_url})

    for name in LOGS_WITH_KEYS:
        logging.getLogger(name).addFilter(_above_debug)
    extra = {"RoleSessionName": options.role_session_name or SESSION_NAME}
    if options.external_id is not None:
        extra["ExternalId"] = options.external_id
    fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
        sts, source, role, extra_args=extra, cache=_assumed_before.setdefault((options.sts_endpoint_url, region), {})
    )
    renewing = botocore.credentials.DeferredRefreshableCredentials(fetcher.fetch_credentials, method="assume-role")
    return cast(Credentials, renewing)


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def hidden(text: str, keys: Frozen) -> str:
    """`text` without the keys: AWS repeats the headers of a request whose signature it does not accept."""
    for key in (keys.secret_key, keys.token, keys.access_key):
        if key:
            text = text.replace(key, "***")
    return text
