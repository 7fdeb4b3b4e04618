"""The made-up traffic is what it says it is: tests built on it are worth no more than that."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from hashlib import md5
from itertools import islice
from typing import Any

import orjson
import pytest

from odd_events import BROKEN, LOWER_BOUND, UNUSUAL
from traffic import SAMPLE_EVENTS, THREE_DAYS, Ledger, Put, event_types, generate, samples

NOW = 1_795_000_000.0
CODES = {
    "empty", "not_json", "not_an_object", "repeated_key",
    "event_uuid_missing", "event_uuid_not_string", "event_uuid_empty", "event_uuid_too_long",
    "event_name_missing", "event_name_not_string", "event_type_invalid",
    "created_at_missing", "created_at_not_number", "created_at_in_milliseconds", "created_at_out_of_range",
}  # fmt: skip


@cache
def mixed() -> tuple[Put, ...]:
    return tuple(generate(40_000, now=NOW, seed=7))


def good() -> list[Put]:
    return [put for put in mixed() if put.problem is None]


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert tuple(generate(40_000, now=NOW, seed=7)) == mixed()


def test_a_longer_run_begins_like_a_shorter_one_of_whole_blocks() -> None:
    assert list(generate(1024, now=NOW)) == list(islice(generate(5000, now=NOW), 1024))


def test_another_seed_gives_other_uuids() -> None:
    other = {put.event_uuid for put in generate(5_000, now=NOW, seed=8) if put.problem is None}
    assert not other & {put.event_uuid for put in good()}


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513])
def test_as_many_puts_come_as_were_asked_for(count: int) -> None:
    assert sum(1 for _ in generate(count, now=NOW)) == count


def test_shares_of_copies_and_broken_events_are_those_asked_for() -> None:
    puts = list(generate(20_000, duplicates=0.2, broken=0.1, now=NOW))
    assert sum(put.copy_of_earlier for put in puts) / len(puts) == pytest.approx(0.2, abs=0.01)
    assert sum(put.problem is not None for put in puts) / len(puts) == pytest.approx(0.1, abs=0.01)


def test_without_copies_and_broken_events_every_uuid_is_new() -> None:
    puts = list(generate(5_000, duplicates=0, broken=0, now=NOW))
    assert len({put.event_uuid for put in puts}) == 5_000
    assert not any(put.copy_of_earlier or put.problem for put in puts)


def test_every_way_of_being_broken_comes_by_with_its_code() -> None:
    assert {problem for problem, _ in BROKEN} == CODES
    puts = list(generate(len(BROKEN), broken=1, duplicates=0, now=NOW))
    assert [put.problem for put in puts] == [problem for problem, _ in BROKEN]


def test_every_code_has_several_variants_but_those_that_can_only_be_one() -> None:
    variants = Counter(problem for problem, _ in BROKEN)
    assert {problem for problem, number in variants.items() if number < 3} == {"empty", "event_uuid_empty"}


def test_broken_events_are_broken_in_the_way_they_say() -> None:
    for put in generate(len(BROKEN) * 2, broken=1, duplicates=0, now=NOW):
        assert put.problem == next(problems(put.data), None), put


def test_good_events_have_no_problem_and_carry_the_uuid_that_is_said() -> None:
    for put in good():
        assert not list(problems(put.data)), put
        assert orjson.loads(put.data)["event_uuid"] == put.event_uuid


def test_some_broken_events_carry_the_uuid_of_a_good_one() -> None:
    uuids = {put.event_uuid for put in good()}
    assert any(put.event_uuid in uuids for put in mixed() if put.problem and put.event_uuid)


def test_unusual_good_events_come_by() -> None:
    events = [orjson.loads(put.data) for put in good()]
    assert any(len(event["event_uuid"]) == 256 for event in events)
    assert any(event["event_name"] == "lesson:" for event in events)
    assert any(event["event_name"] == "lesson" for event in events)
    assert any(event["created_at"] == LOWER_BOUND for event in events)
    assert any(event["created_at"] == "1644838800.5" for event in events)
    assert any(not event["event_uuid"].isascii() for event in events)
    assert any(put.data != put.data.strip() for put in good())
    assert any(re.search(rb'"event_uuid":"([^"]+)".*"event_uuid":"\1"', put.data) for put in good())
    assert len([put for put in good() if b'"nested"' in put.data]) >= 2
    assert len(UNUSUAL) >= 20


def test_copies_repeat_an_earlier_uuid_and_nothing_else_does() -> None:
    seen: set[str | None] = set()
    for put in good():
        assert put.copy_of_earlier == (put.event_uuid in seen), put
        seen.add(put.event_uuid)


def test_copies_come_at_once_and_much_later_in_this_shard_and_in_another_whole_and_changed() -> None:
    first: dict[str | None, tuple[int, Put]] = {}
    gaps, other_shard, changed = [], 0, 0
    for place, put in enumerate(mixed()):
        if put.problem is None and not put.copy_of_earlier:
            first[put.event_uuid] = (place, put)
        elif put.copy_of_earlier:
            earlier, original = first[put.event_uuid]
            gaps.append(place - earlier)
            other_shard += shard(put) != shard(original)
            changed += put.data != original.data
    assert gaps.count(1) / len(gaps) > 0.3
    assert sum(gap > 10_000 for gap in gaps) / len(gaps) > 0.1
    assert 0.1 < other_shard / len(gaps) < 0.4
    assert 0.05 < changed / len(gaps) < 0.15


def test_events_are_about_360_bytes() -> None:
    usual = [len(put.data) for put in good() if len(put.data) < 2000]
    assert sum(usual) / len(usual) == pytest.approx(360, abs=25)


def test_traffic_is_uneven_over_the_types_asked_for() -> None:
    events = [orjson.loads(put.data) for put in good()]
    per_type = Counter(event["event_name"].split(":")[0] for event in events)
    assert set(per_type) == set(event_types(20))
    assert per_type.most_common()[0][1] > 10 * per_type.most_common()[-1][1]


def test_hundreds_of_types_can_be_had_and_each_has_several_names() -> None:
    assert len(set(event_types(500))) == 500
    names = {orjson.loads(put.data)["event_name"] for put in generate(20_000, types=300, broken=0, now=NOW)}
    assert len(names) > 1000
    assert any(name.count(":") == 2 for name in names)


def test_events_are_up_to_three_days_old_and_never_from_the_future() -> None:
    recent = [float(orjson.loads(put.data)["created_at"]) for put in good()]
    recent = [moment for moment in recent if moment > 1_650_000_000]
    assert max(recent) <= NOW
    assert NOW - THREE_DAYS <= min(recent) < NOW - 2 * 86_400


def test_created_at_is_mostly_an_integer_sometimes_a_float_or_a_number_in_a_string() -> None:
    kinds = Counter(type(orjson.loads(put.data)["created_at"]).__name__ for put in good())
    assert kinds["int"] > 0.8 * kinds.total()
    assert kinds["float"] > 0.02 * kinds.total()
    assert kinds["str"] > 0.02 * kinds.total()


def test_kinesis_takes_every_key_and_hash_key() -> None:
    for put in mixed():
        assert 1 <= len(put.partition_key.encode("utf-16-le")) // 2 <= 256
        assert put.explicit_hash_key is None or 0 <= int(put.explicit_hash_key) < 2**128


def test_the_sample_events_are_those_of_the_original_system() -> None:
    events = [orjson.loads(data) for data in SAMPLE_EVENTS]
    assert [(event["event_uuid"], event["event_name"], event["created_at"]) for event in events] == [
        ("1234567890", "account:created", 1644838800),
        ("0987654321", "lesson:started", 1644842400),
        ("5678901234", "payment:order:completed", 1644849600),
        ("1357924680", "lesson:completed", 1644856800),
    ]
    assert {datetime.fromtimestamp(event["created_at"], UTC).date().isoformat() for event in events} == {"2022-02-14"}
    assert not any(list(problems(data)) for data in SAMPLE_EVENTS)


def test_the_ledger_tells_what_the_lake_must_hold() -> None:
    ledger = Ledger()
    for put in [*samples(), *mixed()]:
        ledger.add(put)
    assert ledger.received == len(mixed()) + 5
    assert ledger.received == ledger.stored + ledger.duplicates + ledger.quarantined.total()
    assert ledger.stored == len({put.event_uuid for put in good()}) + 4
    assert ledger.duplicates == sum(put.copy_of_earlier for put in mixed()) + 1
    assert set(ledger.quarantined) == CODES
    assert ledger.payloads["1234567890"] == {SAMPLE_EVENTS[0]}
    assert max(len(payloads) for payloads in ledger.payloads.values()) > 1


def shard(put: Put) -> int:
    """Of four."""
    digest = int.from_bytes(md5(put.partition_key.encode()).digest())
    return (int(put.explicit_hash_key) if put.explicit_hash_key else digest) >> 126


def problems(data: bytes) -> Iterator[str]:
    """Everything that is wrong with an event, in the order of the contract; read slowly and not as the job does."""
    if not data:
        yield "empty"
        return
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError:
        yield "not_json"
        return
    if not isinstance(event, dict):
        yield "not_an_object"
        return
    if given_twice(data):
        yield "repeated_key"
    yield from uuid_problems(event.get("event_uuid"))
    yield from name_problems(event.get("event_name"))
    yield from time_problems(event.get("created_at"))


def uuid_problems(uuid: object) -> Iterator[str]:
    if uuid is None:
        yield "event_uuid_missing"
    elif not isinstance(uuid, str):
        yield "event_uuid_not_string"
    elif not 0 < len(uuid) <= 256:
        yield "event_uuid_too_long" if uuid else "event_uuid_empty"


def name_problems(name: object) -> Iterator[str]:
    if name is None:
        yield "event_name_missing"
    elif not isinstance(name, str):
        yield "event_name_not_string"
    elif not re.fullmatch(r"[-A-Za-z0-9_.]{1,128}", event_type := name.split(":")[0]) or event_type.startswith(
        "__HIVE"
    ):
        yield "event_type_invalid"


def time_problems(moment: object) -> Iterator[str]:
    seconds = number(moment)
    if moment is None:
        yield "created_at_missing"
    elif seconds is None:
        yield "created_at_not_number"
    elif not LOWER_BOUND <= seconds <= NOW + 86_400:
        in_milliseconds = LOWER_BOUND <= seconds / 1000 <= NOW + 86_400
        yield "created_at_in_milliseconds" if in_milliseconds else "created_at_out_of_range"


def number(value: object) -> float | None:
    if isinstance(value, str):
        return float(value) if re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", value) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def given_twice(data: bytes) -> bool:
    """Whether the outermost object gives one of the three keys twice with different values."""
    objects: list[list[tuple[str, Any]]] = []
    json.loads(data, object_pairs_hook=objects.append)
    values = {
        key: [value for name, value in objects[-1] if name == key] for key in ("event_uuid", "event_name", "created_at")
    }
    return any(value != found[0] for found in values.values() for value in found)
