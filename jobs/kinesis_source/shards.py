"""What a stream's API says of its shards: listing them, and reading one of them page by page."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kinesis_source.client import EXPIRED_ITERATOR, KinesisClient, PassingFault
from kinesis_source.errors import StreamError
from kinesis_source.position import Position, parse_time

# The most that one GetRecords call may ask for (AWS API reference).
MOST_RECORDS = 10_000


@dataclass(frozen=True)
class Shard:
    """One listed shard; a closed one has an ending sequence number and takes no more records."""

    shard_id: str
    parents: tuple[str, ...]
    closed: bool


def list_shards(client: KinesisClient) -> dict[str, Shard]:
    """All shards that AWS lists, every page of them, by shard id."""
    found: dict[str, Shard] = {}
    request: dict[str, Any] = {**client.stream_field}
    while True:
        page = client.call("ListShards", request)
        for entry in page["Shards"]:
            shard = _shard(entry)
            found[shard.shard_id] = shard
        token = page.get("NextToken")
        if not token:
            return found
        # AWS refuses a stream's name beside a token: the token names the stream.
        request = {"NextToken": token, **client.arn_field}


def _shard(entry: Mapping[str, Any]) -> Shard:
    parents = (entry.get("ParentShardId"), entry.get("AdjacentParentShardId"))
    return Shard(
        shard_id=entry["ShardId"],
        parents=tuple(parent for parent in parents if parent),
        closed=entry["SequenceNumberRange"].get("EndingSequenceNumber") is not None,
    )


def children_of(shard_id: str, shards: Iterable[Shard]) -> list[Shard]:
    """The shards that a split or merge made out of `shard_id`."""
    return [shard for shard in shards if shard_id in shard.parents]


def has_ancestor_in(shard: Shard, ids: Container[str], shards: Mapping[str, Shard]) -> bool:
    """Whether a parent, or a parent's parent and so on, is among `ids`."""
    waiting, seen = list(shard.parents), set[str]()
    while waiting:
        parent = waiting.pop()
        if parent in ids:
            return True
        if parent in shards and parent not in seen:
            seen.add(parent)
            waiting += shards[parent].parents
    return False


@dataclass(frozen=True)
class Page:
    """One answer of GetRecords. `at_tip`: nothing was behind it when AWS answered; `at_end`: nothing ever will be."""

    records: list[dict[str, Any]]
    at_tip: bool
    at_end: bool
    behind_millis: int | None = None  # the tip's time less that of the last record, as AWS has it


class ShardCursor:
    """Reads one shard forward from a position. One call at a time; not for several threads at once."""

    def __init__(self, client: KinesisClient, shard_id: str, start: Position) -> None:
        self._client = client
        self.shard_id = shard_id
        self._resume = start
        self._iterator: str | None = None

    def read_once(self, limit: int = MOST_RECORDS, admits: Callable[[int], bool] | None = None) -> Page:
        """The next page, one try a call; `admits` says whether there is room for an answer of so many bytes.

        Raises PassingFault, StreamError and AnswerTooLarge; a failed call can be made again.
        """
        if self._iterator is None:
            request = {**self._client.stream_field, "ShardId": self.shard_id, **_iterator_request(self._resume)}
            self._iterator = _field(self._client.call_once("GetShardIterator", request), "ShardIterator", str)
        try:
            answer = self._client.call_once(
                "GetRecords", {"ShardIterator": self._iterator, "Limit": limit, **self._client.arn_field}, admits
            )
        except StreamError as error:
            if error.code != EXPIRED_ITERATOR:
                raise
            self._iterator = None
            return Page([], at_tip=False, at_end=False)
        records: list[dict[str, Any]] = _field(answer, "Records", list)
        if records:
            self._resume = Position("after", records[-1]["SequenceNumber"])
        self._iterator = answer.get("NextShardIterator")
        behind = answer.get("MillisBehindLatest")
        return Page(records, at_tip=behind == 0, at_end=self._iterator is None, behind_millis=behind)

    def read(self, limit: int = MOST_RECORDS) -> Page:
        """The next page, with passing faults tried again for the configured time."""
        return self._client.retrying(lambda: self.read_once(limit), f"reading shard {self.shard_id}")


def _field(answer: Mapping[str, Any], name: str, kind: type) -> Any:
    """Something without which an answer is none."""
    value = answer.get(name)
    if not isinstance(value, kind):
        raise PassingFault("BadAnswer", f"an answer without {name}")
    return value


def _iterator_request(position: Position) -> dict[str, Any]:
    match position.kind:
        case "trim_horizon":
            return {"ShardIteratorType": "TRIM_HORIZON"}
        case "time":
            return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": parse_time(position.value)}
        case "at":
            return {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": position.value}
        case "after":
            return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": position.value}
    raise ValueError(f"nothing can be read from position {position}")
