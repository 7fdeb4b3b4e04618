"""Where one JSON document ends and the next begins, in bytes that hold several: Firehose puts nothing between records.

Nothing is judged here, and no byte of a document is changed; what is broken is cut off where the next one seems to
begin, so that it takes no good one with it. Only white space between documents is dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import orjson

# One ends and another begins. In valid JSON this stands nowhere but inside a string.
JOINED = r"\}[ \t\r\n]*\{"
MOST_BROKEN = 1000  # in one piece of bytes: each may cost a look at all that is behind it

_JOINED_BYTES, _JOINED_TEXT = re.compile(JOINED.encode()), re.compile(JOINED)
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def documents(content: bytes) -> list[bytes]:
    """The documents in `content`, in order; `content` itself where it holds one, or nothing that looks like several."""
    if not _JOINED_BYTES.search(content):
        return [content]
    try:
        orjson.loads(content)
    except ValueError:
        return list(_cut(content))
    return [content]


def _cut(content: bytes) -> Iterator[bytes]:
    # Whatever is no UTF-8 becomes the same bytes again behind this.
    text = content.decode("utf-8", "surrogateescape")
    broken, start = 0, _behind_space(text, 0)
    while start < len(text):
        try:
            _, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            broken += 1
            end = _next_beginning(text, start) if broken < MOST_BROKEN else len(text)
        yield text[start:end].rstrip(" \t\r\n").encode("utf-8", "surrogateescape")
        start = _behind_space(text, end)


def _behind_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    return found.end() if found else start


def _next_beginning(text: str, start: int) -> int:
    found = _JOINED_TEXT.search(text, start)
    return found.end() - 1 if found else len(text)
