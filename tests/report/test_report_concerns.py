"""What the top of the page says, in words; and how it writes numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_figures import NOW, QUICK, audited, course, figures, point

from event_lake.report import wording
from event_lake.report.concerns import BAD, NOTICE, concerns
from event_lake.report.figures import Copies
from event_lake.report.period import MOST_POINTS, step_for


def test_of_an_hour_in_which_all_went_well_nothing_stands_out() -> None:
    assert concerns(figures(course=course(*(point(number, quarantined=0) for number in range(60))))) == []


@pytest.mark.parametrize(
    ("changed", "level", "words"),
    [
        ({"gaps_in_all": 2}, BAD, "2 stretches of the stream lost"),
        ({"course": course(point(59, lag=7200.0))}, BAD, "2 h behind its tip; 1 h is the bound"),
        ({"course": course(point(0))}, NOTICE, "Nothing has been stored for 59 min"),
        ({"course": course()}, NOTICE, "Nothing was stored in this period"),
        ({"course": course(point(59), unmeasured=1)}, NOTICE, "1 micro-batch left no row in the metrics table"),
        ({"course": course(point(59), waiting=3)}, NOTICE, "The last 3 micro-batches are not in the metrics table"),
        ({"course": course(point(59), measured_since=NOW)}, NOTICE, "begins at 2026-11-27 12:00:00 UTC"),
        ({"course": course(point(59, quarantined=50))}, NOTICE, "45.5 % of what was received is in quarantine"),
        ({"copies": Copies(9, 1, QUICK, QUICK)}, NOTICE, "1 duplicate has the event_uuid of a stored event"),
    ],
)
def test_what_stands_out_is_said_in_words(changed: dict[str, Any], level: str, words: str) -> None:
    assert [one.level for one in concerns(figures(**changed)) if words in one.sentence] == [level]


def test_an_audit_that_found_something_comes_first() -> None:
    wrong = replace(audited(missing=3, altered=1), exit_code=3)
    first = concerns(figures(audited=wrong))[0]
    assert first.level == BAD
    assert "ended with exit code 3: 3 missing, 1 altered." in first.sentence


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400)), st.integers(0, 10**10))
def test_however_long_a_period_is_its_steps_are_no_more_than_a_chart_can_show(span: timedelta, first: int) -> None:
    step = step_for(span)
    last = first + span.total_seconds()
    assert last // step - first // step + 1 <= MOST_POINTS + 1


@pytest.mark.parametrize(
    ("head", "size", "shown"),
    [
        (b"plain", 5, "plain"),
        (b"line\nnext\x00", 10, "line\\nnext\\x00"),
        (b"\xff\xfe{", 3, "\\xff\\xfe{"),
        ("é".encode()[:1], 400, "…"),  # the cut, not the record, is to blame
        ("é".encode()[:1], 1, "\\xc3"),
        ("a\u202eb\u2028".encode(), 7, "a\\u202eb\\u2028"),
    ],
)
def test_the_bytes_of_a_record_are_shown_without_what_moves_or_hides_text(head: bytes, size: int, shown: str) -> None:
    assert wording.text_of(head, size) == shown


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.254, "0.25 s"), (12.34, "12.3 s"), (59.97, "1 min"), (185, "3 min 5 s"), (7800, "2 h 10 min"), (-3, "−3.00 s")],
)
def test_durations_are_written_for_people(value: float, written: str) -> None:
    assert wording.seconds(value) == written


@pytest.mark.parametrize(
    ("value", "written"), [(0, "0 %"), (1e-9, "< 0.01 %"), (0.999999, "> 99.99 %"), (1, "100.0 %"), (0.0515, "5.15 %")]
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(value: float, written: str) -> None:
    assert wording.share(value) == written
