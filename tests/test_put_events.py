"""scripts/put-events against a real protocol server on loopback."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest

from embedded_aws import EmbeddedAws
from traffic import Put, generate

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts" / "lib"))
import put_records
from put_events import main
from put_records import BATCH_BYTES, NotAccepted, Totals, batches, deliver

numbers = count()


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with EmbeddedAws() as running:
        yield running


@pytest.fixture
def stream(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new stream of four shards, and the environment to reach it."""
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    name = f"stream-{next(numbers)}"
    aws.client("kinesis").create_stream(StreamName=name, ShardCount=4)
    return name


def records(aws: EmbeddedAws, stream: str) -> list[dict[str, Any]]:
    """Everything in the stream, in the order in which it was put."""
    client = aws.client("kinesis")
    found: list[Any] = []
    for shard in client.list_shards(StreamName=stream)["Shards"]:
        iterator = client.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found += client.get_records(ShardIterator=iterator)["Records"]
    return sorted(found, key=lambda record: int(record["SequenceNumber"]))


def data(aws: EmbeddedAws, stream: str) -> list[bytes]:
    return [record["Data"] for record in records(aws, stream)]


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in capsys.readouterr().out.splitlines()[-1].split())


def test_made_up_events_are_put_as_generated_and_in_order(
    aws: EmbeddedAws, stream: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = int(time.time())
    assert main(["--stream", stream, "--count", "1200", "--seed", "5"]) == 0
    line = last_line(capsys)
    assert (line["put"], line["failed"], line["left"], line["seed"]) == ("1200", "0", "0", "5")
    put = records(aws, stream)
    expected = list(generate(1200, seed=5, now=before))
    assert [record["PartitionKey"] for record in put] == [event.partition_key for event in expected]
    assert [len(record["Data"]) == 0 for record in put] == [event.problem == "empty" for event in expected]
    assert int(line["copies"]) == sum(event.copy_of_earlier for event in expected)
    assert int(line["broken"]) == sum(event.problem is not None for event in expected)


def test_two_runs_without_a_seed_put_different_events(aws: EmbeddedAws, stream: str) -> None:
    assert main(["--stream", stream, "--count", "50", "--duplicates", "0", "--broken", "0"]) == 0
    assert main(["--stream", stream, "--count", "50", "--duplicates", "0", "--broken", "0"]) == 0
    assert len({orjson.loads(event)["event_uuid"] for event in data(aws, stream)}) == 100


def test_a_copy_for_another_shard_lands_there(aws: EmbeddedAws, stream: str) -> None:
    totals = Totals()
    puts = [Put(b"1", "key", str(place << 126)) for place in range(4)]
    deliver(aws.client("kinesis"), {"StreamName": stream}, puts, totals)
    client = aws.client("kinesis")
    for shard in client.list_shards(StreamName=stream)["Shards"]:
        iterator = client.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        assert len(client.get_records(ShardIterator=iterator["ShardIterator"])["Records"]) == 1


def test_a_rate_is_kept(stream: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stream", stream, "--count", "150", "--rate", "100"]) == 0
    assert 1.2 <= float(last_line(capsys)["seconds"]) < 30


def test_lines_of_a_file_are_put_byte_for_byte(aws: EmbeddedAws, stream: str, tmp_path: Path) -> None:
    lines = [b'{"event_uuid":"a"}', b' {"event_uuid" : "b"}\r', b"broken \xff line", b'{"event_uuid":"c"}']
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([*lines[:2], b"", *lines[2:]]))
    assert main(["--stream", stream, "--file", str(file)]) == 0
    assert data(aws, stream) == lines


def test_a_document_over_several_lines_is_one_event(aws: EmbeddedAws, stream: str, tmp_path: Path) -> None:
    event = b'{\n  "event_uuid": "a",\n  "event_name": "lesson:started"\n}'
    file = tmp_path / "event.json"
    file.write_bytes(event + b"\n")
    assert main(["--stream", stream, "--file", str(file)]) == 0
    assert data(aws, stream) == [event]


def test_a_broken_first_line_does_not_stop_the_others(aws: EmbeddedAws, stream: str, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"event_uuid":\n{"event_uuid":"b"}\n')
    assert main(["--stream", stream, "--file", str(file)]) == 0
    assert data(aws, stream) == [b'{"event_uuid":', b'{"event_uuid":"b"}']


def test_events_come_from_stdin_too(aws: EmbeddedAws, stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"event_uuid":"a"}\n{"event_uuid":"b"}')))
    assert main(["--stream", stream, "--file", "-"]) == 0
    assert data(aws, stream) == [b'{"event_uuid":"a"}', b'{"event_uuid":"b"}']


def test_a_missing_stream_is_created_when_asked_and_one_that_exists_is_left_alone(
    aws: EmbeddedAws, stream: str, capsys: pytest.CaptureFixture[str]
) -> None:
    new = f"{stream}-new"
    for shards in ("3", "2"):
        assert main(["--stream", new, "--create-shards", shards, "--count", "10"]) == 0
    assert len(aws.client("kinesis").list_shards(StreamName=new)["Shards"]) == 3
    assert len(records(aws, new)) == 20


def test_a_missing_stream_is_said_with_what_to_do(stream: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stream", "no-such-stream", "--count", "10"]) == 2
    shown = capsys.readouterr()
    assert "stream no-such-stream was not found" in shown.err
    assert "--create-shards" in shown.err
    assert "put=0" in shown.out


def test_a_stream_can_be_named_by_its_arn_which_tells_the_region(
    aws: EmbeddedAws, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    arn = aws.client("kinesis").describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    assert main(["--stream", arn, "--count", "10"]) == 0
    assert len(records(aws, stream)) == 10


def test_missing_credentials_are_said_with_what_to_do(
    stream: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert main(["--stream", stream, "--count", "10"]) == 2
    assert "AWS_PROFILE" in capsys.readouterr().err


def test_a_missing_region_is_said_with_what_to_do(
    stream: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert main(["--stream", stream, "--count", "10"]) == 2
    assert "--region" in capsys.readouterr().err


def test_a_missing_file_is_said(stream: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stream", stream, "--file", "no-such-file"]) == 2
    assert "cannot read no-such-file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [["--count", "0"], ["--rate", "0"], ["--broken", "1.5"], ["--broken", "0.6", "--duplicates", "0.6"]]
)
def test_wrong_arguments_end_with_2(stream: str, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--stream", stream, *wrong])
    assert ended.value.code == 2


def test_batches_keep_the_limits_of_put_records_and_the_order() -> None:
    puts = [Put(bytes(1_000_000 if place % 7 == 0 else 300), f"key-{place}") for place in range(2_000)]
    made = list(batches(puts))
    assert [put for batch in made for put in batch] == puts
    for batch in made:
        assert len(batch) <= 500
        assert sum(len(put.data) + len(put.partition_key) for put in batch) <= BATCH_BYTES


class Refusing:
    """Takes the first `takes` records of each call, and no more than `calls` calls' worth; remembers what it took."""

    def __init__(self, takes: int, calls: int = 1000) -> None:
        self.takes, self.calls = takes, calls
        self.taken: list[bytes] = []

    def put_records(self, Records: list[dict[str, Any]], **stream: str) -> dict[str, Any]:
        self.calls -= 1
        takes = self.takes if self.calls >= 0 else 0
        self.taken += [record["Data"] for record in Records[:takes]]
        refusal = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"}
        return {"Records": [{"SequenceNumber": "1"} if place < takes else refusal for place in range(len(Records))]}


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(put_records, "PAUSE_SECONDS", 0.0)


def test_only_what_was_refused_is_put_again_and_in_order(no_pause: None) -> None:
    kinesis, totals = Refusing(takes=3), Totals()
    puts = [Put(b"%d" % place, "key") for place in range(20)]
    deliver(kinesis, {"StreamName": "s"}, puts, totals)  # type: ignore[arg-type]
    assert kinesis.taken == [put.data for put in puts]
    assert (totals.put, totals.failed) == (20, 0)
    assert totals.sent_again == 17 + 14 + 11 + 8 + 5 + 2


def test_refusal_without_end_is_given_up_and_counted(no_pause: None) -> None:
    kinesis, totals = Refusing(takes=3, calls=2), Totals()
    with pytest.raises(NotAccepted, match="14 records were refused 12 times in a row, with Provisioned"):
        deliver(kinesis, {"StreamName": "s"}, [Put(b"x", "key")] * 20, totals)  # type: ignore[arg-type]
    assert (totals.put, totals.failed) == (6, 14)


def test_an_address_where_nobody_answers_ends_with_1(stream: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stream", stream, "--endpoint-url", "http://127.0.0.1:9", "--count", "10"]) == 1
    shown = capsys.readouterr()
    assert "127.0.0.1:9" in shown.err
    assert "put=0 failed=10" in shown.out


def test_the_embedded_aws_leaves_no_process_and_no_file_behind() -> None:
    started = []

    def fail_inside() -> None:
        with EmbeddedAws() as aws:
            assert aws._process is not None
            assert aws._folder is not None
            started.append((aws._process, Path(aws._folder.name)))
            assert started[0][1].is_dir()
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail_inside()
    process, folder = started[0]
    assert process.poll() is not None
    assert not folder.exists()
