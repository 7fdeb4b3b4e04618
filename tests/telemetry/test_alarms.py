"""The alarms in conf/alarms are on metrics that there are, and in forms that are taken."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from prometheus_client.core import Metric

from embedded_aws import EmbeddedAws
from event_lake.telemetry.exposition import Exposition
from event_lake.telemetry.measures import numbers
from lake import ROOT

FOLDER = ROOT / "conf" / "alarms"
GIVEN = {"Namespace": "event-lake", "Lake": "s3://b/lake", "Topic": "arn:aws:sns:us-east-1:123456789012:pages"}


def exposed() -> set[str]:
    """The names of all samples, of a micro-batch of which everything is known."""
    exposition = Exposition(lambda: True, lambda: {"table": (1, 1)})
    known: dict[str, Any] = {measure.name: 1 for measure in numbers()}
    counted = {"quarantined_by_problem": {"not_json": 1}, "stored_by_type": {"lesson": 1}}
    exposition([{**known, **counted, "batch_id": 1, "replayed": False}])
    families: list[Metric] = list(exposition.collect())
    return {sample.name for family in families for sample in family.samples}


def test_prometheus_rules_have_their_form_and_ask_for_samples_that_there_are() -> None:
    document = yaml.safe_load((FOLDER / "prometheus-rules.yml").read_text(encoding="utf-8"))
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    assert {group["name"] for group in document["groups"]} == {"event-lake"}
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        asked = set(re.findall(r"event_lake_\w+", rule["expr"]))
        assert asked
        assert asked - exposed() == set()
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert rule["annotations"]["summary"]


def filled(value: Any) -> Any:
    """CloudFormation's `Ref`s, with what is given."""
    if isinstance(value, dict):
        return GIVEN[value["Ref"]] if set(value) == {"Ref"} else {key: filled(one) for key, one in value.items()}
    return [filled(one) for one in value] if isinstance(value, list) else value


def test_cloudwatch_takes_the_alarms_and_they_are_on_metrics_that_are_put(monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.loads((FOLDER / "cloudwatch.json").read_text(encoding="utf-8"))
    assert set(document["Parameters"]) == set(GIVEN)
    alarms = {name: filled(alarm["Properties"]) for name, alarm in document["Resources"].items()}
    put = {measure.name for measure in numbers()}
    for alarm in alarms.values():
        inner = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", ()) if "MetricStat" in query]
        asked = inner or [alarm]
        assert {metric["MetricName"] for metric in asked} <= put
        assert all(metric["Dimensions"] == [{"Name": "Lake", "Value": "s3://b/lake"}] for metric in asked)
    with EmbeddedAws() as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        client = aws.client("cloudwatch")
        for name, alarm in alarms.items():
            client.put_metric_alarm(AlarmName=name, **alarm)  # botocore refuses unknown and misshaped properties
        assert {alarm["AlarmName"] for alarm in client.describe_alarms()["MetricAlarms"]} == set(alarms)
