"""Every wrong configuration is refused before anything starts, by a message that names the key."""

from __future__ import annotations

import dataclasses
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from event_lake.config import Bytes, Config
from event_lake.config_file import read_config
from event_lake.errors import ConfigError

CONF = Path(__file__).resolve().parent.parent / "conf"

# The least that a file must say; values are TOML text.
MINIMAL = {
    "source.stream": '"events"',
    "lake.path": '"s3://lake/events"',
    "lake.quarantine_path": '"s3://lake/quarantine"',
    "checkpoint.path": '"s3://lake/checkpoint"',
}


def toml(values: dict[str, str]) -> str:
    """A file of these values, given by section.key as TOML text."""
    return "".join(f"{key} = {value}\n" for key, value in values.items())


def minimal(*overrides: str, **changed: str) -> Config:
    return read_config(
        toml({**MINIMAL, **{key.replace("_", ".", 1): value for key, value in changed.items()}}), overrides
    )


def refusal(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as raised:
        read_config(text, overrides)
    assert raised.value.exit_code == 2
    return str(raised.value)


def refusal_of(key: str, value: str) -> str:
    return refusal(toml({**MINIMAL, key: value}))


def test_a_minimal_file_gets_the_documented_defaults() -> None:
    config = minimal()
    assert (config.source.kind, config.source.starting_position) == ("kinesis", "trim_horizon")
    assert config.source.fail_on_data_loss is True
    assert config.lake.format == "delta"
    assert config.lake.target_file_size == Bytes(128 * 1024 * 1024)
    assert (config.dedup.window, config.dedup.margin) == (timedelta(hours=24), timedelta(hours=2))
    assert config.trigger.interval == timedelta(seconds=60)
    assert config.spark == {}


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        minimal().lake.path = "elsewhere"  # type: ignore[misc]


# Errors name the key


@pytest.mark.parametrize("key", MINIMAL)
def test_a_missing_key_is_named(key: str) -> None:
    left = {other: value for other, value in MINIMAL.items() if other != key}
    assert refusal(toml(left)).startswith(f"{key} is missing")
    assert refusal_of(key, '""').startswith(f"{key} is missing")


def test_an_empty_file_is_refused() -> None:
    assert refusal("").startswith("source.stream is missing")


def test_files_need_a_path_even_where_a_stream_is_given() -> None:
    assert refusal_of("source.kind", '"files"').startswith("source.path is missing")


def test_kinesis_needs_a_stream_even_where_a_path_is_given() -> None:
    message = refusal(toml({**MINIMAL, "source.stream": '""', "source.path": '"s3://lake/input"'}))
    assert message.startswith("source.stream is missing")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("source.steam", "source.stream"),
        ("source.endpoint", "source.endpoint_url"),
        ("lake.formt", "lake.format"),
        ("dedup.windows", "dedup.window"),
        ("checkpoint.paths", "checkpoint.path"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(key: str, nearest: str) -> None:
    for message in (refusal_of(key, '"x"'), refusal(toml(MINIMAL), f"{key}=x")):
        assert f"there is no key {key}; did you mean {nearest}?" in message


def test_an_unknown_key_that_resembles_nothing_is_answered_with_all_known_ones() -> None:
    assert "there is no key dedup.zzz; there are window, margin" in refusal_of("dedup.zzz", "1")


def test_an_unknown_section_is_named_with_the_nearest_known_one() -> None:
    assert "there is no section [dedupe]; did you mean dedup?" in refusal_of("dedupe.window", '"1 hour"')


@pytest.mark.parametrize("section", ["source", "lake", "spark"])
def test_a_value_in_place_of_a_section_is_refused(section: str) -> None:
    assert f"{section} is a single value" in refusal(f'{section} = "x"')
    assert f"{section} is a single value" in refusal(f'{section} = "x"', f"{section}.path=x")


def test_text_that_is_not_toml_is_refused_with_its_place() -> None:
    assert "line 2" in refusal("[source]\nstream = events\n")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("source.stream", "7"),
        ("source.stream", '["events"]'),
        ("source.fail_on_data_loss", '"yes"'),
        ("source.fail_on_data_loss", "1"),
        ("source.tasks", '"two"'),
        ("source.tasks", '"²"'),
        ("source.tasks", "-1"),
        ("source.tasks", "2.0"),
        ("source.tasks", "true"),
        ("source.connections_per_task", "0"),
        ("source.connections_per_task", "-8"),
        ("source.slice", "10"),
        ("source.slice", '"0.5 seconds"'),
        ("source.starting_position", '"yesterday"'),
        ("source.starting_position", '"TRIM_HORIZON"'),
        ("source.starting_position", "1644838800"),
        ("source.kind", '"kafka"'),
        ("source.kind", '"kinesis-exact"'),
        ("lake.format", '"csv"'),
        ("lake.format", '"Delta"'),
        ("lake.target_file_size", "128"),
        ("lake.target_file_size", '"128"'),
        ("lake.target_file_size", '"128 furlongs"'),
        ("lake.target_file_size", '"1023 KB"'),
        ("lake.target_file_size", '"-1 MB"'),
        ("lake.new_types_per_day", "-1"),
        ("dedup.window", '"24"'),
        ("dedup.window", '"a day"'),
        ("dedup.window", '"-24 hours"'),
        ("dedup.window", '"24 parsecs"'),
        ("dedup.window", '"24 hours 30 minutes"'),
        ("dedup.window", '"999 ms"'),
        ("dedup.window", '"999999999999999 days"'),
        ("dedup.window", '"' + "9" * 400 + ' hours"'),
        ("dedup.margin", '"119 minutes"'),
        ("maintenance.target_file_size", '"1023 KB"'),
        ("maintenance.most_small_files", "1"),
        ("maintenance.keep_deleted_files", '"59 minutes"'),
        ("maintenance.keep_log", '"23 hours"'),  # keep_deleted_files is 24
        ("trigger.interval", "60"),
        ("metrics.cloudwatch", '"both"'),
        ("metrics.prometheus_port", "65536"),
        ("metrics.top_types", "-1"),
    ],
)
def test_a_wrong_value_is_refused_by_key(key: str, value: str) -> None:
    assert key in refusal_of(key, value)


