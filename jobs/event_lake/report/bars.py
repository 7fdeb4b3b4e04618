"""What does not go over time: a list of names, each with a bar, in HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from event_lake.report.markup import Html, joined, tag
from event_lake.report.wording import count, share


@dataclass(frozen=True)
class Bar:
    label: Html
    number: int
    below: Html | None = None  # what is told of it


def bar_list(bars: Sequence[Bar], colour: str, whole: int) -> Html:
    """`whole`: of what each bar is a share. The longest bar takes all of the width."""
    most = max((bar.number for bar in bars), default=0) or 1
    items = [
        tag(
            "li",
            tag("div", tag("span", bar.label, class_="label"), _numbers(bar.number, whole), class_="named"),
            tag(
                "div", tag("i", style=f"width:{100 * bar.number / most:.2f}%;background:var(--{colour})"), class_="bar"
            ),
            *([bar.below] if bar.below else []),
        )
        for bar in bars
    ]
    return tag("ul", joined(items), class_="bars")


def _numbers(number: int, whole: int) -> Html:
    part = tag("small", share(number / whole)) if whole else Html()
    return tag("span", count(number), " ", part, class_="number")
