"""What range an audit takes: never one of which stream or table could not tell."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from event_lake.audit.stream import AWAY_FROM_RETENTION, Span
from event_lake.audit.tables import Reach
from event_lake.errors import ConfigError

THROUGH = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
KEPT_SINCE = THROUGH - timedelta(days=7)
REACH = Reach('{"version": 1}', THROUGH.isoformat())


def test_by_default_it_is_the_last_day_up_to_where_the_table_ends() -> None:
    assert Span.of(None, None, REACH, KEPT_SINCE) == Span(THROUGH - timedelta(days=1), THROUGH, REACH.end_offset)


def test_by_default_it_keeps_away_from_what_retention_is_about_to_take() -> None:
    kept_since = THROUGH - timedelta(hours=23)
    assert Span.of(None, None, REACH, kept_since).start == kept_since + AWAY_FROM_RETENTION


def test_times_bound_it_exactly() -> None:
    span = Span.of("2026-01-30", "2026-01-31T06:00:00Z", REACH, KEPT_SINCE)
    assert span == Span(datetime(2026, 1, 30, tzinfo=UTC), datetime(2026, 1, 31, 6, tzinfo=UTC), None)


@pytest.mark.parametrize(
    ("since", "until", "reason"),
    [
        ("2026-01-01", None, r"--from is 2026-01-01, but the stream keeps only what arrived since 2026-01-24T12:00:00"),
        (
            None,
            "2026-01-31T12:00:01Z",
            r"complete only through 2026-01-31T12:00:00.*: what arrived after that may be on its way",
        ),
        ("2026-01-31", "2026-01-30", "lies behind the end of the range"),
        ("yesterday", None, "--from: 'yesterday' is not an ISO 8601 time"),
    ],
)
def test_a_range_that_cannot_be_audited_is_refused_with_the_reason(
    since: str | None, until: str | None, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        Span.of(since, until, REACH, KEPT_SINCE)


def test_a_table_that_does_not_say_how_far_it_is_complete_is_audited_up_to_its_own_end_only() -> None:
    reach = Reach(REACH.end_offset, None)
    assert Span.of("2026-01-30", None, reach, KEPT_SINCE).end is None
    with pytest.raises(ConfigError, match="complete only through None"):
        Span.of(None, "2026-01-31", reach, KEPT_SINCE)


def test_the_audit_shares_only_the_schema_and_the_plumbing_with_the_pipeline() -> None:
    package = Path(__file__).resolve().parents[1] / "jobs" / "event_lake" / "audit"
    imported = {
        node.module
        for path in package.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("event_lake")
    }
    plumbing = {f"event_lake.{name}" for name in ("schema", "config", "errors", "storage", "source", "mark")}
    assert {module for module in imported if not module.startswith("event_lake.audit")} == plumbing
