"""A small faithful Kinesis of our own, for tests and benchmarks: the real protocol over HTTP, boto3 as its client.

A call's way through the files: ``server`` (HTTP) - ``service`` (journal, faults, streams) - ``operations`` by name:
``admin``, ``reads``, ``writes`` - ``stream`` (hash keys, resharding) - ``shard`` (records, positions). Beside them
``limits``, ``faults``, ``journal``; ``sequence`` and ``iterators`` for the texts that a client gets; ``control`` for
what a test can do to all of it.

In a test::

    with KinesisServer(limits=True) as server:
        server.create_stream("events", shards=2)

In its own process (it prints ``{"endpoint_url": ...}`` when ready, and ends with its standard input or on SIGTERM)::

    python tests/kinesis_server --port 0 --limits

or, from Python, ``with KinesisProcess("--limits") as server``, which has the same methods.
"""

from .control import Control, RemoteControl
from .faults import KINDS as FAULT_KINDS
from .limits import Limits
from .process import KinesisProcess
from .server import KinesisServer

__all__ = ["FAULT_KINDS", "Control", "KinesisProcess", "KinesisServer", "Limits", "RemoteControl"]
