"""One driver at a time: real processes that race for a lease, stand still and are killed, on files and in S3."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embedded_aws import EmbeddedAws
from event_lake.errors import ConfigError, LeaseError
from event_lake.lease import Lease
from event_lake.lease_store import HadoopStore, LeaseStore, PlainStore, S3Store, store_at
from event_lake.s3_client import s3_client
from event_lake.storage import Storage
from lake import until
from lease_process import TURNS, store_of

TESTS = Path(__file__).parent
SECONDS = 0.6
RACERS = 4


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with EmbeddedAws() as server:
        server.client("s3").create_bucket(Bucket="lake")
        yield server


class Drivers:
    """Processes that want one lease, and the journal that they write."""

    def __init__(self, url: str, folder: Path, environment: dict[str, str]) -> None:
        self.url = url
        self.journal = folder / "journal"
        self._environment = {**os.environ, **environment, "PYTHONPATH": f"{TESTS.parent / 'jobs'}:{TESTS}"}
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, mode: str, seconds: float = SECONDS) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(TESTS / "lease_process.py"), self.url, str(seconds), str(self.journal), mode]
        process = subprocess.Popen(command, env=self._environment, stderr=subprocess.DEVNULL)
        self._processes.append(process)
        return process

    def lines(self) -> list[tuple[str, int]]:
        text = self.journal.read_text() if self.journal.exists() else ""
        return [(word, int(pid)) for word, pid in (line.split() for line in text.splitlines())]

    def count(self, word: str, process: subprocess.Popen[bytes]) -> int:
        return self.lines().count((word, process.pid))

    def sign_of_life(self) -> str | None:
        return store_of(self.url).read("0000000001.beat")

    def end(self) -> None:
        for process in self._processes:
            process.kill()  # a stopped one, too
            process.wait()


@pytest.fixture(params=["files", "s3"])
def drivers(request: pytest.FixtureRequest, tmp_path: Path, aws: EmbeddedAws) -> Iterator[Drivers]:
    in_s3 = f"s3://lake/{tmp_path.name}?{aws.endpoint_url}"
    made = Drivers(str(tmp_path / "lease") if request.param == "files" else in_s3, tmp_path, aws.environment())
    yield made
    made.end()


def test_of_drivers_that_race_for_the_lease_again_and_again_one_has_it_at_a_time(drivers: Drivers) -> None:
    racers = [drivers.start("turns", seconds=60) for _ in range(RACERS)]
    assert [racer.wait(120) for racer in racers] == [0] * RACERS
    lines = drivers.lines()
    assert len(lines) == 2 * RACERS * TURNS
    for (first, one), (second, other) in zip(lines[::2], lines[1::2], strict=True):
        assert (first, second, one) == ("begin", "end", other)


def test_a_killed_driver_is_followed_once_it_has_been_silent_for_the_lease_time(drivers: Drivers) -> None:
    seconds = 2.0  # longer than this machine may keep a living driver's thread waiting
    killed = drivers.start("hold", seconds)
    until(lambda: drivers.count("commit", killed))
    next_one = drivers.start("hold", seconds)
    until(lambda: drivers.count("waits", next_one))
    began, former = time.monotonic(), drivers.sign_of_life()
    until(lambda: drivers.sign_of_life() != former)  # so the last sign of life was given after `began`
    killed.kill()
    until(lambda: drivers.count("held", next_one))
    assert time.monotonic() - began >= seconds


def test_a_driver_that_stood_still_for_longer_than_the_lease_time_commits_nothing_more(drivers: Drivers) -> None:
    stopped = drivers.start("hold")
    until(lambda: drivers.count("commit", stopped))
    next_one = drivers.start("hold")
    stopped.send_signal(signal.SIGSTOP)
    until(lambda: drivers.count("commit", next_one) > 3)
    committed = drivers.count("commit", stopped)
    stopped.send_signal(signal.SIGCONT)
    until(lambda: drivers.count("lost", stopped))
    # It may have been stopped between a look and its commit, as any driver; not in front of a second one.
    assert drivers.count("commit", stopped) <= committed + 1
    assert stopped.wait(30) == 0
    assert not drivers.count("lost", next_one)


# Within one process


@pytest.fixture
def folder(tmp_path: Path) -> PlainStore:
    return PlainStore(tmp_path / "events_lease")


class Clock:
    """A monotonic clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lease(store: LeaseStore, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> Lease:
    return Lease(store, "events_lease", seconds, 0.01, clock=clock)


def held(store: LeaseStore, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> Lease:
    taken = lease(store, seconds, clock)
    assert taken.acquire(lambda: False)
    return taken


def at_once() -> Callable[[], bool]:
    """For `acquire`: asked to stop after the first look."""
    answers = iter([False])
    return lambda: next(answers, True)


def test_a_lease_is_handed_over_at_once_where_its_holder_ends(folder: PlainStore) -> None:
    with held(folder, 60) as one:
        assert not lease(folder, 60).acquire(at_once())
    began = time.monotonic()
    held(folder, 60)
    assert time.monotonic() - began < 5
    with pytest.raises(LeaseError, match="does not hold the lease"):
        one.check()


def test_one_that_waits_ends_when_it_is_asked_to_and_says_who_holds_the_lease(
    folder: PlainStore, caplog: pytest.LogCaptureFixture
) -> None:
    asked = threading.Event()
    held(folder, 60)
    with caplog.at_level("INFO", logger="event_lake.lease"):
        waiting = threading.Thread(target=lease(folder, 60).acquire, args=[asked.is_set])
        waiting.start()
        until(lambda: any("waiting for=lease" in line for line in caplog.messages))
    assert any(f"pid={os.getpid()} since=20" in line for line in caplog.messages)
    asked.set()
    waiting.join(10)
    assert not waiting.is_alive()


def test_one_that_waits_takes_the_lease_when_its_holder_has_been_silent_for_all_of_its_time_and_not_before(
    folder: PlainStore,
) -> None:
    clock = Clock()
    holder, waiting = held(folder, 10, clock), lease(folder, 10, clock)
    for _ in range(5):
        assert not waiting.acquire(at_once())  # sees a new sign of life
        clock.now += 6
        assert not waiting.acquire(at_once())
        clock.now += 6
        holder.check()
    assert not waiting.acquire(at_once())
    clock.now += 9
    assert not waiting.acquire(at_once())
    clock.now += 1
    assert waiting.acquire(at_once())
    with pytest.raises(LeaseError, match="does not hold the lease"):
        holder.check()


def test_a_driver_that_stood_still_goes_on_where_nobody_has_taken_the_lease(folder: PlainStore) -> None:
    clock = Clock()
    alone = held(folder, clock=clock)  # and no thread renews it
    clock.now += 2 * SECONDS
    alone.check()
    assert folder.read("0000000001.beat") == "2", "renewed before the look, since it was due"
    clock.now += SECONDS
    alone.check()
    assert folder.read("0000000001.beat") == "2"


def test_one_that_stands_still_while_it_looks_does_not_take_the_lease_of_a_living_holder(folder: PlainStore) -> None:
    class StandingStill(PlainStore):
        """The process stands still right after it has read a sign of life that it has seen before."""

        def read(self, name: str) -> str | None:
            found = super().read(name)
            if name.endswith(".beat"):
                clock.now += 1.5 * SECONDS if found in beats else 0.0
                beats.append(found)
            return found

    clock, beats = Clock(), list[str | None]()
    holder = held(folder, clock=clock)
    looks = iter([False] * 2)
    assert not lease(StandingStill(folder.folder), clock=clock).acquire(lambda: next(looks, True))
    assert beats == ["1", "1"]
    holder.check()


def test_one_that_stood_still_before_it_took_the_lease_sees_that_others_have_been_faster(folder: PlainStore) -> None:
    class Overtaken(PlainStore):
        def create(self, name: str, text: str) -> bool:
            if not others:
                for _ in range(2):  # the second one clears away what the first one leaves
                    others.append(held(folder, 60))
                    others[-1].release()
                others.append(held(folder, 60))
            return super().create(name, text)

    others: list[Lease] = []
    late = lease(Overtaken(folder.folder), 60)
    assert not late.acquire(at_once())
    with pytest.raises(LeaseError):
        late.check()
    others[-1].check()


def test_the_thread_that_renews_the_lease_tells_that_it_is_lost(folder: PlainStore) -> None:
    with held(folder) as one:
        one.check_known()
        assert folder.create("0000000002.holder", '{"host": "elsewhere", "pid": 7, "since": "2026-11-27"}')

        def told() -> bool:
            try:
                one.check_known()
            except LeaseError as error:
                return "held by host=elsewhere pid=7" in str(error)
            return False

        until(told, 10)


def test_a_driver_that_cannot_renew_its_lease_may_not_write(folder: PlainStore) -> None:
    class CutOff(PlainStore):
        def replace(self, name: str, text: str) -> None:
            if cut_off:
                raise ConnectionError("the network is gone")
            super().replace(name, text)

    clock, cut_off = Clock(), list[bool]()
    one = held(CutOff(folder.folder), clock=clock)
    cut_off.append(True)
    one.check()
    clock.now += 2 * SECONDS
    with pytest.raises(LeaseError, match=r"cannot be reached.*the network is gone"):
        one.check()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "events_lease").touch()
    with pytest.raises(LeaseError, match="cannot be reached"):
        lease(PlainStore(tmp_path / "events_lease")).acquire(lambda: False)


def test_a_store_that_lets_two_make_one_file_is_refused(folder: PlainStore) -> None:
    class Careless(PlainStore):
        def create(self, name: str, text: str) -> bool:
            self.folder.mkdir(exist_ok=True)
            self.replace(name, text)
            return True

    with pytest.raises(LeaseError, match="does not refuse to make a file that exists"):
        lease(Careless(folder.folder)).acquire(lambda: False)


def test_files_of_earlier_holders_do_not_pile_up(folder: PlainStore) -> None:
    for _ in range(5):
        with held(folder):
            pass
    assert folder.names() == ["0000000005.beat", "0000000005.holder"]


# The stores


@pytest.fixture(params=["plain", "s3", "hadoop"])
def store(request: pytest.FixtureRequest, storage: Storage, tmp_path: Path, aws: EmbeddedAws) -> LeaseStore:
    if request.param == "plain":
        return store_at((tmp_path / "a folder").as_uri(), storage)
    if request.param == "hadoop":
        return HadoopStore(storage, (tmp_path / "a folder").as_uri())
    return S3Store(s3_client(aws.endpoint_url, "us-east-1", path_style=True), "lake", f"{tmp_path.name}/a folder")


def test_a_file_is_made_once_replaced_read_and_deleted(store: LeaseStore) -> None:
    assert store.names() == []
    assert store.create("b.holder", "one")
    assert not store.create("b.holder", "two")
    assert store.read("b.holder") == "one"
    store.replace("a.beat", "1")
    store.replace("a.beat", "2")
    assert store.read("a.beat") == "2"
    assert [name for name in store.names() if not name.startswith(".")] == ["a.beat", "b.holder"]
    for _ in range(2):
        store.delete("a.beat")
    assert store.read("a.beat") is None
    assert store.create("a.beat", "3")


def test_a_request_that_boto3_repeats_is_not_taken_for_another_drivers(aws: EmbeddedAws, tmp_path: Path) -> None:
    store = S3Store(s3_client(aws.endpoint_url, "us-east-1", path_style=True), "lake", tmp_path.name)
    assert store.create("1.holder", "this driver")
    assert store.create("1.holder", "this driver"), "the answer to the first request was lost"


def test_where_the_lease_lies_follows_the_scheme(storage: Storage) -> None:
    assert isinstance(store_at("s3a://lake/events_lease", storage), S3Store)
    assert isinstance(store_at("s3://lake/events_lease", storage), S3Store)
    assert isinstance(store_at("file:/lake/events_lease", storage), PlainStore)
    assert isinstance(store_at("hdfs://namenode/lake/events_lease", storage), HadoopStore)
    with pytest.raises(ConfigError, match="a bucket, not a folder"):
        store_at("s3a://lake", storage)
