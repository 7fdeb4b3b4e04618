"""Where one document ends and the next begins: no byte of a document is changed, and a broken one stays alone."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_lake.documents import documents

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.sampled_from(["}{", "} {"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)
SPACES = re.compile(rb"[ \t\r\n]+")  # what JSON takes for white space
SPACE = st.sampled_from([b"", b"", b" ", b"\r\n", b"\t\n "])


@given(st.lists(st.tuples(OBJECTS, st.sampled_from([None, 1]), SPACE), min_size=1), st.booleans())
def test_documents_behind_each_other_come_out_one_by_one_byte_for_byte(
    written: list[tuple[dict[str, object], int | None, bytes]], is_ascii: bool
) -> None:
    def bytes_of(one: dict[str, object], indent: int | None) -> bytes:
        return json.dumps(one, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "replace")

    each = [bytes_of(one, indent) for one, indent, _ in written]
    content = b"".join(one + space for one, (_, _, space) in zip(each, written, strict=True))
    if len(each) == 1:
        assert documents(content) == [content]
    else:
        assert documents(content) == each


@given(st.binary())
def test_nothing_but_white_space_between_documents_is_ever_dropped(content: bytes) -> None:
    content = content.replace(b"0", b"}{").replace(b"1", b'{"a":1}')
    assert SPACES.sub(b"", b"".join(documents(content))) == SPACES.sub(b"", content)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", [b""]),
        (b" \t", [b" \t"]),
        (b'{"a":"}{"}', [b'{"a":"}{"}']),
        (b'{"a":1}x{"b":2}', [b'{"a":1}x{"b":2}']),
        (b'{"a":tru}{"b":2}{"c":3}', [b'{"a":tru}', b'{"b":2}', b'{"c":3}']),
        (b'{"a":"un{"b":2}{"c":3}', [b'{"a":"un{"b":2}', b'{"c":3}']),
        (b'{"a":"\xff\xfe"} {"b":2}', [b'{"a":"\xff\xfe"}', b'{"b":2}']),
        (b'{"a":1}{"b":2', [b'{"a":1}', b'{"b":2']),
        (b'{"a":1}{"b":\x0b', [b'{"a":1}', b'{"b":\x0b']),
        (b'{"a":' + b"[" * 100_000 + b'}{"b":2}', [b'{"a":' + b"[" * 100_000 + b"}", b'{"b":2}']),
    ],
)
def test_a_broken_document_takes_none_behind_it_along(content: bytes, parts: list[bytes]) -> None:
    assert documents(content) == parts


def test_a_million_beginnings_without_an_end_take_no_quadratic_time() -> None:
    content = b'{"a":"}' * 1_000_000
    began = time.monotonic()
    parts = documents(content)
    assert time.monotonic() - began < 20
    assert b"".join(parts) == content
