"""A server with one stream of one shard for each test, and its client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from kinesis_server import KinesisServer

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

from .client import client_of


@pytest.fixture
def server() -> Iterator[KinesisServer]:
    with KinesisServer() as running:
        running.create_stream("events")
        yield running


@pytest.fixture
def client(server: KinesisServer) -> KinesisClient:
    return client_of(server.endpoint_url)
