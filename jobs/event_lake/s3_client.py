"""boto3's S3 client, told how to reach S3 as S3A was; for what Hadoop cannot do, or where there is no Hadoop."""

from __future__ import annotations

import functools
import random
import time
from typing import Any, Literal

PAUSES = (0.1, 0.2, 0.4, 0.8)  # seconds, at most, before an object is read again


@functools.lru_cache(maxsize=8)
def s3_client(endpoint_url: str, region: str, path_style: bool, attempts: int = 8, answer_seconds: int = 60) -> Any:
    """Credentials are found by boto3's own chain. The arguments but the last two are `Storage.s3_settings`."""
    import boto3  # noqa: PLC0415 - a second of start-up that workers on plain file systems need not spend
    from botocore.config import Config  # noqa: PLC0415

    style: Literal["path", "auto"] = "path" if path_style else "auto"
    config = Config(
        retries={"mode": "standard", "max_attempts": attempts},
        read_timeout=answer_seconds,
        s3={"addressing_style": style},
    )
    return boto3.client("s3", endpoint_url=endpoint_url or None, region_name=region or None, config=config)


def read_object(client: Any, bucket: str, key: str) -> bytes:
    """An object's bytes. Raises what boto3 raises: `client.exceptions.NoSuchKey` where there is none.

    boto3 makes a request again whose answer does not begin; one whose answer breaks off it leaves to the caller
    (`download_fileobj` would not, but asks for the object's size first, which is another request to pay and wait for).
    """
    from botocore.exceptions import HTTPClientError, IncompleteReadError  # noqa: PLC0415 - as above

    for pause in PAUSES:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        try:
            return bytes(body.read())
        except (HTTPClientError, IncompleteReadError, ConnectionError):
            time.sleep(random.uniform(0, pause))
    return bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())
