"""The index's files as Python workers reach them, on a file system and in S3 (a real protocol server)."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded_aws import EmbeddedAws
from event_lake.deduplicate.folder import UNFINISHED, Folder
from event_lake.errors import ConfigError, DataLossError


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with EmbeddedAws() as server:
        server.client("s3").create_bucket(Bucket="lake")
        yield server


@pytest.fixture
def in_s3(aws: EmbeddedAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Folder(
        f"s3a://lake/{tmp_path.name}/seen", endpoint_url=aws.endpoint_url, region="us-east-1", path_style=True
    )


def on_disk(folder: Path) -> Folder:
    return Folder((folder / "a folder with spaces").as_uri())


def test_what_was_written_is_read_back_by_another_process_from_a_plain_folder(tmp_path: Path) -> None:
    folder = on_disk(tmp_path)
    folder.write("one.arrow", b"contents")
    again = pickle.loads(pickle.dumps(folder))
    assert again.local("one.arrow").read_bytes() == b"contents"
    folder.write("one.arrow", b"contents")  # a task that ran twice
    assert [path.name for path in (tmp_path / "a folder with spaces").iterdir()] == ["one.arrow"]
    again.keep_copies_of(set())
    assert again.local("one.arrow").read_bytes() == b"contents", "the file itself is no copy"


def test_a_file_in_s3_is_fetched_once_and_its_copy_dropped_when_it_is_not_needed(
    in_s3: Folder, aws: EmbeddedAws
) -> None:
    in_s3.write("one.arrow", b"contents")
    in_s3.write("two.arrow", b"others")
    copy = in_s3.local("one.arrow")
    assert copy.read_bytes() == b"contents"
    made = copy.stat().st_mtime_ns
    assert in_s3.local("one.arrow").stat().st_mtime_ns == made
    unfinished = copy.with_name(f"{UNFINISHED}x")
    unfinished.touch()
    in_s3.local("two.arrow")
    in_s3.keep_copies_of({"two.arrow"})
    assert sorted(path.name for path in copy.parent.iterdir()) == [unfinished.name, "two.arrow"]
    assert in_s3.local("one.arrow").read_bytes() == b"contents"
    key = f"{in_s3.url.removeprefix('s3a://lake/')}/one.arrow"
    assert aws.client("s3").get_object(Bucket="lake", Key=key)["Body"].read() == b"contents"


def test_copies_of_two_lakes_on_one_machine_are_kept_apart(in_s3: Folder) -> None:
    other = Folder(f"{in_s3.url}-2", endpoint_url=in_s3.endpoint_url, region="us-east-1", path_style=True)
    in_s3.write("one.arrow", b"one")
    other.write("one.arrow", b"other")
    assert (in_s3.local("one.arrow").read_bytes(), other.local("one.arrow").read_bytes()) == (b"one", b"other")
    in_s3.keep_copies_of(set())
    assert other.place("one.arrow").exists()


@pytest.mark.parametrize("where", ["disk", "s3"])
def test_a_file_that_is_gone_is_named_as_a_loss(where: str, in_s3: Folder, tmp_path: Path) -> None:
    folder = in_s3 if where == "s3" else on_disk(tmp_path)
    with pytest.raises(DataLossError, match=r"gone.arrow is gone, and with it the keys of events"):
        folder.local("gone.arrow")


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    folder = on_disk(tmp_path)
    with pytest.raises(TypeError):
        folder.write("one.arrow", "text is not bytes")
    assert os.listdir(tmp_path / "a folder with spaces") == []


def test_where_python_cannot_reach_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"hdfs://namenode/checkpoint.*S3 and on plain file systems.*dedup.engine"):
        Folder("hdfs://namenode/checkpoint").check()
