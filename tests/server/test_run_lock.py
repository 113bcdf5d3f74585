"""Two machines never index into one index at a time."""

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import CorpusError, IndexBusyError, UnreachableError
from image_embeddings.es import run_lock
from image_embeddings.es.connection import connect
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.retries import patiently
from image_embeddings.es.run_lock import RunLock
from image_embeddings.indexing import locks, rebuilds, runs
from tests.fakes import RecordedProgress
from tests.faulty_front import answer_cut, faulty_front
from tests.waiting import wait_for

pytestmark = pytest.mark.server

HERE, THERE = {"host": "here", "pid": 1}, {"host": "there", "pid": 22}


@pytest.fixture
def lock(cluster, name):
    """Makes a lock of the same index."""

    def make(owner=HERE, **options):
        return RunLock(cluster, name=name, owner=owner, **options)

    return make


@pytest.fixture
def clock(monkeypatch):
    """The clock of Elasticsearch and of this machine, which moves when it is told to."""
    clock = SimpleNamespace(seconds=1_700_000_000)
    monkeypatch.setattr(RunLock, "_now", lambda lock: clock.seconds)
    monkeypatch.setattr(run_lock, "time", SimpleNamespace(monotonic=lambda: float(clock.seconds)))
    return clock


def is_taken(lock):
    try:
        patiently(lock.acquire)  # the first ones make the index, and each other's refusals pass
    except IndexBusyError:
        return False
    return True


def test_a_lock_that_is_held_names_its_owner(lock):
    lock(THERE).acquire()
    with pytest.raises(IndexBusyError, match=r"process 22 on there, since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"):
        lock().acquire()


def test_a_released_lock_is_free(lock):
    first, second = lock(), lock(THERE)
    first.acquire()
    first.release()
    second.acquire()
    with pytest.raises(IndexBusyError):
        first.acquire()


def test_each_holder_has_a_higher_number(cluster, name, lock):
    for number in (1, 2, 3):
        held = lock()
        held.acquire()
        held.renew()
        assert cluster.client.get(index=f"{name}-runs", id="lock")["_source"]["number"] == number
        held.release()


def test_a_lock_that_was_released_and_taken_again_keeps_others_out(lock):
    mine = lock()
    for _ in range(2):
        mine.acquire()
        assert not is_taken(lock(THERE))
        mine.release()
    assert is_taken(lock(THERE))


def test_one_of_many_gets_the_lock(lock):
    locks_ = [lock({"host": "many", "pid": number}) for number in range(8)]
    start = threading.Barrier(len(locks_))

    def take(each):
        start.wait()
        return is_taken(each)

    with ThreadPoolExecutor(len(locks_)) as pool:
        assert sum(pool.map(take, locks_)) == 1


def test_a_lock_that_is_not_renewed_is_taken_over_and_its_holder_learns_that(lock, clock):
    first, second = lock(), lock(THERE)
    first.acquire()
    clock.seconds += run_lock.LEASE_SECONDS - 1
    assert not is_taken(second)
    clock.seconds += 1
    assert is_taken(second)
    with pytest.raises(IndexBusyError, match="22 on there"):
        first.renew()
    first.release()
    second.renew()


def test_a_lock_that_is_renewed_is_kept(lock, clock):
    first, second = lock(), lock(THERE)
    first.acquire()
    for _ in range(20):
        clock.seconds += run_lock.LEASE_SECONDS - 1
        first.check()
        assert not is_taken(second)


def test_the_time_of_a_lock_is_that_of_elasticsearch(cluster, lock):
    assert abs(lock()._now() - time.time()) < 60  # it runs on this machine


def test_nobody_waits_for_an_owner_that_has_ended(lock):
    lock(THERE).acquire()
    lock(has_ended=lambda owner: owner == THERE).acquire()


def test_an_answer_that_is_lost_is_no_foreign_lock(elasticsearch_url, name):
    with faulty_front(elasticsearch_url) as front, closing(connect([front.url])) as cluster:
        mine = RunLock(cluster, name=name, owner=HERE)
        orders = [front.order(answer_cut, path="*/_doc/lock", after=1, times=1)]
        mine.acquire()
        orders.append(front.order(answer_cut, path="*/_doc/lock", times=1))
        mine.renew()
        assert [order.hits for order in orders] == [1, 1]


def test_the_index_of_locks_is_hidden(cluster, name, lock):
    lock().acquire()
    assert f"{name}-runs" not in cluster.client.indices.get(index=f"{name}*")


# In runs


@pytest.fixture
def settings(elasticsearch_url, name, photos, tmp_path, networks):
    data = tmp_path / "data"
    data.mkdir()
    (data / "networks").symlink_to(networks)
    environ = {"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "IMAGE_DIR": str(photos), "DATA_DIR": str(data)}
    return load_settings({**environ, "IMAGE_MODEL": "conse"})


def run(settings, **choices):
    return runs.index_photos(settings, progress=RecordedProgress, **choices)


def test_a_run_waits_for_no_other_and_holds_the_lock_only_while_it_runs(settings, lock):
    other = lock(THERE)
    other.acquire()
    for start in (run, rebuilds.discard_rebuild):
        with pytest.raises(IndexBusyError, match="22 on there"):
            start(settings)
    other.release()
    assert run(settings).encoded == 6
    other.acquire()


def test_a_run_that_fails_releases_the_lock(settings, lock):
    (settings.image_dir / "empty").mkdir()
    with pytest.raises(CorpusError):
        run(settings, folder=settings.image_dir / "empty")
    lock().acquire()


def test_a_run_ends_if_another_takes_its_lock(settings, lock, monkeypatch):
    monkeypatch.setattr(run_lock, "LEASE_SECONDS", 0)  # others may take it at any moment, and it is renewed each time
    other = lock(THERE)

    class Stolen(RecordedProgress):
        def __init__(self, total=0):
            super().__init__(total)
            other.acquire()

    with pytest.raises(IndexBusyError, match="22 on there"):
        runs.index_photos(settings, progress=Stolen)


def test_a_lock_that_could_not_be_released_does_not_hold_up_the_next_run_of_this_process(
    settings, cluster, name, monkeypatch
):
    def fail(lock):
        raise UnreachableError("away")

    index = ImageIndex(cluster, name=name)
    with monkeypatch.context() as patched:
        patched.setattr(run_lock.RunLock, "release", fail)
        with locks.lock_index(settings, index):
            pass
    with (
        locks.lock_index(settings, index),
        pytest.raises(IndexBusyError, match="Another run"),
        locks.lock_index(settings, index),
    ):
        pass


def test_the_lock_is_renewed_while_a_run_goes_on(cluster, settings, name, monkeypatch):
    monkeypatch.setattr(locks, "RENEW_SECONDS", 0.01)

    def version():
        return cluster.client.get(index=f"{name}-runs", id="lock")["_version"]

    with locks.lock_index(settings, ImageIndex(cluster, name=name)):
        first = version()
        wait_for(lambda: version() > first + 2)


def test_the_embedded_node_needs_no_such_lock(settings):
    with locks.lock_index(dataclasses.replace(settings, es_host=None), None) as check:
        check()


def test_only_processes_of_this_machine_are_known_to_have_ended():
    with locks._run_under_way() as mine:
        assert not locks.has_ended(mine)
    assert locks.has_ended(mine)
    assert locks.has_ended({**mine, "started": mine["started"] - 60})
    assert locks.has_ended({**mine, "pid": 2**22 + 1})
    assert not locks.has_ended({**mine, "pid": 2**22 + 1, "place": "elsewhere"})
