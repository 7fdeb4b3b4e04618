"""The project's own Kinesis server and kinesis-local answer the same calls alike, but for the differences listed here.

Two servers that were written by different people from the same documents seldom share a mistake. Where they differ,
the documents decide; `DIFFERENCES` says what each answers and why ours is the one that is meant. Runs where node and
npm are present and the package can be had; nothing else of the project needs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.config import Config

from kinesis_server import KinesisServer

from . import reading, resharding, wrong_requests  # noqa: F401 - each adds its calls, made in this order
from .kinesis_local import KinesisLocal, NotInstallable
from .session import CALLS, Session


class Difference(NamedTuple):
    ours: Any
    other: Any
    why: str


INVALID, NOT_FOUND, IN_USE = "InvalidArgumentException", "ResourceNotFoundException", "ResourceInUseException"
ROOTS = ["shardId-000000000000", "shardId-000000000001"]
CHILDREN = ["shardId-000000000002", "shardId-000000000003", "shardId-000000000004"]
AFTER_RESHARDING = {
    "AT_LATEST": ["shardId-000000000002", "shardId-000000000004"],
    "FROM_TRIM_HORIZON": [*ROOTS, *CHILDREN],
    "AFTER_SHARD_ID": CHILDREN,
}

DIFFERENCES = {
    "the_first_of_two_shards_ends_at": Difference(
        str(2**127 - 1), str(2**127 - 2), "AWS's own examples of two shards meet at 2**127 (ListShards, DescribeStream)"
    ),
    "a_filter_chooses_shards": Difference(
        {**AFTER_RESHARDING, "AT_TRIM_HORIZON": ROOTS},
        {**AFTER_RESHARDING, "AT_TRIM_HORIZON": [*ROOTS, *CHILDREN]},
        "AT_TRIM_HORIZON are the shards that were open at the trim horizon (ShardFilter)",
    ),
    "an_iterator_that_is_none": Difference(
        INVALID, "500", "a wrong argument is no failure of the service (GetRecords)"
    ),
    "a_sequence_number_without_a_use": Difference(
        INVALID, "no error", "refused by the service, with the text that ours has (kinesalite's tests of it)"
    ),
    "a_sequence_number_of_another_shard": Difference(
        INVALID, NOT_FOUND, "refused by the service, with the text that ours has (kinesalite's tests of it)"
    ),
    "a_sequence_number_that_is_none": Difference(INVALID, NOT_FOUND, "the same"),
    "more_than_500_records": Difference(
        "ValidationException", "no error", "a constraint of the service's model (PutRecords, 500 at most)"
    ),
    "a_record_above_1_mib": Difference(
        INVALID, "no error", "1 MiB of data and key at most, unless the stream is made for more (PutRecord)"
    ),
    "a_partition_key_above_256_characters": Difference(
        "ValidationException", INVALID, "a constraint of the service's model (PutRecord)"
    ),
    "a_closed_shard_cannot_be_split": Difference(INVALID, IN_USE, "the documents do not say; nothing of ours needs it"),
    "a_stream_cannot_be_scaled_fourfold": Difference(
        "LimitExceededException", INVALID, "the documents call it a limit (UpdateShardCount); they name no code"
    ),
}


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, tuple[Any, Any]]]:
    """By call: what ours and what the other one gave."""
    try:
        other = KinesisLocal()
    except NotInstallable as reason:
        pytest.skip(f"nothing to compare with: {reason}")
    with other, KinesisServer() as ours:
        sessions = [Session(_client(url)) for url in (ours.endpoint_url, other.endpoint_url)]
        yield {name: (call(sessions[0]), call(sessions[1])) for name, call in CALLS.items()}


def _client(endpoint_url: str) -> Any:
    session = boto3.session.Session("key", "secret", region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, proxies={})
    return session.client("kinesis", endpoint_url=endpoint_url, config=config)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in DIFFERENCES])
def test_both_servers_answer_alike(answers: dict[str, tuple[Any, Any]], name: str) -> None:
    ours, other = answers[name]
    assert ours == other


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_known_difference_is_as_it_is_written_down(answers: dict[str, tuple[Any, Any]], name: str) -> None:
    ours, other = answers[name]
    assert (ours, other) == DIFFERENCES[name][:2]
