"""What scripts/build makes: the same bytes twice, nothing left out, and a job that runs where nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lake import ROOT, LakeHouse, event, uuids

sys.path.insert(0, str(ROOT / "scripts" / "lib"))
from deploy.completeness import check_complete
from deploy.environment import pack_environment
from deploy.errors import BuildError
from deploy.modules import OWN, entry_files, zipped_modules
from deploy.release import MODULES
from deploy.wheels import NOT_PACKED, pins, write_glue_wheels
from embedded_aws import EmbeddedAws
from packed_cluster import PackedCluster

PROVIDED = {"boto3", "botocore", "numpy", "orjson", "pandas", "pyarrow", "urllib3"}


def build(dist: Path, umask: int = 0o022, **variables: str) -> dict[str, bytes]:
    command = [str(ROOT / "scripts" / "build"), "--pure", "--dist", str(dist)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | variables, umask=umask)
    return {file.name: file.read_bytes() for file in dist.iterdir()}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build(folder)
    return folder


def test_the_packed_job_drains_a_stream_on_a_cluster_that_knows_nothing_of_the_project(
    house: LakeHouse, dist: Path
) -> None:
    for number in range(50):
        house.server.put("events", event(number % 40), partition_key=str(number))
    house.server.put("events", b"broken", partition_key="b")
    configuration = "".join(f'{key} = "{value}"\n' for key, value in house.settings.items()) + "dedup.buckets = 2\n"
    with EmbeddedAws() as aws:
        aws.client("s3").create_bucket(Bucket="conf")
        aws.client("s3").put_object(Bucket="conf", Key="job.toml", Body=configuration.encode())
        cluster = PackedCluster(house.folder, dist, aws)
        # Glue hands its own arguments on; --conf must not be taken for --config.
        with cluster.submit("--config", "s3a://conf/job.toml", "--until-caught-up", "--conf", "spark.x=y") as job:
            assert job.wait() == 0, job.output()
    assert "received=51 stored=40 duplicates=10 quarantined=1 late_dropped=0" in job.output()
    assert house.uuids() == uuids(range(40))
    assert [row["data"] for row in house.quarantine()] == [b"broken"]
    assert len(list(cluster.spark_home.glob("work/*/[01]/event-lake.zip"))) == 2


def test_the_same_sources_make_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    first = {file.name: file.read_bytes() for file in dist.iterdir()}
    assert build(tmp_path / "again", umask=0o077, TZ="Asia/Tokyo", PYTHONHASHSEED="7") == first
    later = build(tmp_path / "later", SOURCE_DATE_EPOCH="1795705200")
    assert later[MODULES] != first[MODULES]


def test_the_same_packages_make_the_same_environment(tmp_path: Path) -> None:
    made = []
    for number, names in enumerate([("a.py", "b.so", "c/d.py"), ("c/d.py", "b.so", "a.py")]):
        packages, work = tmp_path / f"packages{number}", tmp_path / f"work{number}"
        work.mkdir()
        for name in names:
            (packages / name).parent.mkdir(parents=True, exist_ok=True)
            (packages / name).write_text(name)
            os.utime(packages / name, (number, number))
            (packages / name).chmod(0o600 if number else 0o755)
        target = tmp_path / f"{number}.tar.gz"
        made.append((pack_environment(packages, "/usr/bin/python3.11", target, work), target.read_bytes()))
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("left_out", "needed_by"),
    [
        ("event_lake/verdict.py", "event_lake/parse.py"),
        ("kinesis_source/crew.py", "kinesis_source/"),
        ("event_lake/session.py", "event_lake/job.py"),
        ("event_lake/audit/audit.py", "event_lake/audit/__init__.py"),
        ("fastjsonschema/__init__.py", "event_lake/contracts/"),
        ("prometheus_client/registry.py", "event_lake/telemetry/exposition.py"),
    ],
)
def test_a_module_that_is_left_out_is_named_with_who_needs_it(left_out: str, needed_by: str) -> None:
    modules = zipped_modules()
    del modules[left_out]
    with pytest.raises(BuildError) as refused:
        check_complete(modules, entry_files(), PROVIDED)
    module = left_out.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert any(needed_by in line and module in line for line in str(refused.value).splitlines()[1:])


def test_a_package_that_neither_zip_nor_environment_has_is_named() -> None:
    with pytest.raises(BuildError, match=r"event_lake/good_events\.py imports orjson"):
        check_complete(zipped_modules(), entry_files(), PROVIDED - {"orjson"})
    check_complete(zipped_modules(), entry_files(), PROVIDED)


def test_native_packages_are_refused_in_the_zip_and_the_clusters_own_in_the_environment(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"orjson is native"):
        zipped_modules(others=("orjson",))
    (tmp_path / "packages" / "pyspark").mkdir(parents=True)
    with pytest.raises(BuildError, match="pyspark is in the environment"):
        pack_environment(tmp_path / "packages", "/usr/bin/python3.11", tmp_path / "e.tar.gz", tmp_path)


def test_every_pinned_package_is_in_the_environment_or_said_not_to_be() -> None:
    assert set(pins()) >= NOT_PACKED
    assert {"orjson", "pyarrow", "boto3"} <= set(pins()) - NOT_PACKED


def test_the_wheel_holds_the_modules_that_the_zip_holds(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        in_wheel = {name: opened.read(name) for name in opened.namelist() if ".dist-info/" not in name}
    with zipfile.ZipFile(dist / MODULES) as opened:
        in_zip = {name: opened.read(name) for name in opened.namelist()}
    assert in_wheel == {name: text for name, text in in_zip.items() if name.split("/")[0] in OWN}


def test_glue_is_told_each_wheel_by_name_and_version(dist: Path, tmp_path: Path) -> None:
    target = tmp_path / "event-lake.gluewheels.zip"
    write_glue_wheels(target, list(dist.glob("*.whl")))
    with zipfile.ZipFile(target) as opened:
        assert opened.namelist() == ["wheels/event_lake-0.1.0-py3-none-any.whl", "wheels/requirements.txt"]
        assert opened.read("wheels/requirements.txt") == b"event-lake==0.1.0\n"


def test_the_listing_names_every_file_and_module(dist: Path) -> None:
    listing = (dist / "CONTENTS.txt").read_text()
    named = {line.split()[-1] for line in listing.splitlines()}
    assert {file.name for file in dist.iterdir()} - named == {"CONTENTS.txt"}
    assert {"event_lake/pipeline.py", "kinesis_source/reader.py", "fastjsonschema/draft07.py"} <= named
