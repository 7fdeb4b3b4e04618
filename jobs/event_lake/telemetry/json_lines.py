"""A line of JSON for each micro-batch: to a file of the driver's machine, or to its standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import date
from typing import Any

from event_lake.telemetry.row import Row

STDOUT = "-"


class JsonLines:
    """Times are ISO 8601; what is not known is left out. A line that a kill cut short is ended by the next start."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self, rows: Sequence[Row]) -> None:
        text = "".join(f"{line(row)}\n" for row in rows)
        if self._path == STDOUT:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        with open(self._path, "ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                text = text if file.read() == b"\n" else f"\n{text}"
            file.write(text.encode())


def line(values: Row) -> str:
    return json.dumps({name: value for name, value in values.items() if value is not None}, default=_text)


def _text(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
