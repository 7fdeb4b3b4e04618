"""Which records are meant: those whose JSON holds a value at a path, whatever became of them.

A payload that is stored is strict JSON, but quarantine also holds what is not: JSON as laxer parsers take it is looked
into as well, and in what no parser takes only words can be sought.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from event_lake.compressed import NotUnpacked, is_compressed, unpack
from event_lake.errors import ConfigError

# What a record is to a condition; None: no match.
MATCHES = "matches"
SUSPECTED = "suspected"  # it cannot be parsed, and holds the path's last name and the value as words
UNREADABLE = "unreadable"  # it cannot be parsed, and no such words are seen in it

EVERY = -1  # a step to all elements of an array
STEP = re.compile(
    r"""\.(?P<name>[^.\[\]'"=\s]+)|\[(?P<index>[0-9]+)\]|\[(?P<every>\*)\]|\[(?P<quoted>'[^']*'|"[^"]*")\]"""
)
# Numbers beyond are floats to orjson, and many of them one float.
EXACT = 2**63


class Members(list[tuple[str, Any]]):
    """An object with all of its members, in order, also those whose name is there again."""


@dataclass(frozen=True)
class Condition:
    """A path and what may stand there, `$.account_id=42` parsed."""

    steps: tuple[str | int, ...]
    text: str  # the value as a word, for what cannot be parsed
    number: int | float | None
    boolean: bool | None
    string: str

    @classmethod
    def parse(cls, written: str, place: str) -> Condition:
        """Raises ConfigError; it names the `place` where the condition was given, since the condition itself is about a
        person and has no place in a log."""
        if not written.startswith("$"):
            raise ConfigError(f"{place} does not begin with $; expected PATH=VALUE, such as $.account_id=42")
        at, steps = 1, list[str | int]()
        while step := STEP.match(written, at):
            steps.append(_step(step))
            at = step.end()
        value = written[at + 1 :]
        if not steps or written[at : at + 1] != "=":
            raise ConfigError(
                f"{place} cannot be read at character {at + 1}; expected PATH=VALUE with a path such as $.a.b, "
                "$.items[0].id, $.items[*].id or $['odd name']"
            )
        if not any(isinstance(step, str) for step in steps):
            raise ConfigError(f"{place} names no member of an object")
        return cls(tuple(steps), *_value(value, place))

    def is_met_by(self, value: Any) -> bool:
        if type(value) is str:
            return value == self.string
        if type(value) is bool:
            return value is self.boolean
        return type(value) in (int, float) and self.number is not None and bool(value == self.number)

    @property
    def last_name(self) -> str:
        return next(step for step in reversed(self.steps) if isinstance(step, str))


def _step(found: re.Match[str]) -> str | int:
    if found["name"] is not None:
        return found["name"]
    if found["index"] is not None:
        return int(found["index"])
    return EVERY if found["every"] else found["quoted"][1:-1]


def _value(written: str, place: str) -> tuple[str, int | float | None, bool | None, str]:
    """The word, and what it stands for: `42` is the number and the string, `"42"` only the string."""
    try:
        value = json.loads(written)
    except ValueError:
        value = written
    if value is None or value == "" or isinstance(value, list | dict):
        raise ConfigError(f"the value of {place} is empty, null, an array or an object; expected one value")
    if isinstance(value, str):
        return value, None, None, value
    number = None if isinstance(value, bool) else value
    return written, number, value if isinstance(value, bool) else None, written


class Search:
    """Looks into records for any of several conditions. Is pickled to the workers."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = tuple(conditions)
        self._names = tuple({step.encode() for one in conditions for step in one.steps if isinstance(step, str)})
        # How a name may be written that is not there byte for byte.
        self._escape = b"\\u00" if all(name.isascii() for name in self._names) else b"\\u"
        self._needs_exact = any(one.number is not None and abs(one.number) >= EXACT for one in conditions)
        self._words = tuple((_word(one.last_name), _word(one.text)) for one in conditions)

    def judge(self, data: bytes | None) -> str | None:
        """MATCHES, SUSPECTED, UNREADABLE or None. Never raises."""
        if not data:
            return None
        if is_compressed(data):
            try:
                data = unpack(data)
            except NotUnpacked:
                return UNREADABLE
        parsed, value = self._parsed(data)
        if parsed:
            return MATCHES if self._is_met(value) else None
        words = any(name.search(data) and value.search(data) for name, value in self._words)
        return SUSPECTED if words else UNREADABLE

    def _parsed(self, data: bytes) -> tuple[bool, Any]:
        """Whether it is JSON, to whichever parser, and its value: with every member where a name may be there twice."""
        try:
            value = orjson.loads(data)
            strict = True
        except orjson.JSONDecodeError:
            value, strict = None, False
        if strict and not self._needs_exact and not self._may_repeat(data):
            return True, value
        try:
            return True, json.loads(data, object_pairs_hook=Members)
        except (ValueError, RecursionError):
            return strict, value

    def _may_repeat(self, data: bytes) -> bool:
        return any(data.count(name) > 1 for name in self._names) or self._escape in data

    def _is_met(self, value: Any) -> bool:
        return any(one.is_met_by(leaf) for one in self._conditions for leaf in _at(value, one.steps))


def _at(value: Any, steps: Sequence[str | int]) -> Iterator[Any]:
    """All that stands at the end of the steps."""
    found: Iterable[Any] = [value]
    for step in steps:
        found = [below for one in found for below in _below(one, step)]
    yield from found


def _below(value: Any, step: str | int) -> Sequence[Any]:
    if isinstance(step, str):
        if isinstance(value, Members):
            return [member for name, member in value if name == step]
        return [value[step]] if isinstance(value, dict) and step in value else []
    if not isinstance(value, list) or isinstance(value, Members):
        return []
    return value if step == EVERY else value[step : step + 1]


def _word(text: str) -> re.Pattern[bytes]:
    """The text as a whole word in bytes of any kind, as it is or as JSON escapes it."""
    forms = {text.encode(errors="replace"), json.dumps(text)[1:-1].encode()}
    either = b"|".join(re.escape(form) for form in sorted(forms))
    return re.compile(rb"(?<![0-9A-Za-z_])(?:" + either + rb")(?![0-9A-Za-z_])")
