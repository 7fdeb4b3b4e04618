"""Reads a stream from its oldest record to a goal as one task does, and prints what that took; run as a process of its
own, so that its memory is its own: ``python read_process.py OPTIONS_JSON GOAL_JSON`` with jobs/ on the path."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from kinesis_source.options import Options
from kinesis_source.position import TRIM_HORIZON, StreamOffset
from kinesis_source.reader import ShardRange, read_ranges

PAGE = 4096


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def main() -> None:
    goal = StreamOffset.from_json(json.loads(sys.argv[2]))
    ranges = [ShardRange(shard, TRIM_HORIZON, end) for shard, end in goal.shards.items() if end != TRIM_HORIZON]
    base = peak = resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, resident())

    threading.Thread(target=watch, daemon=True).start()
    began, records, size = time.monotonic(), 0, 0
    for batch in read_ranges(ranges, Options.parse(json.loads(sys.argv[1]))):
        records += batch.num_rows
        size += batch.column("data").nbytes
    seconds = time.monotonic() - began
    done.set()
    print(json.dumps({"records": records, "bytes": size, "seconds": seconds, "grown": peak - base}))


if __name__ == "__main__":
    main()
