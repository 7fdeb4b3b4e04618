"""Events off the beaten track: every way of being broken, and events that look broken but are good.

Both tables hold functions that turn an ordinary event (a dict) into the bytes a producer sends. What makes an event
good, and the problem codes, are the contract of `jobs/event_lake/parse.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from gzipped import gzipped

Event = Mapping[str, Any]
LOWER_BOUND = 946_684_800  # 2000-01-01T00:00:00Z


def _with(**fields: object) -> Callable[[Event], bytes]:
    return lambda event: orjson.dumps({**event, **fields})


def _without(field: str) -> Callable[[Event], bytes]:
    return lambda event: orjson.dumps({name: value for name, value in event.items() if name != field})


def _with_raw(field: str, json_text: bytes) -> Callable[[Event], bytes]:
    """The value as JSON text, for what a serialiser would not write."""
    return lambda event: orjson.dumps({**event, field: "~"}).replace(
        b'"%s":"~"' % field.encode(), b'"%s":%s' % (field.encode(), json_text)
    )


def _also(more: bytes) -> Callable[[Event], bytes]:
    """The event with more text in front of its closing brace."""
    return lambda event: orjson.dumps(dict(event))[:-1] + more + b"}"


def _around(before: bytes, after: bytes) -> Callable[[Event], bytes]:
    return lambda event: before + orjson.dumps(dict(event)) + after


def _nested(depth: int) -> bytes:
    return b',"nested":' + b"[" * depth + b"]" * depth


def _renamed(field: str, other: str) -> Callable[[Event], bytes]:
    return lambda event: orjson.dumps({other if name == field else name: value for name, value in event.items()})


# Compressed, and broken in that or beneath it.
PACKED: tuple[tuple[str, Callable[[Event], bytes]], ...] = (
    ("empty", lambda event: gzipped(b"")),
    ("compressed_corrupt", lambda event: gzipped(orjson.dumps(dict(event)))[:-1]),
    ("compressed_corrupt", lambda event: gzipped(orjson.dumps(dict(event))) + b"\n"),
    ("compressed_corrupt", lambda event: b"\x28\xb5\x2f\xfd" + orjson.dumps(dict(event))),
    ("unpacked_too_large", lambda event: gzipped(b" " * 2_000_000)),
    ("not_json", lambda event: gzipped(gzipped(orjson.dumps(dict(event))))),
    ("event_uuid_missing", lambda event: gzipped(b"{}")),
)

BROKEN: tuple[tuple[str, Callable[[Event], bytes]], ...] = (
    ("empty", lambda event: b""),
    # not_json: what a strict parser refuses, first of all what lax ones let through
    ("not_json", lambda event: orjson.dumps(dict(event))[:-1]),
    ("not_json", lambda event: orjson.dumps(dict(event))[: len(event["event_uuid"])]),
    ("not_json", _around(b"", b"x")),
    ("not_json", _around(b"", b"{}")),
    ("not_json", lambda event: b"\n".join([orjson.dumps(dict(event))] * 2)),
    ("not_json", _around(b"", b",")),
    ("not_json", _around(b"", b"\x00")),
    ("not_json", _around(b"", b" // sent by hand")),
    ("not_json", lambda event: repr(dict(event)).encode()),
    ("not_json", _also(b',"score":NaN')),
    ("not_json", _also(b',"score":-Infinity')),
    ("not_json", _also(b',"score":1e400')),
    ("not_json", _also(b',"score":' + b"9" * 400)),
    ("not_json", _also(b',"score":007')),
    ("not_json", _also(b',"score":.5')),
    ("not_json", _also(b',"ok":True')),
    ("not_json", _also(b",")),
    ("not_json", _also(b",score:1")),
    ("not_json", _also(b',"title":"two\nlines"')),
    ("not_json", _also(b',"title":"\\x41"')),
    ("not_json", _also(b',"title":"\\ud83d"')),
    ("not_json", _also(b',"title":"caf\xe9"')),
    ("not_json", _also(b',"title":"\xed\xa0\xbd"')),
    ("not_json", _also(b',"title":"\xc0\xaf"')),
    ("not_json", _also(_nested(2_000))),
    ("not_json", _around(b"\xef\xbb\xbf", b"")),
    ("not_json", lambda event: json.dumps(dict(event)).encode("utf-16")),
    ("not_json", lambda event: b" \r\n"),
    ("not_json", lambda event: "événement: démarré".encode("latin-1")),
    ("not_json", lambda event: bytes(range(128, 256))),
    ("not_json", lambda event: f"event_uuid={event['event_uuid']}&event_name={event['event_name']}".encode()),
    ("not_an_object", _around(b"[", b"]")),
    ("not_an_object", lambda event: orjson.dumps(orjson.dumps(dict(event)).decode())),
    ("not_an_object", lambda event: b"[]"),
    ("not_an_object", lambda event: b"null"),
    ("not_an_object", lambda event: b"true"),
    ("not_an_object", lambda event: b"1644838800"),
    ("not_an_object", lambda event: b'"lesson:started"'),
    ("repeated_key", _also(b',"event_uuid":"another"')),
    ("repeated_key", _also(b',"event\\u005fuuid":"another"')),
    ("repeated_key", _also(b',"event_uuid":null')),
    ("repeated_key", _also(b',"event_name":"another:name"')),
    ("repeated_key", _also(b', "created_at" : 1644838800')),
    ("repeated_key", lambda event: b'{"event_uuid":"another",' + orjson.dumps(dict(event))[1:]),
    ("event_uuid_missing", _without("event_uuid")),
    ("event_uuid_missing", _with(event_uuid=None)),
    ("event_uuid_missing", _renamed("event_uuid", "Event_UUID")),
    ("event_uuid_missing", lambda event: orjson.dumps({"event": dict(event)})),
    ("event_uuid_missing", lambda event: b"{}"),
    ("event_uuid_not_string", _with(event_uuid=1234567890)),
    ("event_uuid_not_string", _with(event_uuid=12.5)),
    ("event_uuid_not_string", _with(event_uuid=True)),
    ("event_uuid_not_string", _with(event_uuid=["1234567890"])),
    ("event_uuid_not_string", _with(event_uuid={"id": "1234567890"})),
    ("event_uuid_empty", _with(event_uuid="")),
    ("event_uuid_too_long", _with(event_uuid="u" * 257)),
    ("event_uuid_too_long", _with(event_uuid="\N{SPARKLES}" * 257)),
    ("event_uuid_too_long", _with(event_uuid="u" * 100_000)),
    ("event_name_missing", _without("event_name")),
    ("event_name_missing", _with(event_name=None)),
    ("event_name_missing", _renamed("event_name", "eventName")),
    ("event_name_not_string", _with(event_name=404)),
    ("event_name_not_string", _with(event_name=False)),
    ("event_name_not_string", _with(event_name=["lesson", "started"])),
    ("event_name_not_string", _with(event_name={"type": "lesson"})),
    ("event_type_invalid", _with(event_name="")),
    ("event_type_invalid", _with(event_name=":started")),
    ("event_type_invalid", _with(event_name="t" * 129 + ":started")),
    ("event_type_invalid", _with(event_name="lektion-übung:started")),
    ("event_type_invalid", _with(event_name="урок:started")),
    ("event_type_invalid", _with(event_name=" lesson:started")),
    ("event_type_invalid", _with(event_name="lesson started")),
    ("event_type_invalid", _with(event_name="../lesson:started")),
    ("event_type_invalid", _with(event_name="lesson/date=2022-02-14:started")),
    ("event_type_invalid", _with(event_name="lesson%2F:started")),
    ("event_type_invalid", _with(event_name="lesson\n:started")),
    ("event_type_invalid", _with(event_name="lesson\x00:started")),
    ("event_type_invalid", _with(event_name="lesson٣:started")),
    ("event_type_invalid", _with(event_name="__HIVE_DEFAULT_PARTITION__:started")),
    ("created_at_missing", _without("created_at")),
    ("created_at_missing", _with(created_at=None)),
    ("created_at_missing", _renamed("created_at", "createdAt")),
    ("created_at_not_number", _with(created_at=True)),
    ("created_at_not_number", _with(created_at="")),
    ("created_at_not_number", _with(created_at="2022-02-14T11:40:00Z")),
    ("created_at_not_number", _with(created_at="yesterday")),
    ("created_at_not_number", _with(created_at="NaN")),
    ("created_at_not_number", _with(created_at="0x620a4050")),
    ("created_at_not_number", _with(created_at="1_644_838_800")),
    ("created_at_not_number", _with(created_at="+1644838800")),
    ("created_at_not_number", _with(created_at="١٦٤٤٨٣٨٨٠٠")),
    ("created_at_not_number", _with(created_at=[1644838800])),
    ("created_at_not_number", _with(created_at={"seconds": 1644838800})),
    ("created_at_in_milliseconds", lambda event: orjson.dumps({**event, "created_at": event["created_at"] * 1000})),
    ("created_at_in_milliseconds", _with(created_at=1644838800123)),
    ("created_at_in_milliseconds", _with(created_at=1644838800123.5)),
    ("created_at_in_milliseconds", _with(created_at="1644838800123")),
    ("created_at_out_of_range", _with(created_at=0)),
    ("created_at_out_of_range", _with(created_at=-1644838800)),
    ("created_at_out_of_range", _with(created_at=LOWER_BOUND - 1)),
    ("created_at_out_of_range", _with(created_at=LOWER_BOUND - 0.001)),
    ("created_at_out_of_range", _with(created_at=str(LOWER_BOUND - 1))),
    ("created_at_out_of_range", _with(created_at=4_102_444_800)),
    ("created_at_out_of_range", _with(created_at=1e300)),
    ("created_at_out_of_range", _with_raw("created_at", b"9" * 25)),
)

# Good events that careless code breaks, loses or sets aside. The uuid that counts is the one in the event given.
UNUSUAL: tuple[Callable[[Event], bytes], ...] = (
    _with(event_name="lesson"),
    _with(event_name="lesson:"),
    _with(event_name="lesson::started"),
    _with(event_name="payment:order:line:added"),
    _with(event_name="lesson:über/../x y=%20"),
    _with(event_name="account:created", created_at=LOWER_BOUND),
    _with(event_name="account:created", created_at=float(LOWER_BOUND)),
    _with(event_name="account:created", created_at=str(LOWER_BOUND)),
    _with(created_at="1644838800.5"),
    _with(created_at="1644838800"),
    _with(created_at=1644838800.999999),
    _with_raw("created_at", b"1.6448388e9"),
    _around(b" \r\n\t", b"\n\n"),
    _also(b',"order":{"event_uuid":"nested","event_name":["nested"],"created_at":null}'),
    _also(b',"history":[{"event_uuid":"a","created_at":1},{"event_uuid":"b","created_at":2}]'),
    _also(b',"note":"\\"event_uuid\\":\\"quoted\\",\\"created_at\\":1}"'),
    _also(b',"title":"first","title":"second"'),
    lambda event: _also(b',"event_uuid":' + orjson.dumps(event["event_uuid"]))(event),
    lambda event: _also(b',"event_name":' + orjson.dumps(event["event_name"]))(event),
    lambda event: _also(b',"created_at":' + orjson.dumps(event["created_at"]))(event),
    lambda event: orjson.dumps(dict(event)).replace(b'"event_uuid"', b'"event\\u005fuuid"'),
    lambda event: json.dumps(dict(event), indent=2, sort_keys=True).encode(),
    _also(b',"count":' + b"9" * 25 + b',"ratio":1e-320,"path":"a\\/b","emoji":"\\ud83d\\ude80"'),
    _also(_nested(200)),
    _also(b',"text":"' + "Überlänge ".encode() * 4_000 + b'"'),
)

UNUSUAL_UUIDS: tuple[Callable[[str], str], ...] = (
    lambda uuid: uuid.ljust(256, "u"),
    lambda uuid: uuid.ljust(256, "\N{SPARKLES}"),
    lambda uuid: f"ключ-{uuid}-\N{KEY}",
    lambda uuid: f" {uuid} ",
    lambda uuid: uuid.upper(),
    lambda uuid: f'{uuid}"\\/',
    lambda uuid: f"{uuid}\n\t",
    lambda uuid: str(int(uuid.replace("-", ""), 16)),
)
