"""The documents name tests that exist, and options as they are."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from kinesis_source import options
from kinesis_source.credentials import SESSION_NAME
from kinesis_source.options import NAMES, Options

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
# What an option has where nothing is given, told in words and not as a value.
IN_WORDS = {"required", "from the chain", "AWS", "none", "CPU count", "no limit"}


def _names_of_tests() -> set[str]:
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found |= set(re.findall(r"^\s*def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    assert named - _names_of_tests() == set()
    assert [path for path in re.findall(r"`(tests/[\w/.]+)`", text) if not (ROOT / path).exists()] == []


def documented() -> list[tuple[str, str, str]]:
    """Name, default and unit of each option in the page's own table."""
    text = (ROOT / "docs" / "kinesis-source.md").read_text(encoding="utf-8")
    table = text.partition("| option | default | unit |")[2].partition("\n\n")[0]
    rows = [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]
    return [(row[0], row[1], row[2]) for row in rows]


def in_the_module() -> list[tuple[str, str]]:
    lines = (options.__doc__ or "").split("\n==")[2].splitlines()[1:]
    return [(words[0], words[1]) for words in (re.split(r"\s{2,}", line, maxsplit=2) for line in lines) if words[0]]


def test_the_page_and_the_module_list_every_option_with_its_default() -> None:
    page = [(name, default) for name, default, _ in documented()]
    assert page == in_the_module()
    assert [name for name, _ in page] == list(NAMES)


def test_the_defaults_that_are_documented_are_those_that_hold() -> None:
    # The role's options are refused without a role.
    required = {"streamName": "events", "roleArn": "arn:aws:iam::123456789012:role/reader"}
    given = {name: default for name, default, _ in documented() if default not in IN_WORDS}
    assert len(given) >= 6
    documented_ones = Options.parse({**required, **given})
    assert documented_ones == replace(Options.parse(required), role_session_name=documented_ones.role_session_name)
    assert documented_ones.role_session_name == SESSION_NAME


def test_every_option_that_is_a_number_has_a_unit() -> None:
    assert [name for name, default, unit in documented() if default.isdigit() and not unit] == []
