"""Members of a request, checked as the service's model declares them."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from .errors import violated

_T = TypeVar("_T")
_HASH_KEY = re.compile(r"0|([1-9]\d{0,38})")


def required(request: dict[str, Any], member: str, kind: type[_T]) -> _T:
    value = request.get(member)
    if not isinstance(value, kind):
        raise violated(_camel(member), "Member must not be null")
    return value


def whole(request: dict[str, Any], member: str, default: int | None, least: int, most: int | None = None) -> int:
    value = request.get(member, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise violated(_camel(member), "Member must not be null")
    if value < least:
        raise violated(_camel(member), f"Member must have value greater than or equal to {least}")
    if most is not None and value > most:
        raise violated(_camel(member), f"Member must have value less than or equal to {most}")
    return value


def hash_key(request: dict[str, Any], member: str) -> int:
    """A decimal number of 128 bits."""
    text = required(request, member, str)
    if not _HASH_KEY.fullmatch(text):
        raise violated(_camel(member), f"Member must satisfy regular expression pattern: {_HASH_KEY.pattern}")
    return int(text)


def millis(request: dict[str, Any], member: str) -> int:
    """A time stamp in Unix milliseconds; on the wire it is a number of seconds."""
    value = request.get(member)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise violated(_camel(member), "Member must not be null")
    return round(value * 1000)


def _camel(member: str) -> str:
    return member[0].lower() + member[1:]
