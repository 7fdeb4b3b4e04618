"""``python tests/kinesis_server``: the server in its own process, until standard input closes or SIGTERM."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    # Started by its folder, this folder itself is first on the path, and its files would pass for top-level modules.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    __package__ = "kinesis_server"

import argparse
import json
import os
import signal
import threading

from .server import KinesisServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="kinesis_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--limits", action="store_true", help="the service's limits per shard")
    parser.add_argument("--round-trip", type=float, default=0.0, metavar="SECONDS", help="delay of every answer")
    parser.add_argument("--stream", action="append", default=[], metavar="NAME:SHARDS", help="create a stream")
    parser.add_argument("--fill", metavar="FILE", help="JSON lines to put into the first --stream")
    parser.add_argument("--stay", action="store_true", help="do not end with standard input")
    options = parser.parse_args()

    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    with KinesisServer(options.port, limits=options.limits) as server:
        server.set_round_trip(options.round_trip)
        streams = [stream.partition(":") for stream in options.stream]
        for name, _, shards in streams:
            server.create_stream(name, int(shards or 1))
        if options.fill:
            if not streams:
                parser.error("--fill needs a --stream")
            server.fill(streams[0][0], path=options.fill)
        print(json.dumps({"endpoint_url": server.endpoint_url}), flush=True)
        if not options.stay:
            threading.Thread(target=_wait_for_end_of_input, args=(done,), daemon=True).start()
        done.wait()


def _wait_for_end_of_input(done: threading.Event) -> None:
    while os.read(0, 4096):  # not sys.stdin: a thread waiting in its lock would abort the interpreter's exit
        pass
    done.set()


if __name__ == "__main__":
    main()
