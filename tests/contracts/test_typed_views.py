"""Typed views: one an event type, the same in Spark and in DuckDB, over a table that is never rewritten for them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pytest
from contract_texts import SHIPPED, contract, shipped
from deltalake import DeltaTable
from pyspark.sql import SparkSession

import typed_views
from event_lake.config import Lake
from event_lake.contracts.dialects import DIALECTS, statement
from event_lake.contracts.views import TypedView
from event_lake.contracts.views import typed_views as views_of
from event_lake.errors import ConfigError
from event_lake.mark import BatchMark
from event_lake.placement import volumes
from event_lake.sink import EventSink
from event_lake.storage import Storage
from records import event_bytes, judged_frame, raw_records, rows
from traffic import SAMPLE_EVENTS

TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
ORDERED = contract(
    {
        "event_uuid": TEXT,
        "id": WHOLE,
        "total": NUMBER,
        "paid": {"type": "boolean"},
        "day": {"type": "string", "format": "date"},
        "sent_at": {"type": "string", "format": "date-time"},
        "first name": TEXT,
        "note": True,
        "date": TEXT,
        "to": contract({"city": TEXT, "zip": WHOLE}),
        "items": {"type": "array", "items": contract({"sku": TEXT, "price": NUMBER})},
    }
)
FULL: dict[str, Any] = {
    "id": 2**53 + 1,
    "total": 0.1,
    "paid": True,
    "day": "2024-02-29",
    "sent_at": "2024-02-29T23:30:00.250+02:00",
    "first name": "Ünal \"x\" 'y'",
    "note": {"a": [1, None]},
    "date": "tomorrow",
    "to": {"city": "Köln", "zip": 50667, "more": 1},
    "items": [{"sku": "a", "price": 1}, {"sku": "b"}, {"price": 2.5, "sku": None}],
}
FULL_ROW = {
    "id": 2**53 + 1,
    "total": 0.1,
    "paid": True,
    "day": date(2024, 2, 29),
    "sent_at": datetime(2024, 2, 29, 21, 30, 0, 250_000, UTC),
    "first name": "Ünal \"x\" 'y'",
    "note": '{"a":[1,null]}',
    "payload_date": "tomorrow",
    "to": {"city": "Köln", "zip": 50667},
    "items": [{"sku": "a", "price": 1.0}, {"sku": "b", "price": None}, {"sku": None, "price": 2.5}],
}
NOTHING = dict.fromkeys(FULL_ROW)


@pytest.fixture(scope="module")
def lake(spark: SparkSession, storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """An events table with events of three types, good ones and some that break their contract."""
    folder = tmp_path_factory.mktemp("typed")
    names = ("path", "quarantine_path", "duplicates_path", "gaps_path")
    lake = Lake(**{name: str(folder / name) for name in names})
    data = [
        event_bytes(event_uuid="full", event_name="order:made", **FULL),
        event_bytes(event_uuid="empty", event_name="order:made"),
        event_bytes(event_uuid="null", event_name="order:made", **dict.fromkeys(FULL)),
        event_bytes(event_uuid="whole", event_name="order:made", total=7, note="plain"),
        event_bytes(event_uuid="wrong", event_name="order:made", id="x", total="y", paid=3, day="z"),
        event_bytes(event_uuid="other", event_name="order", id=5),
        *SAMPLE_EVENTS,
    ]
    judged = judged_frame(spark, raw_records(data, approximateArrivalTimestamp=datetime(2022, 2, 15, tzinfo=UTC)))
    sink = EventSink(spark, storage, lake)
    sink.create()
    sink.write(judged, volumes(judged), BatchMark("q", 0, "{}", None), datetime.now(UTC))
    return lake


def in_duckdb(lake: Lake, sql: str) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        connection.register("events", DeltaTable(lake.path).to_pyarrow_table())
        return list(connection.sql(sql).to_arrow_table().to_pylist())


def by_uuid(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["event_uuid"]: row for row in found}


def both(spark: SparkSession, lake: Lake, view: TypedView) -> dict[str, dict[str, Any]]:
    """The view's rows, which Spark and DuckDB must agree on."""
    one = by_uuid(rows(spark.sql(DIALECTS["spark"](view, f"delta.`{lake.path}`"))))
    assert by_uuid(in_duckdb(lake, DIALECTS["duckdb"](view, "events"))) == one
    return one


