"""The files of a release, by the names they have in dist/ and below the release's folder in S3."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploy.errors import RequestError

MODULES = "event-lake.zip"
ENVIRONMENT = "event-lake-environment.tar.gz"
GLUE_WHEELS = "event-lake.gluewheels.zip"
MAIN_JOB = "stream_events.py"


@dataclass(frozen=True)
class Release:
    """Where it lies, as `scripts/build --upload` printed it: s3://bucket/prefix/event-lake-VERSION-ID."""

    folder: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"s3://[a-z0-9.-]+/\S*[^/\s]", self.folder):
            raise RequestError(f"{self.folder} is no s3://bucket/folder; scripts/build --upload prints the one to give")

    def file(self, name: str) -> str:
        return f"{self.folder}/{name}"
