"""The page, opened in a real browser, with the worst that a producer can send on it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from browser import PROGRAM, WHY_NOT, Seen, opened
from report_figures import course, everywhere, figures, point

from event_lake.report.page import POLICY, page

needs_browser = pytest.mark.skipif(PROGRAM is None, reason=WHY_NOT)
ELSEWHERE = "http://elsewhere.test/stolen"
RAN = "it ran"
RUN = f"document.title='{RAN}'"
HOSTILE = (
    f"</code></style></title></svg><script>{RUN}</script>"
    f'<img src="{ELSEWHERE}" onerror="{RUN}"><svg onload="{RUN}">'
    f'<a href="javascript:{RUN}" id="\' onfocus={RUN} autofocus">'
    "\u202egnp.exe\u2066\u200b\x1b[2J &lt;b&gt; {{7*7}} $x^2$"
)
SHOWN = HOSTILE.replace("\u202e", "\\u202e").replace("\u2066", "\\u2066").replace("\u200b", "\\u200b")
SHOWN = SHOWN.replace("\x1b", "\\x1b")
UNSAFE = ("script", "iframe", "object", "embed", "form", "img", "a", "foreignobject", "base")
PHONE = 390


def opens(text: str, folder: Path) -> Seen:
    return opened({"report.html": text}, "report.html", folder)


@needs_browser
def test_what_producers_send_is_shown_as_text_and_neither_runs_nor_asks_for_anything(tmp_path: Path) -> None:
    seen = opens(page(everywhere(HOSTILE)), tmp_path)
    assert seen.console == []
    assert [url.rpartition("/")[2] for url in seen.requests] == ["report.html"]
    assert RAN not in seen.text_of("title")
    assert {element.tag for element in seen.elements}.isdisjoint(UNSAFE)
    assert not [name for element in seen.elements for name in element.attributes if name.startswith("on")]
    texts = seen.text_of("code")
    # the record, why, the problem, the event type, the partition, the shard, and a finding's five
    assert len([text for text in texts if text in (SHOWN, f"event_type={SHOWN}"[:99] + "…", SHOWN[:99] + "…")]) >= 9
    assert SHOWN[:199] in "".join(texts)
    assert re.findall("[\u200b\u202a-\u202e\u2066-\u2069\x1b]", seen.document) == []


@needs_browser
@pytest.mark.parametrize("policy", ["", POLICY])
def test_the_browser_would_have_run_it_were_it_not_escaped_and_does_not_behind_the_policy(
    tmp_path: Path, policy: str
) -> None:
    fence = f'<meta http-equiv="Content-Security-Policy" content="{policy}">' if policy else ""
    seen = opens(f"<!DOCTYPE html><head>{fence}<title>page</title></head><body><code>{HOSTILE}", tmp_path)
    assert seen.text_of("title")[0] == ("page" if policy else RAN)
    assert (ELSEWHERE in seen.requests) == (not policy)
    assert bool(seen.console) == bool(policy)  # what it refused to run


@needs_browser
def test_no_page_is_wider_than_a_phone_or_a_desk(tmp_path: Path) -> None:
    long = "x" * 300
    pages = {
        "well.html": page(figures()),
        "long.html": page(everywhere(long)),
        "empty.html": page(figures(course=course(), copies=None, problems=[], layouts=[], complete_through=None)),
    }
    frames = "".join(
        f'<iframe src="{name}" width="{width}" height="800"></iframe>' for name in pages for width in (PHONE, 1280)
    )
    measure = """onload = () => {
        document.title = JSON.stringify([...document.querySelectorAll("iframe")].map(frame => {
            const page = frame.contentDocument;
            page.querySelectorAll("details").forEach(one => one.open = true);
            const drawn = [...page.querySelectorAll("svg")].filter(one => one.getBoundingClientRect().width);
            return [page.documentElement.clientWidth, page.documentElement.scrollWidth, drawn.length];
        }));
    }"""
    probe = f"<!DOCTYPE html><title></title><script>{measure}</script>{frames}"
    seen = opened({**pages, "probe.html": probe}, "probe.html", tmp_path)
    found = json.loads(seen.text_of("title")[0])
    assert [width for width, _, _ in found] == [PHONE, 1280] * 3
    assert [needed for _, needed, _ in found] == [PHONE, 1280] * 3
    assert [drawings for _, _, drawings in found] == [5, 5, 5, 5, 0, 0]  # of the first, one of two sizes is shown


def test_each_chart_says_its_figures_in_words_and_has_them_as_a_table() -> None:
    text = page(figures(course=course(point(0), point(1, stored=4321, lag=75.0), point(2))))
    labels = re.findall(r'role="img" aria-label="([^"]*)"', text)
    assert len(labels) == 6  # the first chart is there for wide and narrow
    assert "stored: 100 to 4,321, highest at 2026-11-27 11:01:00, last 100." in labels[0]
    assert "lag: 0.00 s to 1 min 15 s, highest at 2026-11-27 11:01:00" in labels[-1]
    tables = re.findall(r"<summary>The numbers</summary>.*?</table>", text)
    assert len(tables) == 5
    assert [table.count("<tr>") for table in tables] == [4] * 5
    assert '<td class="n">4,321</td>' in tables[0]


def test_it_holds_nothing_that_a_browser_would_fetch() -> None:
    text = page(figures())
    assert re.findall(r"(?:src|href)=\"(?!data:,|#)[^\"]*\"", text) == []
    assert re.findall(r"url\((?!#)[^)]*\)|@import|<script", text) == []


def test_where_nothing_is_known_it_says_so_in_words() -> None:
    nothing = course(source="tables", why_tables="metrics.table_path is not configured")
    text = page(
        figures(course=nothing, copies=None, problems=[], layouts=[], file_format="json", complete_through=None)
    )
    for words in (
        "Nothing was stored in this period.",
        "Nobody has audited",
        "metrics.table_path is not configured",
        "lag is not known",
        "no log that tells what a partition holds",
    ):
        assert words in text
