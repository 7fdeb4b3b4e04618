"""The Kinesis source alone: its reader in processes as Spark has them, Spark itself, and a plain boto3 loop."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import run as run_script
from bench_report import commit, machine, source_notes, table, versions
from bench_run import MIB, RunFailed, said
from bench_source_run import SourceRun, boto3_run, reader_run, spark_run, stream_run

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from kinesis_server import KinesisProcess, Limits

ROOT = run_script.ROOT
STREAM = "bench"
LIMITED_SHARDS = 8
ARRIVAL_SPAN_SECONDS = 3600.0
HEAD = b'{"event_uuid":"{uuid}","event_name":"lesson:started","created_at":{created_at},"filling":"'
UUID_BYTES, TIME_BYTES = 36, 14  # what a fill puts in their places


@dataclass
class Case:
    """One row of the table: a stream, read in one way several times."""

    name: str
    way: str  # "reader", "stream", "spark" or "boto3"
    shards: int
    records: int
    limited: bool = False
    runs: list[SourceRun] = field(default_factory=list)

    def of(self, figure: str) -> float:
        return median(getattr(run, figure) for run in self.runs)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=int, default=800_000, help="records a run (default %(default)s)")
    parser.add_argument("--data-bytes", type=int, default=360, help="bytes of a record's data (default %(default)s)")
    parser.add_argument("--shards", type=int, nargs="*", default=[1, 4, 64], help="without limits; default 1 4 64")
    parser.add_argument(
        "--limited-mib", type=int, default=30, help=f"MiB in each of {LIMITED_SHARDS} limited shards; 0: not measured"
    )
    parser.add_argument("--round-trip-ms", type=float, default=10.0, help="of limited shards (default %(default)s)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="default: one a core")
    parser.add_argument("--repeat", type=int, default=3, help="runs a case; medians are shown (default %(default)s)")
    parser.add_argument("--no-spark", action="store_true", help="only the reader's own processes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every run")


def run(given: argparse.Namespace) -> None:
    """Raises RunFailed where a run fails or gives another number of records than there are."""
    cases = list(_cases(given))
    with ExitStack() as stack:
        servers: dict[tuple[int, int], KinesisProcess] = {}
        for case in cases:
            key = (case.shards, case.records)
            if key not in servers:
                with said(f"filling {case.shards} shards with {case.records:,} records"):
                    servers[key] = stack.enter_context(_filled(case, given.data_bytes))
        for number in range(given.repeat):
            for case in cases:
                with said(f"{case.name}, run {number + 1}"):
                    case.runs.append(_run_once(case, servers[case.shards, case.records], given))
    _report(given, cases)


def _cases(given: argparse.Namespace) -> Iterator[Case]:
    for shards in given.shards:
        yield Case(_shards(shards), "reader", shards, given.records // shards * shards)
    middle = given.shards[len(given.shards) // 2]
    records = given.records // middle * middle
    yield Case(f"{_shards(middle)}, plain boto3", "boto3", middle, records)
    if not given.no_spark:
        yield Case(f"{_shards(middle)}, Spark to noop", "spark", middle, records)
    if given.limited_mib:
        per_shard = given.limited_mib * MIB // _record_bytes(given.data_bytes)
        records = LIMITED_SHARDS * per_shard
        yield Case(f"{LIMITED_SHARDS} limited", "reader", LIMITED_SHARDS, records, limited=True)
        yield Case(f"{LIMITED_SHARDS} limited, catching up", "stream", LIMITED_SHARDS, records, limited=True)


def _shards(count: int) -> str:
    return f"{count} shard{'s' * (count > 1)}"


def _record_bytes(data_bytes: int) -> int:
    """As the limits count them, with the fill's partition key."""
    return data_bytes + len("key-10")


def _filled(case: Case, data_bytes: int) -> KinesisProcess:
    server = KinesisProcess()
    try:
        rest = data_bytes - (len(HEAD) - len(b"{uuid}{created_at}") + UUID_BYTES + TIME_BYTES) - len(b'"}')
        if rest < 0:
            raise RunFailed(f"--data-bytes {data_bytes} is too small for an event; give at least {data_bytes - rest}")
        server.create_stream(STREAM, case.shards)
        # With a past end: nothing is ahead of the server's clock.
        start = server.now() - ARRIVAL_SPAN_SECONDS - 60
        server.fill(
            STREAM,
            data=[HEAD + b"x" * rest + b'"}'],
            records_per_shard=case.records // case.shards,
            arrival_start=start,
            arrival_rate=case.records / ARRIVAL_SPAN_SECONDS,
        )
        return server
    except BaseException:
        server.stop()
        raise


def _run_once(case: Case, server: KinesisProcess, given: argparse.Namespace) -> SourceRun:
    server.set_limits(case.limited)
    server.set_round_trip(given.round_trip_ms / 1000 if case.limited else 0.0)
    options = {"streamName": STREAM, "region": "us-east-1", "endpointUrl": server.endpoint_url}
    options["tasks"] = str(given.processes)
    if not case.limited:
        # The source keeps to what AWS allows by itself; here nothing is limited.
        options |= {"callsPerSecond": "1000", "bytesPerSecond": "1e9"}
    run_in = {"reader": reader_run, "stream": stream_run, "boto3": boto3_run, "spark": spark_run}[case.way]
    result = run_in(options, given.processes, server.pid)
    if (result.records, result.data_bytes) != (case.records, case.records * given.data_bytes):
        raise RunFailed(
            f"{case.name}: {result.records:,} records with {result.data_bytes:,} bytes came, "
            f"expected {case.records:,} with {case.records * given.data_bytes:,}"
        )
    return result


def _share(case: Case, given: argparse.Namespace) -> float:
    """Of what the shards' limit lets through in the time that reading took, less the second that was saved up."""
    read = case.records * _record_bytes(given.data_bytes)
    limit = case.shards * Limits().read_bytes
    return (read - limit) / (case.of("seconds") * limit)


def _report(given: argparse.Namespace, cases: list[Case]) -> None:
    head = ["case", "runs", "records/s", "MB/s", "CPU s/M", "Kinesis CPU s/M", "plan s", "peak MiB", "of 2 MiB/s"]
    rows = [
        [
            case.name,
            str(len(case.runs)),
            f"{case.records / case.of('seconds'):,.0f}",
            f"{case.records * given.data_bytes / case.of('seconds') / 1e6:.1f}",
            f"{case.of('cpu_seconds') / case.records * 1e6:.1f}",
            f"{case.of('server_cpu_seconds') / case.records * 1e6:.1f}",
            f"{case.of('plan_seconds'):.2f}",
            f"{case.of('peak_mib'):,.0f}",
            f"{100 * _share(case, given):.0f} %" if case.limited else "-",
        ]
        for case in cases
    ]
    print(table([head, *rows]))
    print(source_notes(given.processes, given.data_bytes, given.round_trip_ms))
    print(f"\n{machine()}\n{versions()}\n{commit()}")
    if given.json:
        document: dict[str, Any] = {
            "machine": machine(),
            "versions": versions(),
            "commit": commit(),
            "arguments": {**vars(given), "json": str(given.json)},
            "cases": [{**asdict(case), "share": _share(case, given) if case.limited else None} for case in cases],
        }
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
