"""An array job: several processes index one source, each a part of it."""

import dataclasses
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from image_embeddings.config import load_settings
from image_embeddings.documents import PhotoMetadata
from image_embeddings.errors import IndexBusyError, IndexMissingError, SettingError
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.run_lock import RunLock
from image_embeddings.indexing import locks
from image_embeddings.indexing.runs import Indexing, RunChoices
from image_embeddings.indexing.share import Share
from tests.fakes import ColourEncoder, RecordedProgress
from tests.server import album
from tests.server.album import contents

pytestmark = pytest.mark.server

OF = 3
OPTIONS = dataclasses.replace(album.OPTIONS, batch_size=1)  # ColourEncoder's last bits depend on the batch


@pytest.fixture
def settings(elasticsearch_url, name, album, tmp_path):
    environ = {"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "IMAGE_DIR": str(album.before)}
    return load_settings({**environ, "DATA_DIR": str(tmp_path / "data")})


class ColourRuns(Indexing):
    """Runs with an encoder that needs no network."""

    def _choose_encoder(self, built_with):
        return ColourEncoder()


def run(settings, *, progress=RecordedProgress, **choices):
    return ColourRuns(settings, options=OPTIONS).run(RunChoices(**choices), progress=progress)


def run_parts(settings, **choices):
    """Run all parts at once, and return their reports."""
    shares = [Share(number=number, of=OF) for number in range(1, OF + 1)]
    with ThreadPoolExecutor(OF) as pool:
        return list(pool.map(lambda share: run(settings, share=share, **choices), shares))


def totals(reports):
    return {
        field: sum(getattr(report, field) for report in reports)
        for field in ("found", "encoded", "reused", "unchanged")
    } | {"skipped": sorted(item.image_id for report in reports for item in report.skipped)}


def test_parts_make_the_same_documents_as_one_run(settings, cluster, name, album):
    whole = dataclasses.replace(settings, index_name=f"{name}-whole")
    index = ImageIndex(cluster, name=f"{name}-whole")
    try:
        for folder in (album.before, album.after):
            here = dataclasses.replace(settings, image_dir=folder)
            parts, last = run_parts(here), run(here)
            report = run(dataclasses.replace(whole, image_dir=folder))
            assert totals(parts) == totals([report])
            assert (last.encoded, last.reused, last.deleted) == (0, 0, report.deleted)
            assert contents(ImageIndex(cluster, name=name)) == contents(index)
    finally:
        index.drop()
        cluster.client.indices.delete(index=f"{name}-whole-runs")


def test_the_last_run_has_nothing_to_do_and_ends_the_work(settings, cluster, name):
    run_parts(settings)
    run(settings, share=Share(number=1, of=OF))  # so that one part is the last to say how far they are
    index = ImageIndex(cluster, name=name)
    unfinished = index.state()
    assert (unfinished.indexing["done"], unfinished.indexing["total"], unfinished.calibration) == (40, 40, None)
    report = run(settings)
    assert (report.unchanged, report.written) == (40, 0)
    assert (index.state().indexing, index.state().calibration is None) == (None, False)


def test_a_rebuild_by_parts_takes_the_place_at_the_end(settings, cluster, name):
    run(settings)
    old = ImageIndex(cluster, name=name).state().backing_index
    run_parts(settings, rebuild=True)
    assert ImageIndex(cluster, name=name).state().backing_index == old
    report = run(settings, rebuild=True)
    assert (report.unchanged, report.written, report.waiting) == (40, 0, "")
    assert ImageIndex(cluster, name=name).state().backing_index != old


def test_a_part_that_was_killed_is_done_by_the_next_run_of_it(settings):
    class KilledError(Exception):
        pass

    class Killed(RecordedProgress):
        def update(self, n=1, /):
            super().update(n)
            if self.done > 8:
                raise KilledError

    share = Share(number=1, of=2)
    with pytest.raises(KilledError):
        run(settings, share=share, progress=lambda total: Killed())
    report = run(settings, share=share)
    assert 0 < report.encoded < report.found
    assert report.indexed == report.found


# Who keeps out whom


class Held:
    """A run that stays under way until it is let go."""

    def __init__(self, settings, **choices):
        self.reached, self.go = threading.Event(), threading.Event()
        self._settings, self._choices = settings, choices

    def __enter__(self):
        outer = self

        class Waiting(RecordedProgress):
            def update(self, n=1, /):
                outer.reached.set()
                assert outer.go.wait(60)
                return super().update(n)

        self._pool = ThreadPoolExecutor(1)
        self._run = self._pool.submit(run, self._settings, progress=lambda total: Waiting(), **self._choices)
        assert self.reached.wait(60)
        return self

    def __exit__(self, *error):
        self.go.set()
        self._run.result()
        self._pool.shutdown()


@pytest.fixture
def elsewhere(settings, tmp_path):
    """The settings of another machine."""
    return dataclasses.replace(settings, data_dir=tmp_path / "elsewhere")


def test_the_same_part_is_run_once_at_a_time_and_no_whole_run_beside_a_part(settings, elsewhere):
    share = Share(number=1, of=2)
    with Held(settings, share=share):
        with pytest.raises(IndexBusyError, match=r"A run with part 1/2 of the work is indexing .* process \d+ on"):
            run(elsewhere, share=share)
        with pytest.raises(IndexBusyError, match="A run with part 1/2 of the work"):
            run(elsewhere)
        assert run(elsewhere, share=Share(number=2, of=2)).encoded
    assert run(elsewhere).unchanged == 40


def test_no_part_is_run_beside_a_whole_run(settings, elsewhere):
    with Held(settings), pytest.raises(IndexBusyError, match="Another run is indexing"):
        run(elsewhere, share=Share(number=1, of=2))
    assert run(elsewhere, share=Share(number=1, of=2)).written == 0


def test_the_embedded_node_takes_no_parts(settings):
    with pytest.raises(SettingError, match="Set ES_HOST"):
        run(dataclasses.replace(settings, es_host=None, data_dir=settings.data_dir), share=Share(number=1, of=2))


def test_a_share_waits_while_another_one_makes_the_index(cluster, name, monkeypatch):
    index = ImageIndex(cluster, name=name)
    other = RunLock(cluster, name=name, owner={"host": "there", "pid": 1, "part": "2/2"})
    other.acquire()
    tries = itertools.count(1)
    acquire = RunLock.acquire

    def release_at_third(lock):
        if lock is not other and lock._id == "lock" and next(tries) == 3:
            other.release()
        acquire(lock)

    monkeypatch.setattr(RunLock, "acquire", release_at_third)
    with locks.lock_share(index, Share(number=1, of=2)):
        assert next(tries) == 4


# Writes that come too late


@pytest.fixture
def fenced(index):
    """Two views of one index: that of an older run, and that of a later one."""
    backing = index.state().backing_index
    older = index.make_fence(backing)
    later = dataclasses.replace(older, number=older.number + 1)
    return index.at(backing, fence=older), index.at(backing, fence=later)


@pytest.fixture
def item(run, index):
    """A document with its embedding."""
    run()
    document = index.documents.get("warm/red.png")
    return document, index.documents.embedding("warm/red.png")


def test_what_an_older_run_writes_later_changes_nothing(fenced, index, item):
    older, later = fenced
    document, embedding = item
    assert not list(later.documents.add([(dataclasses.replace(document, label="later"), embedding)]))
    assert not list(older.documents.add([(dataclasses.replace(document, label="older"), embedding)]))
    index.refresh()
    assert index.documents.get(document.image_id).label == "later"


def test_a_run_may_write_again_and_after_runs_without_a_fence(fenced, index, item):
    _, later = fenced
    document, embedding = item
    for label in ("a", "b"):
        assert not list(later.documents.add([(dataclasses.replace(document, label=label), embedding)]))
    assert not list(index.documents.add([(dataclasses.replace(document, label="c"), embedding)]))
    assert not list(index.documents.describe({document.image_id: PhotoMetadata(label="d")}))
    newest = index.at(index.state().backing_index, fence=index.make_fence(index.state().backing_index))
    newest.documents._fence = dataclasses.replace(newest.documents._fence, number=later.documents._fence.number + 1000)
    assert not list(newest.documents.add([(dataclasses.replace(document, label="e"), embedding)]))
    index.refresh()
    assert index.documents.get(document.image_id).label == "e"


def test_nothing_is_written_and_no_index_made_once_the_index_is_gone(fenced, index, item, cluster):
    older, _ = fenced
    index.drop()
    with pytest.raises(IndexMissingError):
        list(older.documents.add([item]))
    assert not cluster.client.indices.get(index=f"{older.name}*").body
