"""What stands in conf/terraform, read as text: it agrees with the documents and with the job's metrics."""

from __future__ import annotations

import re

from event_lake.telemetry.measures import numbers
from lake import ROOT

MODULES = ROOT / "conf" / "terraform" / "modules"
# docs/security.md, below its table: a bucket or stream with a key of one's own.
WITH_A_KEY = {"kms:Decrypt", "kms:GenerateDataKey"}


def text_of(module: str) -> str:
    return (MODULES / module / "main.tf").read_text(encoding="utf-8")


def blocks(kind: str, text: str) -> list[tuple[str, str]]:
    """Indent and body of each block that begins with `kind`, as `terraform fmt` lays them out."""
    return re.findall(rf"^( *){kind} \{{\n(.*?)^\1\}}", text, re.MULTILINE | re.DOTALL)


def quoted_after(key: str, text: str) -> set[str]:
    """All strings in the lists that are assigned to `key`."""
    return {word for words in re.findall(rf"\b{key}\s+= \[(.*?)\]", text) for word in re.findall(r'"([^"]+)"', words)}


def test_the_role_that_terraform_makes_may_do_what_the_page_lists_and_no_more() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `\w+` \| `\w+` \| `(\w+:\w+)` \|", page, re.MULTILINE))
    assert len(listed) > 8
    [(_, policy)] = blocks('data "aws_iam_policy_document" "job"', text_of("job-role"))
    assert quoted_after("actions", policy) == listed | WITH_A_KEY


def test_the_dashboard_shows_metrics_that_the_job_puts() -> None:
    panels = text_of("alarms").partition("panels = [")[2].partition("\n  ]")[0]
    shown = {name for names in re.findall(r", \[(.*?)\]\]", panels) for name in re.findall(r'"([^"]+)"', names)}
    assert len(shown) > 10
    assert shown - {measure.name for measure in numbers()} == set()


def test_no_lifecycle_rule_expires_or_moves_a_current_object_of_the_lake() -> None:
    bucket = text_of("bucket")
    rules = [body for indent, body in blocks("rule", bucket) if 'status = "Enabled"' in body]
    assert len(rules) == bucket.count("status = ") - 1 == 3  # but for the status of versioning
    for rule in rules:
        assert not blocks("transition", rule)
        for _, expiration in blocks("expiration", rule):
            only_markers = re.fullmatch(r"\s*expired_object_delete_marker = true.*\s*", expiration)
            assert only_markers or 'prefix = "logs/"' in rule