def test_a_view_has_typed_columns_and_what_an_event_lacks_is_null(spark: SparkSession, lake: Lake) -> None:
    (view,) = views_of({"order:made": ORDERED})
    found = both(spark, lake, view)
    told = {uuid: {name: row[name] for name in FULL_ROW} for uuid, row in found.items()}
    whole = {**NOTHING, "total": 7.0, "note": "plain"}
    wrong = told.pop("wrong")
    assert told == {"full": FULL_ROW, "empty": NOTHING, "null": NOTHING, "whole": whole, "other": {**NOTHING, "id": 5}}
    assert {name: wrong[name] for name in ("id", "total", "day")} == {"id": None, "total": None, "day": None}
    assert found["full"]["created_datetime"] == datetime(2022, 2, 14, 11, 59, 50, tzinfo=UTC)
    assert (found["full"]["event_name"], str(found["full"]["date"])) == ("order:made", "2022-02-14")


def test_the_contracts_that_are_shipped_make_a_view_for_each_type(spark: SparkSession, lake: Lake) -> None:
    views = {view.name: view for view in views_of({name: json.loads(t) for name, t in shipped().texts.items()})}
    assert sorted(views) == ["account", "lesson", "payment"]
    lessons = both(spark, lake, views["lesson"])
    assert lessons["0987654321"]["duration_minutes"] == 45.0
    assert lessons["1357924680"]["completion_date"] == date(2022, 2, 14)
    assert lessons["1357924680"]["duration_minutes"] is None
    assert both(spark, lake, views["payment"])["5678901234"]["amount"] == 49.99
    assert both(spark, lake, views["account"])["1234567890"]["age"] == 36


def test_a_new_optional_property_is_there_for_old_rows_without_a_rewrite(spark: SparkSession, lake: Lake) -> None:
    before = DeltaTable(lake.path).version()
    grown = contract({**ORDERED["properties"], "coupon": TEXT, "title": TEXT})
    for contracts, columns in (({"order:made": ORDERED}, 0), ({"order:made": grown}, 2)):
        (view,) = views_of(contracts)
        spark.sql(statement(view, "spark", lake, None, "default."))
        found = by_uuid(rows(spark.table("default.order")))
        assert len(found) == 6
        assert list(found["full"])[-columns:] == ["coupon", "title"][:columns] or not columns
    assert found["full"]["coupon"] is None
    assert DeltaTable(lake.path).version() == before
    spark.sql("DROP VIEW default.order")


@pytest.mark.parametrize(
    ("contracts", "reason"),
    [
        ({"a:b": contract({"x": TEXT}), "a:c": contract({"x": WHOLE})}, "$.x is bigint in a:c, but $.x is string in"),
        ({"a:b": contract({"x": TEXT}), "a:c": contract({"X": TEXT})}, "$.X is string in a:c, but $.x is string in"),
        ({"a-b": contract({}), "a.b": contract({})}, "the event types a-b and a.b would both get the view a_b"),
        ({"a": contract({"x'y": TEXT})}, "cannot be a column"),
        ({"a": contract({"x": contract({"`": TEXT})})}, "cannot be a column"),
        ({"a": contract({"": TEXT})}, "cannot be a column"),
    ],
)
def test_contracts_that_make_no_view_together_are_refused(contracts: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as raised:
        views_of(contracts)
    assert reason in str(raised.value)


def test_whole_numbers_in_one_contract_and_fractions_in_another_are_fractions() -> None:
    (view,) = views_of({"a:b": contract({"x": WHOLE}), "a:c": contract({"x": NUMBER}), "a:d": contract({"x": WHOLE})})
    assert str(view.columns["x"][1]) == "double"


def test_the_job_prints_sql_and_refuses_a_change_that_readers_cannot_follow(
    lake: Lake,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in shipped().texts:
        file = f"{quote(name, safe='')}.json"
        (tmp_path / file).write_text((SHIPPED / file).read_text())
    config = tmp_path / "job.toml"
    config.write_text(
        f'[source]\nstream = "s"\n[lake]\npath = "{lake.path}"\nquarantine_path = "{lake.quarantine_path}"\n'
        f'[checkpoint]\npath = "{tmp_path}/c"\n[contracts]\npath = "{tmp_path}"\n'
    )
    arguments = ["--config", str(config), "--table", "events", "--JOB_NAME", "glue-adds-this"]
    assert typed_views.main([*arguments, "--print", "duckdb"]) == 0
    sql = capsys.readouterr().out
    assert sql.count("CREATE OR REPLACE VIEW") == 3
    assert in_duckdb(lake, f"{sql} SELECT * FROM payment")[0]["currency"] == "EUR"

    (tmp_path / "payment%3Aorder%3Acompleted.json").write_text(json.dumps(contract({"amount": TEXT})))
    assert typed_views.main([*arguments, "--print", "athena"]) == 2
    assert "payment:order:completed $.amount: was double, is string" in caplog.text
    assert capsys.readouterr().out == ""
