"""Whether a record is a good event, and if not, why: plain Python, one record at a time.

The problems are a contract: people filter the quarantine table by them. Of several problems a record has, the first
in this order is its `problem`.

gap                         no record at all: the source says that records were lost for good; goes to the gaps table
empty                       zero bytes
compressed_corrupt          gzip or zstd that is cut short, damaged, or followed by something else
unpacked_too_large          gzip or zstd that unpacks to more than is allowed (see event_lake.compressed)
not_json                    not strict JSON (RFC 8259, UTF-8, nothing after the value) as orjson accepts it
not_an_object               JSON, but no object
repeated_key                event_uuid, event_name or created_at given twice with different values
event_uuid_missing          absent or null
event_uuid_not_string
event_uuid_empty
event_uuid_too_long         more than 256 characters
event_name_missing          absent or null
event_name_not_string
event_type_invalid          first part of the name not 1 to 128 ASCII letters, digits, `_`, `-`, `.`
created_at_missing          absent or null
created_at_not_number       neither a number nor a JSON number in a string
created_at_in_milliseconds  would be in range if divided by 1,000
created_at_out_of_range     before 2000-01-01T00:00:00Z or more than a day after arrival
breaks_contract             a good event, but not as the contract of its name asks (see event_lake.contracts)
too_many_types              a good event, but of a new type when a day has brought enough (see event_lake.event_types)
"""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MIN_EMIN, ROUND_FLOOR, Context, Decimal
from typing import Any, NamedTuple

import orjson

from event_lake.compressed import MOST_UNPACKED, NotUnpacked, is_compressed, unpack

LONGEST_UUID = 256
LONGEST_DETAIL = 200
EARLIEST_MICROS = 946_684_800_000_000  # 2000-01-01T00:00:00Z
DAY_MICROS = 86_400_000_000

EVENT_TYPE = re.compile(r"[A-Za-z0-9_.-]{1,128}")
JSON_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?)(?:[eE]([+-]?[0-9]+))?")
LONGEST_NUMBER = 1000  # characters of a number in a string
LONGEST_EXPONENT = 4  # digits
EXACT = Context(prec=2 * LONGEST_NUMBER, Emax=MAX_EMAX, Emin=MIN_EMIN)
FAR_OUT = Decimal("1e30")
# Hive and Spark write this in place of a null partition value; as a type it could not be told from one.
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
UNIQUE_KEYS = ("event_uuid", "event_name", "created_at")


class Verdict(NamedTuple):
    """One record's columns; `problem` is None for a good event, what cannot be read is None.

    A good event has a `detail` where it breaks a contract that is only counted.
    """

    problem: str | None = None
    detail: str | None = None
    event_uuid: str | None = None
    event_name: str | None = None
    event_type: str | None = None
    event_subtype: str | None = None
    created_at: int | None = None  # Unix seconds, floor
    created_micros: int | None = None  # Unix microseconds, floor
    unpacked: bytes | None = None  # the JSON of a good event that came compressed


def judge(data: bytes, arrived_micros: int, most_unpacked: int = MOST_UNPACKED) -> Verdict:
    """Reads one record that arrived at `arrived_micros` (Unix microseconds). Never raises.

    Only what is no JSON is looked at for being compressed, so that JSON pays nothing for it.
    """
    if not data:
        return Verdict("empty", "the record has zero bytes")
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if is_compressed(data):
            return _judge_compressed(data, arrived_micros, most_unpacked)
        return Verdict("not_json", _shortened(str(error)))
    return _judge_json(event, data, arrived_micros)


def _judge_compressed(data: bytes, arrived_micros: int, most_unpacked: int) -> Verdict:
    try:
        content = unpack(data, most_unpacked)
    except NotUnpacked as error:
        return Verdict(error.problem, _shortened(error.detail))
    if not content:
        return Verdict("empty", "the record unpacks to zero bytes")
    try:
        event = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        return Verdict("not_json", _shortened(f"unpacked: {error}"))
    verdict = _judge_json(event, content, arrived_micros)
    return verdict if verdict.problem else verdict._replace(unpacked=content)


def _judge_json(event: Any, data: bytes, arrived_micros: int) -> Verdict:
    if not isinstance(event, dict):
        return Verdict("not_an_object", f"the JSON is {_kind(event)}")

    uuid: Any = event.get("event_uuid")
    name: Any = event.get("event_name")
    created: Any = event.get("created_at")
    problem = _repeated_key(data) or _uuid_problem(uuid) or _name_problem(name)
    if problem is None:
        micros = micros_of(created)
        if micros is not None and _in_range(micros, arrived_micros):
            return _good(uuid, name, micros)
        problem = _created_problem(created, micros, arrived_micros)
    code, _, detail = problem.partition(": ")
    return Verdict(code, _shortened(detail), _readable(uuid), _readable(name))


def lost(what: str | None) -> Verdict:
    """The verdict on a row that the source hands on in place of records that are gone; `what` in full."""
    return Verdict("gap", what or "records are gone")


def breaking_contract(uuid: str | None, name: str, reason: str) -> Verdict:
    """The verdict on a good event that is not as its contract asks; `reason`: JSON path and what is wrong there."""
    return Verdict("breaks_contract", _shortened(reason), uuid, _readable(name))