def test_a_misspelt_format_is_answered_with_the_nearest() -> None:
    assert "did you mean parquet?" in refusal_of("lake.format", '"parket"')


@pytest.mark.parametrize(
    ("key", "path", "other"),
    [
        ("lake.path", "s3://lake/quarantine", "lake.quarantine_path"),
        ("lake.path", "s3://lake/checkpoint/events/", "checkpoint.path"),
        ("checkpoint.path", "s3://lake/events/_checkpoint", "lake.path"),
        ("lake.quarantine_path", "s3://lake/events/quarantine", "lake.path"),
        ("lake.path", "s3://lake", "lake.quarantine_path"),
    ],
)
def test_tables_and_checkpoint_do_not_lie_in_each_other(key: str, path: str, other: str) -> None:
    message = refusal_of(key, f'"{path}"')
    assert key in message
    assert other in message


@pytest.mark.parametrize("key", ["lake.path", "lake.quarantine_path", "checkpoint.path"])
@pytest.mark.parametrize("path", ["s3://in", "s3://in/", "s3://in/below"])
def test_the_job_does_not_read_what_it_writes(key: str, path: str) -> None:
    files = {**MINIMAL, "source.kind": '"files"', "source.path": '"s3://in/"'}
    assert read_config(toml(files)).source.path == "s3://in/"
    assert refusal(toml({**files, key: f'"{path}"'})).startswith(f"{key} ({path}) lies in source.path")


def test_paths_that_only_begin_alike_are_apart() -> None:
    assert minimal(lake_quarantine_path='"s3://lake/events-bad"').lake.quarantine_path == "s3://lake/events-bad"


# Values


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("24 hours", timedelta(hours=24)),
        ("1 hour", timedelta(hours=1)),
        ("1.5 hours", timedelta(minutes=90)),
        ("90 seconds", timedelta(seconds=90)),
        ("30minutes", timedelta(minutes=30)),
        (" 7  days ", timedelta(days=7)),
        ("2 weeks", timedelta(days=14)),
        ("2500 ms", timedelta(seconds=2.5)),
        ("2500 milliseconds", timedelta(seconds=2.5)),
    ],
)
def test_durations_are_a_number_and_a_unit(text: str, duration: timedelta) -> None:
    assert minimal(dedup_window=f'"{text}"').dedup.window == duration


@pytest.mark.parametrize(
    ("text", "count"),
    [("1 MB", 2**20), ("1024 KB", 2**20), ("1048576 B", 2**20), ("2GB", 2**31), ("128 mb", 2**27)],
)
def test_sizes_are_a_number_and_a_unit_of_1024(text: str, count: int) -> None:
    assert minimal(lake_target_file_size=f'"{text}"').lake.target_file_size == Bytes(count)


