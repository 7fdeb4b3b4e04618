"""Contracts as files: one a contract, in one folder, on any Hadoop path.

A file is named after its event, percent-encoded: `lesson%3Astarted.json`. With a `:` in its name it could be kept in
S3, but not on Windows or HDFS, and Hadoop cannot read it from a local disk (3.4.2, seen).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, unquote

import orjson

from event_lake.config import Contracts
from event_lake.contracts.contract_set import ContractSet, compiled
from event_lake.contracts.language import NotAContract, check
from event_lake.errors import ConfigError
from event_lake.storage import Storage
from event_lake.verdict import EVENT_TYPE

ENDING = ".json"
AT_ONCE = 16  # small files that are read or written at a time: on S3 each is a round trip or more


def read_contracts(storage: Storage, contracts: Contracts) -> ContractSet | None:
    """The contracts that the configuration names; None where it names none, or switches them off.

    Raises ConfigError, which names the file and the place in it.
    """
    if not contracts.path or contracts.mode == "off":
        return None
    places = [entry.path for entry in storage.entries(contracts.path) if entry.name.endswith(ENDING)]
    if not places:
        raise ConfigError(f"contracts.path is {contracts.path}, where there is no file that ends in {ENDING}")
    named = _named(places)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        read = list(pool.map(lambda place: _text(storage, place), named.values()))
    texts = {name: _contract(place, text) for (name, place), text in zip(named.items(), read, strict=True)}
    return ContractSet(texts, only_count=contracts.mode == "count")


def _named(places: Sequence[str]) -> dict[str, str]:
    """The files by the event that each is the contract of."""
    named: dict[str, str] = {}
    for place in places:
        file = place.rpartition("/")[2]
        name = event_name(file)
        if ":" in file:
            raise ConfigError(
                f"{place} has a colon in its name, which not every store can have; call it {file_name(name)}"
            )
        if not EVENT_TYPE.fullmatch(name.partition(":")[0]):
            raise ConfigError(f"{place} is the contract of {name!r}, but no event can have that name")
        if name in named:
            raise ConfigError(f"{place} is a second contract for the event {name}; keep one of the two files")
        named[name] = place
    return named


def event_name(file: str) -> str:
    return unquote(file.removesuffix(ENDING))


def file_name(event: str) -> str:
    """In the form that any store takes."""
    return f"{quote(event, safe='')}{ENDING}"


def _text(storage: Storage, place: str) -> str:
    try:
        return storage.read_text(place)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{place} is not UTF-8: {error}") from error


def _contract(place: str, text: str) -> str:
    """The contract as JSON without spaces; its properties keep their order, which is that of the columns."""
    try:
        schema = orjson.loads(text)
        check(schema)
        one_form = orjson.dumps(schema).decode()
        compiled(one_form)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{place} is not JSON: {error}") from error
    except NotAContract as error:
        raise ConfigError(f"{place} is not a contract: {error}") from error
    except Exception as error:
        raise ConfigError(f"{place} cannot be used as a contract: {type(error).__name__}: {error}") from error
    return one_form
