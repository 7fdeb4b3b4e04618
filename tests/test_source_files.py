"""source.kind = "files": each document in a line, or a file, is a record, byte for byte, with a name of its own."""

from __future__ import annotations

import gzip
import os
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

from event_lake.archives import raw_files
from event_lake.config_file import read_config
from event_lake.schema import RAW_RECORD
from records import event_bytes, rows

Rows = list[dict[str, Any]]


class FilesQuery:
    """Reads a folder of files as the job does, and collects each micro-batch."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self._spark = spark
        self._folder = folder
        self.input = folder / "input"
        self.input.mkdir()
        self.settings = {"source.path": self.input.as_uri()}
        self.batches: list[Rows] = []

    def write(self, name: str, content: bytes) -> Path:
        """Lets the file appear in one step, as a source of files demands."""
        hidden = self._folder / "being-written"
        hidden.write_bytes(content)
        target = self.input / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return hidden.rename(target)

    def run(self, interrupted: bool = False) -> Rows:
        """The records of all files that no finished run has read; interrupted, the run does not finish."""
        before = len(self.batches)

        def collect(batch: DataFrame, _: int) -> None:
            self.batches.append(rows(batch))
            if interrupted:
                raise RuntimeError("interrupted")

        places = {"lake.path": "e", "lake.quarantine_path": "q", "checkpoint.path": "c"}
        settings = {"source.kind": "files", **places, **self.settings}
        raw = raw_files(self._spark, read_config("", [f"{key}={value}" for key, value in settings.items()]).source)
        assert raw.schema == RAW_RECORD
        query = raw.writeStream.foreachBatch(collect).option("checkpointLocation", str(self._folder / "checkpoint"))
        query.trigger(availableNow=True).start().awaitTermination()
        return [row for batch in self.batches[before:] for row in batch]


@pytest.fixture
def files(spark: SparkSession, tmp_path: Path) -> FilesQuery:
    return FilesQuery(spark, tmp_path)


def lines_by_name(found: Rows) -> dict[str, bytes]:
    """Data by identifier; says that no identifier is there twice."""
    by_name = {unquote(row["sequenceNumber"]): row["data"] for row in found}
    assert len(by_name) == len(found)
    return by_name


def test_each_line_is_a_record_named_by_path_and_line(files: FilesQuery) -> None:
    one = files.write("one.json", event_bytes() + b"\n" + event_bytes() + b"\n")
    two = files.write("2026/11/two.jsonl", event_bytes(event_uuid="two"))
    os.utime(two, (1_700_000_000.25, 1_700_000_000.25))
    found = files.run()
    assert lines_by_name(found) == {
        f"file:{one}:1": event_bytes(),
        f"file:{one}:2": event_bytes(),
        f"file:{two}:1": event_bytes(event_uuid="two"),
    }
    (row,) = [row for row in found if row["data"] == event_bytes(event_uuid="two")]
    assert row["approximateArrivalTimestamp"] == datetime.fromtimestamp(1_700_000_000.25, UTC)
    assert (row["shardId"], row["subSequenceNumber"], row["streamName"], row["partitionKey"]) == (None, 0, None, None)


def test_lines_come_out_byte_for_byte(files: FilesQuery) -> None:
    odd: dict[str, list[bytes]] = {
        "not utf-8": [b'{"title":"\xff\xfe"}', b"\xc0\xaf", b"caf\xe9", bytes(range(256)).replace(b"\n", b""), b"last"],
        "übung #1%": ["Übung \N{ROCKET}".encode(), "été".encode("utf-16-le"), b"\x00", b"\x00\x00"],
        "line ends": [b"windows\r", b"\r", b"a\rb", b"\x0b\x0c\x1c\x85\xe2\x80\xa8", b"trailing blank "],
        "empty, long": [b"", b"", b"after empty lines", b"", b"x" * 3_000_000, b"", b"last"],
        "marks": [b"first", b"\xef\xbb\xbf" + event_bytes(), b"\xef\xbb\xbf"],
    }
    expected: dict[str, bytes] = {}
    for name, lines in odd.items():
        path = files.write(name, b"\n".join(lines))
        expected |= {f"file:{path}:{number}": line for number, line in enumerate(lines, start=1)}
    assert lines_by_name(files.run()) == expected


def test_a_byte_order_mark_marks_the_file_and_is_no_part_of_its_first_line(files: FilesQuery) -> None:
    path = files.write("bom.json", b"\xef\xbb\xbf" + event_bytes() + b"\n" + event_bytes())
    assert lines_by_name(files.run()) == {f"file:{path}:1": event_bytes(), f"file:{path}:2": event_bytes()}


def test_an_empty_file_has_no_records_and_a_single_line_end_has_one(files: FilesQuery) -> None:
    files.write("empty.json", b"")
    line_end = files.write("line-end.json", b"\n")
    assert lines_by_name(files.run()) == {f"file:{line_end}:1": b""}


def test_of_a_file_that_is_read_in_pieces_no_line_is_lost_or_named_twice(files: FilesQuery) -> None:
    chance = random.Random(7)
    lines = [b"%d %b" % (number, b"x" * chance.randrange(1500)) for number in range(16_000)]
    files.write("large.json", b"".join(line + b"\n" for line in lines))
    small = files.write("small.json", b"first\nsecond\n")
    found = files.run()
    assert Counter(row["data"] for row in found) == Counter([*lines, b"first", b"second"])
    by_name = lines_by_name(found)
    assert by_name[f"file:{small}:2"] == b"second"
    assert any("@" in name for name in by_name), "the file must have been read in pieces, else nothing was shown"
    numbers: dict[str, list[int]] = {}
    for name in by_name:
        piece, _, number = name.rpartition(":")
        numbers.setdefault(piece, []).append(int(number))
    # Counted anew in each piece, whatever else its task has read: a replay may deal the pieces otherwise.
    assert all(sorted(of_piece) == list(range(1, len(of_piece) + 1)) for of_piece in numbers.values())


def test_a_replay_gives_the_same_records_under_the_same_names(files: FilesQuery) -> None:
    for name in "abc":
        files.write(f"{name}.json", b"".join(b"%b %d\n" % (name.encode(), number) for number in range(1000)))
    with pytest.raises(StreamingQueryException, match="interrupted"):
        files.run(interrupted=True)
    files.write("later.json", b"later\n")
    files.run()
    first, again, rest = (lines_by_name(batch) for batch in files.batches)
    assert len(first) == 3000
    assert again == first
    assert list(rest.values()) == [b"later"]
    assert files.run() == []


def test_what_firehose_delivers_is_a_record_a_document_also_without_line_ends_and_packed(files: FilesQuery) -> None:
    events = [event_bytes(event_uuid=str(number), note="a}{b") for number in range(5)]
    joined = files.write("2026/11/27/00/stream-1-0", b"".join(events[:3]) + b"\n" + events[3])
    packed = files.write("2026/11/27/01/stream-1-1.gz", gzip.compress(b"".join(events) + b"\n"))
    pretty = files.write("2026/11/27/02/other", b"not from this hour")
    os.rename(pretty, pretty.with_name("_hidden"))
    files.settings = {"source.path": f"{files.input.as_uri()}/2026/1[12]/*/0[01]"}
    assert lines_by_name(files.run()) == {
        **{f"file:{joined}:1#{number}": events[number - 1] for number in (1, 2, 3)},
        f"file:{joined}:2": events[3],
        **{f"file:{packed}:1#{number}": events[number - 1] for number in range(1, 6)},
    }


def test_in_the_layout_whole_a_file_is_a_record_as_it_is_and_several_documents_are_several(files: FilesQuery) -> None:
    pretty = b'{\n  "event_uuid": "1",\n  "items": [\n    {\n    },\n    {\n    }\n  ]\n}\n'
    one = files.write("lesson/started/1.json", pretty)
    two = files.write("payment/order/2.json.gz", gzip.compress(pretty + pretty))
    files.settings |= {"source.layout": "whole"}
    assert lines_by_name(files.run()) == {
        f"file:{one}:1": pretty,
        f"file:{two}:1#1": pretty.strip(),
        f"file:{two}:1#2": pretty.strip(),
    }


def test_files_that_come_later_and_are_months_older_are_read_all_the_same(files: FilesQuery) -> None:
    files.write("new.json", b"new")
    assert len(files.run()) == 1
    os.utime(files.write("old.json", b"old"), (1_600_000_000, 1_600_000_000))
    assert [row["data"] for row in files.run()] == [b"old"]