@pytest.mark.parametrize("value", ['"2026-11-22T10:00:00Z"', "2026-11-22T10:00:00Z", '"latest"', '"trim_horizon"'])
def test_a_starting_position_is_a_name_or_a_time(value: str) -> None:
    position = minimal(source_starting_position=value).source.starting_position
    assert position.replace("+00:00", "Z") == value.strip('"')


# --set


def test_overrides_go_before_the_file_and_the_last_of_them_counts() -> None:
    config = minimal(
        "source.stream=other",
        "source.stream=arn:aws:kinesis:eu-west-1:1:stream/a=b",
        "source.fail_on_data_loss=false",
        "source.tasks=3",
        "dedup.window=1 hour",
        "lake.target_file_size=1 GB",
    )
    assert config.source.stream == "arn:aws:kinesis:eu-west-1:1:stream/a=b"
    assert config.source.fail_on_data_loss is False
    assert config.source.tasks == 3
    assert config.dedup.window == timedelta(hours=1)
    assert config.lake.target_file_size == Bytes(2**30)


def test_overrides_alone_are_a_configuration() -> None:
    overrides = [f"{key}={value[1:-1]}" for key, value in MINIMAL.items()]
    assert read_config("", overrides) == minimal()


@pytest.mark.parametrize("override", ["source.stream", "stream=x", "=x", ".stream=x", "source.=x", ""])
def test_an_override_of_another_form_is_refused_as_it_was_given(override: str) -> None:
    assert repr(override) in refusal(toml(MINIMAL), override)


@pytest.mark.parametrize("key", ["lake.path.x", "source.fail_on_data_loss.y"])
def test_an_override_of_a_key_below_a_key_is_refused(key: str) -> None:
    assert key in refusal(toml(MINIMAL), f"{key}=1")


# [spark]


def test_the_spark_section_takes_dotted_nested_and_quoted_keys() -> None:
    text = toml(MINIMAL) + (
        '[spark]\nmaster = "local[2]"\nsql.shuffle.partitions = 4\nhadoop.fs.s3a = { path.style.access = true }\n'
        '"hadoop.fs.s3a.endpoint" = "http://127.0.0.1:4566"\n"hadoop.fs.s3a.endpoint.region" = "us-east-1"\n'
    )
    assert read_config(text).spark == {
        "master": "local[2]",
        "sql.shuffle.partitions": "4",
        "hadoop.fs.s3a.path.style.access": "true",
        "hadoop.fs.s3a.endpoint": "http://127.0.0.1:4566",
        "hadoop.fs.s3a.endpoint.region": "us-east-1",
    }


def test_a_spark_setting_can_be_overridden_by_its_full_name() -> None:
    text = toml(MINIMAL) + '[spark]\nhadoop.fs.s3a.endpoint = "http://127.0.0.1:4566"\nmaster = "local[2]"\n'
    spark = read_config(text, ["spark.hadoop.fs.s3a.endpoint=x", "spark.sql.shuffle.partitions=8"]).spark
    assert spark == {"hadoop.fs.s3a.endpoint": "x", "master": "local[2]", "sql.shuffle.partitions": "8"}
    assert minimal("spark.hadoop.fs.s3a.endpoint=x").spark == {"hadoop.fs.s3a.endpoint": "x"}


# The files in conf/


def keys_of_the_dataclasses() -> dict[str, Any]:
    """Every section.key with its default."""
    sections = {name: kind for name, kind in get_type_hints(Config).items() if dataclasses.is_dataclass(kind)}
    return {
        f"{name}.{field.name}": field.default for name, kind in sections.items() for field in dataclasses.fields(kind)
    }


def test_the_local_file_is_valid_and_short() -> None:
    text = (CONF / "local.toml").read_text(encoding="utf-8")
    assert read_config(text).source.stream == "events"
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) < 20


def test_the_reference_file_has_every_key_and_no_other() -> None:
    text = (CONF / "reference.toml").read_text(encoding="utf-8")
    read_config(text)
    written = {
        f"{section}.{key}" for section, table in tomllib.loads(text).items() if section != "spark" for key in table
    }
    assert written == set(keys_of_the_dataclasses())


def test_the_reference_file_shows_the_defaults() -> None:
    config = read_config((CONF / "reference.toml").read_text(encoding="utf-8"))
    for key, default in keys_of_the_dataclasses().items():
        section, _, name = key.partition(".")
        if default != "":  # has no default, or is for some setups only: there the file gives an example
            assert (key, getattr(getattr(config, section), name)) == (key, default)
