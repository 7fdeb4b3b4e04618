"""Numbers for people; and text of which nobody knows who wrote it, made harmless to show."""

from __future__ import annotations

import codecs
from datetime import datetime, timedelta

UNKNOWN = "–"
STEPS = ((86_400, "d"), (3600, "h"), (60, "min"))
SIZES = (("GB", 1024**3), ("MB", 1024**2), ("KB", 1024))


def count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def plural(number: int, noun: str, nouns: str = "") -> str:
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def share(part: float | None) -> str:
    """Two digits that mean something, never 0 or 100 % where it is not exactly that."""
    if part is None:
        return UNKNOWN
    percent = 100 * part
    if percent == 0:
        return "0 %"
    if percent < 0.01:
        return "< 0.01 %"
    if 99.99 < percent < 100:
        return "> 99.99 %"
    return f"{percent:.2f} %" if percent < 10 else f"{percent:.1f} %"


def seconds(value: float | None) -> str:
    """A duration: 0.25 s, 12.3 s, 3 min 5 s, 2 h 10 min, 4 d 3 h."""
    if value is None:
        return UNKNOWN
    if value < 0:
        return f"−{seconds(-value)}"
    if value < 59.95:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    whole = round(value)
    for number, (size, unit) in enumerate(STEPS):
        if whole >= size:
            smaller_size, smaller = (*STEPS, (1, "s"))[number + 1]
            rest = whole % size // smaller_size
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def duration(value: timedelta) -> str:
    """A round one: 5 s, 2 min, 1 d."""
    whole = value.total_seconds()
    return f"{whole:g} s" if whole < 60 else seconds(whole)


def size(number: int) -> str:
    for unit, of in SIZES:
        if number >= of:
            return f"{number / of:.1f} {unit}"
    return f"{number} B"


def moment(when: datetime | None) -> str:
    """To the second, UTC."""
    return UNKNOWN if when is None else f"{when:%Y-%m-%d %H:%M:%S}"


def harmless(text: str) -> str:
    """The same text, with an escape for all that is not to be seen: control characters, marks that turn the direction
    of writing, zero widths, lone surrogates. HTML is the page's to escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def text_of(head: bytes, size: int) -> str:
    """Bytes of a record, of which `head` is the beginning; what is no UTF-8 is shown as \\xNN."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    whole = len(head) >= size
    # Where the record goes on, a character that the cut has hit is left out.
    return harmless(decoder.decode(head, final=whole)) + ("" if whole else "…")


def short_count(value: float) -> str:
    """For an axis: 250, 12k, 1.5M."""
    for unit, of in (("M", 1e6), ("k", 1e3)):
        if value >= of:
            return f"{value / of:g}{unit}"
    return f"{value:g}"


def short_seconds(value: float) -> str:
    """For an axis: 0.5 s, 20 min."""
    return f"{value:g} s" if value < 60 else seconds(value)


def short_share(value: float) -> str:
    return f"{100 * value:g} %"