def _good(uuid: str, name: str, micros: int) -> Verdict:
    return Verdict(None, None, uuid, name, *parts_of(name), micros // 1_000_000, micros)


def parts_of(name: str) -> tuple[str, str | None]:
    """Type and subtype in a good name."""
    parts = name.split(":", 2)
    return parts[0], parts[1] if len(parts) > 1 and parts[1] else None


def is_good_name(name: Any) -> bool:
    return _name_problem(name) is None


def _uuid_problem(uuid: Any) -> str | None:
    if type(uuid) is not str:
        return _absent_or_wrong("event_uuid", uuid, "string")
    if not uuid:
        return "event_uuid_empty: event_uuid is an empty string"
    if len(uuid) > LONGEST_UUID:
        return f"event_uuid_too_long: event_uuid has {len(uuid)} characters, at most {LONGEST_UUID} are allowed"
    return None


def _name_problem(name: Any) -> str | None:
    if type(name) is not str:
        return _absent_or_wrong("event_name", name, "string")
    event_type = name.partition(":")[0]
    if not EVENT_TYPE.fullmatch(event_type) or event_type == NULL_PARTITION:
        return f"event_type_invalid: the first part of event_name is {_shortened(event_type)!r}"
    return None


def _created_problem(created: Any, micros: int | None, arrived_micros: int) -> str:
    if created is None:
        return "created_at_missing: created_at is absent or null"
    what = _shortened(repr(created)) if isinstance(created, (int, float, str)) else _kind(created)
    if micros is None:
        return f"created_at_not_number: created_at is {what}"
    if _in_range(micros // 1000, arrived_micros):
        return f"created_at_in_milliseconds: created_at is {what}, seconds are expected"
    return f"created_at_out_of_range: created_at is {what}; from the year 2000 to a day after arrival is allowed"


def _in_range(micros: int, arrived_micros: int) -> bool:
    return EARLIEST_MICROS <= micros <= arrived_micros + DAY_MICROS


def micros_of(created: Any) -> int | None:
    """Seconds as a number, or a JSON number in a string, in whole microseconds; None where it is neither."""
    if type(created) is int:
        return created * 1_000_000
    if type(created) is float:
        return _floored_micros(Decimal(repr(created)))
    if type(created) is not str or len(created) > LONGEST_NUMBER:
        return None
    match = JSON_NUMBER.fullmatch(created)
    if match is None:
        return None
    mantissa, exponent = Decimal(match[1]), match[2] or "0"
    if len(exponent.lstrip("+-0")) > LONGEST_EXPONENT:
        # To scale by it would fill the memory with zeros, or overflow; all that matters is that it is out of range.
        return 0 if exponent.startswith("-") or not mantissa else int(FAR_OUT.copy_sign(mantissa))
    return _floored_micros(mantissa.scaleb(int(exponent), EXACT))


def _floored_micros(seconds: Decimal) -> int:
    if seconds.adjusted() > FAR_OUT.adjusted():
        return int(FAR_OUT.copy_sign(seconds))
    return int(EXACT.multiply(seconds, Decimal(1_000_000)).to_integral_value(ROUND_FLOOR))


def _absent_or_wrong(key: str, value: Any, expected: str) -> str:
    if value is None:
        return f"{key}_missing: {key} is absent or null"
    return f"{key}_not_{expected}: {key} is {_kind(value)}"


def _readable(value: Any) -> str | None:
    return value[:LONGEST_UUID] if isinstance(value, str) else None


def _kind(value: Any) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return kinds.get(type(value), "null")


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_DETAIL else text[: LONGEST_DETAIL - 1] + "…"


# Repeated keys. orjson keeps the last of them without a word, so the text itself is looked at, but only where the
# keys' names occur more than once in it, or where an escape could hide one.

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],]', re.DOTALL)
_UUID, _NAME, _CREATED = (key.encode() for key in UNIQUE_KEYS)
_HIDDEN_LETTER = re.compile(rb"\\u00[567]")  # an escaped letter of a key; é and its like are no reason to look closer


def _repeated_key(data: bytes) -> str | None:
    once = data.count(_UUID) <= 1 and data.count(_NAME) <= 1 and data.count(_CREATED) <= 1
    if once and (b"\\" not in data or not _HIDDEN_LETTER.search(data)):
        return None
    seen: dict[str, Any] = {}
    for key, value in _members(data):
        if key not in UNIQUE_KEYS:
            continue
        read = orjson.loads(value)
        if isinstance(read, (dict, list)):
            read = value.strip()  # never a good value, and comparing it by contents could recurse too deep
        if key in seen and (type(seen[key]) is not type(read) or seen[key] != read):
            return f"repeated_key: {key} is given twice with different values"
        seen[key] = read
    return None


def _members(data: bytes) -> list[tuple[str, bytes]]:
    """The members of the outermost object of valid JSON, in order, repeated ones too: key and the value's text."""
    members: list[tuple[str, bytes]] = []
    depth, key, value_from = 0, None, 0
    for token in _TOKEN.finditer(data):
        mark = token.group()
        if mark in (b"{", b"["):
            depth += 1
        elif mark in (b"}", b"]", b","):
            if depth == 1 and key is not None:
                members.append((key, data[value_from : token.start()]))
                key = None
            depth -= mark != b","
        elif depth == 1 and key is None:
            key = orjson.loads(mark)
            value_from = data.index(b":", token.end()) + 1
    return members
