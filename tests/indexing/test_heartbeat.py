import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from image_embeddings.documents import ModelInfo
from image_embeddings.errors import IndexMissingError, UnreachableError
from image_embeddings.es.image_index import IndexState
from image_embeddings.indexing.heartbeat import NOTE_SECONDS, Heartbeat, NoteTimes
from image_embeddings.indexing.report import RunCounts
from tests.waiting import LONG

STATE = IndexState(backing_index="photos-1", model=ModelInfo(model_id="m", dims=2, preprocessing="p", probe=(1.0,)))


class NotedIndex:
    """An index that keeps what is noted in it."""

    def __init__(self):
        self.notes, self.exists, self.error = [], True, None

    def note_progress(self, state, indexing):
        self.check_exists()
        if self.error:
            raise self.error
        self.notes.append(indexing)

    def check_exists(self):
        if not self.exists:
            raise IndexMissingError("gone")


@pytest.fixture
def clock():
    return [1000.0]


@pytest.fixture
def index():
    return NotedIndex()


@pytest.fixture
def beats(index, clock):
    return Heartbeat(index, state=STATE, counts=RunCounts(found=5), clock=lambda: clock[0])


def test_the_first_write_is_noted_and_further_ones_each_ten_seconds(beats, index, clock):
    for _ in range(25):
        beats.beat()
        clock[0] += 1
    assert len(index.notes) == 3
    assert {note["total"] for note in index.notes} == {5}


def test_the_end_of_a_stopped_run_is_noted_at_once(beats, index):
    beats.beat()
    beats.beat(stopped=True)
    assert [note["stopped"] for note in index.notes] == [False, True]


def test_before_each_write_the_index_is_looked_for(beats, index, clock):
    beats.beat()
    clock[0] += NOTE_SECONDS / 2
    index.exists = False
    with pytest.raises(IndexMissingError):
        beats.beat()


def test_a_note_that_failed_is_made_by_the_next_try(beats, index):
    index.error = UnreachableError("away")
    with pytest.raises(UnreachableError):
        beats.beat()
    index.error = None
    beats.beat()
    assert len(index.notes) == 1


def test_the_lock_is_checked_before_each_write(index, clock):
    checks = []
    beats = Heartbeat(index, state=STATE, counts=RunCounts(found=5), check_lock=lambda: checks.append(1))
    for _ in range(3):
        beats.beat()
    assert len(checks) == 3


def test_threads_do_not_wait_for_the_one_that_notes():
    times, called = NoteTimes(), []

    def note():
        called.append(times.call_if_due(lambda: called.append("another")))

    assert times.call_if_due(note)
    assert called == [False]


def test_what_must_be_noted_now_waits_for_the_one_that_notes():
    times, order, under_way, may_end = NoteTimes(), [], threading.Event(), threading.Event()

    def note():
        under_way.set()
        assert may_end.wait(LONG)
        order.append("first")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(times.call_if_due, note)
        assert under_way.wait(LONG)
        last = pool.submit(times.call_if_due, lambda: order.append("last"), now=True)
        may_end.set()
        assert (first.result(), last.result(), order) == (True, True, ["first", "last"])
