"""Shows the whole path on this machine: events in Kinesis -> the job -> a Delta table on S3 -> a typed view, and
checks every event.

Exit code 0: the lake holds exactly what was put; 1: it does not, or the job failed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from demo_compaction import show_compaction
from demo_job import LOGS, ROOT, JobFailed, Run, report_in_the_making, run_job
from demo_typed_view import show_typed_view
from demo_view import show_lake
from lake_check import counts_differ, differences
from lake_tables import LakeTables
from progress import Progress
from put_records import NotAccepted, Totals, UsageError, put_all

sys.path.insert(0, str(ROOT / "tests"))
from embedded_aws import REGION, EmbeddedAws
from traffic import Ledger, Put, generate, samples

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

STREAM, BUCKET, SHARDS = "event-lake-demo", "event-lake-demo", 4
FIRST_WAVE = 0.6  # of the generated events; the second wave has copies of events of the first
PATHS = {name: f"s3a://{BUCKET}/lake/{name}" for name in ("events", "quarantine", "duplicates")}
METRICS = f"s3a://{BUCKET}/lake/metrics"
CONTRACTS = ROOT / "conf" / "contracts"
# Two waves make two small files a partition, which nobody would put together elsewhere.
TWO_ARE_MANY = ["--set", "maintenance.most_small_files=2"]
DIFFERENCES_SHOWN = 20


class Stopwatch:
    """What the demo spent its time on."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()
        self.laps: list[tuple[str, float]] = []

    def lap(self, what: str) -> float:
        now = time.monotonic()
        seconds, self.last = now - self.last, now
        self.laps.append((what, seconds))
        return seconds

    @property
    def total(self) -> float:
        return time.monotonic() - self.began


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="demo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000, help="how many events to make up (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other events (default %(default)s)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        return demo(options.count, options.seed)
    except (JobFailed, NotAccepted, UsageError) as error:
        print(f"\ndemo: FAILED: {error}")
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted")
        return 130


def demo(count: int, seed: int) -> int:
    watch, ledger = Stopwatch(), Ledger()
    with EmbeddedAws() as aws:
        _use_only(aws)
        kinesis = aws.client("kinesis")
        kinesis.create_stream(StreamName=STREAM, ShardCount=SHARDS)
        aws.client("s3").create_bucket(Bucket=BUCKET)
        watch.lap("starting the embedded AWS")
        print(f"AWS on this machine at {aws.endpoint_url}: stream {STREAM} with {SHARDS} shards, bucket {BUCKET}")

        puts = generate(count, seed=seed, now=time.time())
        first = islice(puts, int(count * FIRST_WAVE))
        runs: list[Run] = []
        wrong: list[str] = []
        waves = ((samples(), first, []), ([], puts, TWO_ARE_MANY))
        for number, (more, wave, settings) in enumerate(waves, start=1):
            before = ledger.counts()
            _put(kinesis, more, wave, ledger)
            seconds = watch.lap(f"putting wave {number}")
            print(f"\nWave {number}: {ledger.received - before['received']:,} records put in {seconds:.1f} s")
            print(f"The job, {'first run' if number == 1 else 'started again from its checkpoint'}:")
            run = run_job(f"run-{number}", [*_job_arguments(aws), *settings], dict(os.environ))
            watch.lap(f"job, run {number} ({run.seconds_to_first_batch:.1f} s to the end of its first micro-batch)")
            expected = {key: total - before[key] for key, total in ledger.counts().items()}
            wrong += counts_differ(f"run {number}", run.report, expected)
            runs.append(run)

        with report_in_the_making(_job_arguments(aws), dict(os.environ)) as report_made:
            tables = LakeTables({**PATHS, "metrics": METRICS}, aws.endpoint_url, aws.environment())
            watch.lap("reading the tables with delta-rs")
            show_lake(tables)
            show_compaction(tables)
            show_typed_view(tables)
            wrong += differences(tables, ledger)
            wrong += counts_differ("the metrics table", _told(tables), ledger.counts())
            watch.lap("checking every event")
            print("\nThe report on its quality, which was begun before the tables were read")
            report = report_made()
            watch.lap("waiting for the report")
    _show_accounting(runs)
    _show_times(watch)
    code = _verdict(wrong, ledger, watch.total)
    print(f"The report on the lake's quality, one page: {report}")
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _use_only(aws: EmbeddedAws) -> None:
    """Nothing of a person's own AWS settings may lead the demo, or the job, to a real account."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(aws.environment())


def _put(kinesis: KinesisClient, one_by_one: Iterable[Put], wave: Iterable[Put], ledger: Ledger) -> None:
    """`one_by_one` goes as `aws kinesis put-record --data ... --partition-key ...` would send it."""
    for put in one_by_one:
        ledger.add(put)
        kinesis.put_record(StreamName=STREAM, Data=put.data, PartitionKey=put.partition_key)
    progress = Progress("putting")
    put_all(kinesis, {"StreamName": STREAM}, _noted(wave, ledger), Totals(), report=progress.show)
    progress.clear()


def _noted(puts: Iterable[Put], ledger: Ledger) -> Iterator[Put]:
    for put in puts:
        ledger.add(put)
        yield put


def _job_arguments(aws: EmbeddedAws) -> list[str]:
    settings = {
        "source.stream": STREAM,
        "source.endpoint_url": aws.endpoint_url,
        "source.region": REGION,
        "lake.path": PATHS["events"],
        "lake.quarantine_path": PATHS["quarantine"],
        "lake.duplicates_path": PATHS["duplicates"],
        "metrics.table_path": METRICS,
        # What is made up keeps no contract, so it is only counted.
        "contracts.path": CONTRACTS.as_uri(),
        "contracts.mode": "count",
        "checkpoint.path": f"s3a://{BUCKET}/checkpoint",
        "spark.hadoop.fs.s3a.endpoint": aws.endpoint_url,
    }
    pairs = chain.from_iterable(("--set", f"{key}={value}") for key, value in settings.items())
    return ["--config", str(Path("conf") / "local.toml"), *pairs]


def _told(tables: LakeTables) -> dict[str, int]:
    """What the metrics of all micro-batches add up to."""
    names = ("received", "stored", "duplicates", "quarantined", "late_dropped")
    return {name: int(tables.one(f"SELECT sum({name}) FROM metrics")) for name in names}


def _show_accounting(runs: list[Run]) -> None:
    print("\nAccounting, as the job counted it")
    for number, run in enumerate(runs, start=1):
        keys = ("received", "stored", "duplicates", "quarantined", "late_dropped", "contract_broken")
        print(f"  run {number}: " + " ".join(f"{key}={run.report.get(key)}" for key in keys))
    copies = sum(run.report.get("duplicates", 0) for run in runs)
    good = copies + sum(run.report.get("stored", 0) for run in runs)
    print(f"  duplicate rate: {100 * copies / max(good, 1):.1f} % ({copies:,} of {good:,} good records were copies)")


def _show_times(watch: Stopwatch) -> None:
    print("\nWhere the time went")
    for what, seconds in watch.laps:
        print(f"  {seconds:5.1f} s  {what}")


def _verdict(wrong: list[str], ledger: Ledger, seconds: float) -> int:
    if wrong:
        print("\nThe lake is not what was put:")
        for line in wrong[:DIFFERENCES_SHOWN]:
            print(f"  {line}")
        if len(wrong) > DIFFERENCES_SHOWN:
            print(f"  and {len(wrong) - DIFFERENCES_SHOWN} more differences")
        print(f"\ndemo: FAILED: {len(wrong)} differences; the job's logs are in {LOGS.relative_to(ROOT)}")
        return 1
    print(
        f"\ndemo: OK, {ledger.received:,} records put: {ledger.stored:,} events stored once each, "
        f"{ledger.duplicates:,} copies dropped, {ledger.quarantined.total():,} broken ones set aside; {seconds:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
