"""A configuration as it is written, in TOML and on the command line."""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, get_type_hints

from event_lake.config import Bytes, Config
from event_lake.config_check import check
from event_lake.errors import ConfigError

LONGEST = timedelta(days=365)


def read_config(text: str, overrides: Sequence[str] = ()) -> Config:
    """TOML text and `section.key=value` overrides as a Config. Raises ConfigError, naming the key."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the configuration is not valid TOML: {error}") from error
    for override in overrides:
        _apply(document, override)
    sections = {f.name: get_type_hints(Config)[f.name] for f in dataclasses.fields(Config) if f.name != "spark"}
    for name in document:
        if name not in sections and name != "spark":
            raise ConfigError(f"there is no section [{name}]{_nearest(name, [*sections, 'spark'])}")
    read = {name: _section(name, kind, document.get(name, {})) for name, kind in sections.items()}
    config = _completed(Config(**read, spark=_flattened(document.get("spark", {}))))
    check(config)
    return config


def _completed(config: Config) -> Config:
    """With the defaults that depend on other keys."""
    lake = config.lake
    if not lake.path:
        return config
    beside = lake.path.rstrip("/")
    completed = dataclasses.replace(
        lake,
        duplicates_path=lake.duplicates_path or f"{beside}_duplicates",
        gaps_path=lake.gaps_path or f"{beside}_gaps",
        deletions_path=lake.deletions_path or f"{beside}_deletions",
    )
    return dataclasses.replace(config, lake=completed)


def _apply(document: dict[str, Any], override: str) -> None:
    name, equals, value = override.partition("=")
    section, dot, key = name.partition(".")
    if not (equals and dot and section and key):
        raise ConfigError(f"--set {override!r} is not of the form section.key=value")
    table = document.setdefault(section, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{section} is a single value in the configuration; expected a section [{section}]")
    if section == "spark":
        document[section] = table = dict(_flattened(table))
    table[key] = value


def _section(name: str, kind: Any, table: Any) -> Any:
    if not isinstance(table, dict):
        raise ConfigError(f"{name} is a single value in the configuration; expected a section [{name}]")
    types = get_type_hints(kind)
    for key in table:
        if key not in types:
            raise ConfigError(f"there is no key {name}.{key}{_nearest(key, list(types), name)}")
    return kind(**{key: _value(f"{name}.{key}", types[key], value) for key, value in table.items()})


def _nearest(name: str, known: list[str], section: str = "") -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {section + '.' if section else ''}{near[0]}?"
    return f"; there are {', '.join(known)}"


def _value(key: str, kind: Any, value: Any) -> Any:
    if kind is timedelta and isinstance(value, str):
        return parse_duration(key, value)
    if kind is Bytes and isinstance(value, str):
        return _size(key, value)
    if kind is bool and value in ("true", "false"):
        return value == "true"
    if kind is int and isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if kind is str and isinstance(value, datetime):
        return value.isoformat()
    if type(value) is kind:
        return value
    forms = {
        timedelta: 'a duration such as "24 hours"',
        Bytes: 'a size such as "128 MB"',
        bool: "true or false",
        int: "a whole number",
        str: "a string",
    }
    raise ConfigError(f"{key} is {value!r}; expected {forms[kind]}")


_SECONDS = {"ms": 0.001, "millisecond": 0.001, "second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}


def parse_duration(key: str, text: str) -> timedelta:
    """A duration such as "24 hours". Raises ConfigError, naming the key."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*", text)
    seconds = (_SECONDS.get(match[2]) or _SECONDS.get(match[2].removesuffix("s"))) if match else None
    if match is None or seconds is None:
        raise ConfigError(f'{key} is {text!r}; expected a duration such as "24 hours", "90 seconds" or "200 ms"')
    if float(match[1]) * seconds > LONGEST.total_seconds():
        raise ConfigError(f"{key} is longer than {LONGEST.days} days, which is as long as Kinesis can keep a record")
    return timedelta(seconds=float(match[1]) * seconds)


_SIZES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


def _size(key: str, text: str) -> Bytes:
    match = re.fullmatch(r"\s*([0-9]+)\s*([KMG]?B)\s*", text.upper())
    if match is None:
        raise ConfigError(f'{key} is {text!r}; expected a size such as "128 MB"')
    return Bytes(int(match[1]) * _SIZES[match[2]])


def _flattened(table: Any, prefix: str = "") -> dict[str, str]:
    if not isinstance(table, Mapping):
        raise ConfigError("spark is a single value in the configuration; expected a section [spark]")
    flat: dict[str, str] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= _flattened(value, f"{name}.")
        else:
            flat[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return flat
