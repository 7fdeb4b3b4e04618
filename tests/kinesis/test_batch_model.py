"""Whatever happened to a stream, batches between any bounds divide what was put: each record in one of them.

Hypothesis makes the stream's history: puts whose arrival times go back and forth, splits, merges, and offsets of the
tip taken in between. Then the whole is read at once, between consecutive times, and between the consecutive offsets.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import kinesis_source
from kinesis_server import KinesisServer
from kinesis_source import tip
from kinesis_source.position import END, format_time

AGES = st.sampled_from([2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233])
STEPS = st.one_of(
    st.tuples(st.just("put"), st.lists(AGES, min_size=1, max_size=8)),
    st.tuples(st.just("split"), st.integers(0, 100)),
    st.tuples(st.just("merge"), st.integers(0, 100)),
    st.tuples(st.just("mark"), st.none()),
)
MOST_SHARDS = 6


class History:
    """A stream as the steps made it: what was put in order, and how many records had been put at each mark."""

    def __init__(self, server: KinesisServer) -> None:
        self.server = server
        self.options = {
            "streamName": "events",
            "region": "us-east-1",
            "endpointUrl": server.endpoint_url,
            "retrySeconds": "5",
        }
        self.put: list[bytes] = []
        self.marks: list[tuple[int, str]] = []
        self.now = server.now()

    def take(self, step: str, what: object) -> None:
        shards = [s for s in self.server.shards("events") if "EndingSequenceNumber" not in s["SequenceNumberRange"]]
        shards.sort(key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
        if step == "put":
            for age in what:  # type: ignore[attr-defined]
                data = b"%d" % len(self.put)
                self.server.put("events", data, partition_key=data.decode(), arrival=self.now - age)
                self.put.append(data)
        elif step == "split" and len(shards) < MOST_SHARDS:
            self.server.split("events", shards[int(str(what)) % len(shards)]["ShardId"])
        elif step == "merge" and len(shards) > 1:
            at = int(str(what)) % (len(shards) - 1)
            self.server.merge("events", shards[at]["ShardId"], shards[at + 1]["ShardId"])
        elif step == "mark":
            offset = tip(self.options)
            # As a query's offset: what has ended, and whose children are there, has left it.
            left = {shard: position for shard, position in offset.shards.items() if position != END}
            self.marks.append((len(self.put), json.dumps(replace(offset, shards=left).to_json())))

    def read(self, **bounds: str) -> list[bytes]:
        batches = kinesis_source.read({**self.options, **bounds})
        return [data for batch in batches for data in batch.column("data").to_pylist()]


@pytest.mark.timeout(300)
# Not made smaller when it fails: that takes minutes of servers.
@settings(settings.get_profile("repeatable"), max_examples=25, phases=(Phase.explicit, Phase.generate))
@given(
    shards=st.integers(1, 3),
    steps=st.lists(STEPS, max_size=14),
    ages=st.lists(st.integers(1, 300), max_size=4, unique=True),
    empty_pages=st.integers(0, 1),
)
def test_batches_between_any_bounds_divide_what_was_put(
    shards: int, steps: list[tuple[str, object]], ages: list[int], empty_pages: int
) -> None:
    with KinesisServer() as server:
        server.create_stream("events", shards)
        history = History(server)
        for step, what in steps:
            history.take(step, what)
        server.set_empty_pages(empty_pages)
        assert sorted(history.read()) == sorted(history.put)

        times = [format_time(history.now - age) for age in sorted(ages, reverse=True)]
        spans = [("trim_horizon", *times[:1]), *pairwise(times), (*times[-1:], "latest")] if times else []
        parts = [history.read(startingPosition=start, endingPosition=end) for start, end in spans]
        assert not times or sorted(data for part in parts for data in part) == sorted(history.put)

        for (count, start), (until, end) in pairwise(history.marks):
            found = history.read(startingPosition=start, endingPosition=end)
            assert sorted(found) == sorted(history.put[count:until])
        for count, mark in history.marks:
            assert sorted(history.read(endingPosition=mark)) == sorted(history.put[:count])
            assert sorted(history.read(startingPosition=mark)) == sorted(history.put[count:])
