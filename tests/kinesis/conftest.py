"""A Kinesis server for each test, and queries on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kinesis_query import KinesisQuery
from kinesis_server import KinesisServer


@pytest.fixture
def server() -> Iterator[KinesisServer]:
    with KinesisServer() as running:
        running.create_stream("events", 2)
        yield running


@pytest.fixture
def query(server: KinesisServer) -> Callable[..., KinesisQuery]:
    """Makes a query on the stream `events`; keyword arguments are options."""

    def make(**options: str) -> KinesisQuery:
        given = {"streamName": "events", "endpointUrl": server.endpoint_url, "retrySeconds": "20"}
        return KinesisQuery({**given, "holdBackMs": "0", "idlePauseMs": "0", "tasks": "2", **options})

    return make
