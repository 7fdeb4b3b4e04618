"""Contracts are files named after their events; one that cannot be used is refused at the start, by file and place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from contract_texts import SHIPPED, contract, shipped

from event_lake.config import Contracts
from event_lake.contracts.files import read_contracts
from event_lake.errors import ConfigError
from event_lake.storage import Storage


def refusal(storage: Storage, folder: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        read_contracts(storage, Contracts(folder.as_uri()))
    return str(raised.value)


def test_the_folder_that_is_shipped_is_read(storage: Storage) -> None:
    found = read_contracts(storage, Contracts(SHIPPED.as_uri()))
    assert found is not None
    expected = {name: json.loads(text) for name, text in shipped().texts.items()}
    assert {name: json.loads(text) for name, text in found.texts.items()} == expected
    assert not found.only_count


def test_a_file_is_named_after_its_event_percent_encoded(storage: Storage, tmp_path: Path) -> None:
    for name in ("a%3Ab.json", "a%3ac%2Fd.json", "a.json", "a%3Aé 1.json", "README.md"):
        (tmp_path / name).write_text(json.dumps(contract({name: {}})), encoding="utf-8")
    found = read_contracts(storage, Contracts(tmp_path.as_uri(), "count"))
    assert found is not None
    assert set(found.texts) == {"a:b", "a:c/d", "a", "a:é 1"}
    assert found.only_count


def test_a_second_contract_for_an_event_is_refused(storage: Storage, tmp_path: Path) -> None:
    for name in ("a%3ab.json", "a%3Ab.json"):
        (tmp_path / name).write_text(json.dumps(contract({})))
    assert "a second contract for the event a:b" in refusal(storage, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a%3Ab.json", b'{"type": "object",}', "is not JSON: trailing comma"),
        ("a%3Ab.json", b'{"type": "object", "title": "\xff"}', "is not UTF-8"),
        ("a%3Ab.json", json.dumps(contract({"c": {"minLength": "3"}})).encode(), "$.properties.c.minLength must be"),
        (
            "a%3Ab.json",
            json.dumps(contract({}, required=["c"], additionalProperties=False)).encode(),
            "items ['c'] are required but not allowed",
        ),
        ("lesson:started.json", b'{"type": "object"}', "call it lesson%3Astarted.json"),
        ("%3Ab.json", b'{"type": "object"}', "no event can have that name"),
        ("lesson started.json", b'{"type": "object"}', "no event can have that name"),
    ],
)
def test_a_file_that_is_no_contract_is_refused_by_name_and_place(
    storage: Storage, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / "good.json").write_text(json.dumps(contract({})))
    (tmp_path / name).write_bytes(content)
    refused = refusal(storage, tmp_path)
    assert f"{tmp_path}/{name}" in refused
    assert reason in refused


def test_a_folder_without_contracts_is_refused(storage: Storage, tmp_path: Path) -> None:
    assert refusal(storage, tmp_path).startswith("contracts.path is")
    assert refusal(storage, tmp_path / "absent").startswith("contracts.path is")


def test_contracts_that_are_switched_off_are_not_looked_at(storage: Storage, tmp_path: Path) -> None:
    assert read_contracts(storage, Contracts(tmp_path.as_uri(), "off")) is None
    assert read_contracts(storage, Contracts("")) is None
