"""What an audit has written to its --report."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from event_lake.audit.report import NUMBERS
from event_lake.errors import ConfigError
from event_lake.report.figures import Audited
from event_lake.report.wording import moment
from event_lake.storage import Storage

MOST_FINDINGS = 20


def read_audit(storage: Storage, path: str) -> Audited:
    """Raises ConfigError where the file is not there, or is no such report."""
    text = storage.read_text(path)
    try:
        document = json.loads(text)
        return Audited(
            path=path,
            start=_bound(document["start"]),
            end=_bound(document["end"] or "the end of the table"),
            exit_code=int(document["exit_code"]),
            numbers={name: int(document[name]) for name in NUMBERS},
            findings=[dict(finding) for finding in document["findings"][:MOST_FINDINGS]],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"--audit: {path} is not what audit_events.py --report writes ({type(error).__name__}: {error})"
        ) from error


def _bound(text: str) -> str:
    """A time as the page writes it; what is none, such as trim_horizon, as it is."""
    try:
        return moment(datetime.fromisoformat(text).astimezone(UTC))
    except ValueError:
        return text
