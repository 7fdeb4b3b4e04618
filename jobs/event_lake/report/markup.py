"""HTML by functions: whatever is not markup already is text, and is escaped. There is no other way in."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from event_lake.report.wording import harmless

VOID = ("meta", "link")


class Html(str):
    """Markup that is done."""

    __slots__ = ()


def text(value: str) -> Html:
    return value if isinstance(value, Html) else Html(html.escape(harmless(value)))


def tag(name: str, /, *children: str, **attributes: str) -> Html:
    """An element; `class_` is its class, `aria_label` its aria-label."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(harmless(value))}"' for key, value in attributes.items()
    )
    if name in VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{joined(children)}</{name}>")


def joined(parts: Iterable[str]) -> Html:
    return Html("".join(map(text, parts)))


def code(value: str) -> Html:
    """Text from outside: left to right in a box of its own, whatever letters it has."""
    return tag("code", value, dir="ltr")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> Html:
    """In a box that scrolls by itself where it is too wide. The first `texts` columns stand left, numbers right."""
    sides = ["t" if number < texts else "n" for number in range(len(head))]
    line = joined(tag("th", name, class_=side, scope="col") for name, side in zip(head, sides, strict=True))
    body = joined(
        tag("tr", *(tag("td", cell, class_=side) for cell, side in zip(row, sides, strict=True))) for row in rows
    )
    whole = tag("table", tag("thead", tag("tr", line)), tag("tbody", body))
    return tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label=f"Table: {', '.join(head)}")


def fold(summary: str, *children: str) -> Html:
    """What is shown when asked for."""
    return tag("details", tag("summary", summary), *children)
