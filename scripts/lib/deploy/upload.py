"""Brings dist/ to S3, below a folder that is named after its very bytes.

So no file that a running job was started with is ever replaced: what EMR or Glue start again by themselves, after a
failure or in a maintenance window, is what was running before.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from deploy.contents import release_id
from deploy.errors import RequestError
from deploy.release import Release


def upload(s3: Any, dist: Path, version: str, place: str, tell: Callable[[str], None]) -> Release:
    """Uploads what is not there yet, below `place` (s3://bucket/prefix). Files larger than 8 MB go in parts."""
    parts = urlsplit(place)
    if parts.scheme != "s3" or not parts.netloc:
        raise RequestError(f"{place} is no s3://bucket/prefix")
    release = Release(f"{place.rstrip('/')}/event-lake-{version}-{release_id(dist)}")
    prefix = urlsplit(release.folder).path.strip("/")
    for file in sorted(dist.iterdir()):
        key = f"{prefix}/{file.name}"
        if _is_there(s3, parts.netloc, key, file.stat().st_size):
            tell(f"there already: s3://{parts.netloc}/{key}")
            continue
        tell(f"uploading {file.name}, {file.stat().st_size:,} bytes")
        s3.upload_file(str(file), parts.netloc, key)
    return release


def _is_there(s3: Any, bucket: str, key: str, size: int) -> bool:
    try:
        return bool(s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == size)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise RequestError(f"s3://{bucket}/{key} cannot be looked at: {error}") from error
