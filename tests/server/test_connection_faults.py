"""A connection that fails in mid-run, or an Elasticsearch that is too busy: the run ends as if undisturbed."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import ImageNotFoundError
from image_embeddings.es.connection import connect
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.search.image_search import ImageSearch
from tests.fakes import ColourEncoder
from tests.faulty_front import (
    BUSY,
    NO_SHARD,
    answer_cut,
    answer_garbled,
    answer_lost,
    bad_gateway,
    busy,
    dropped,
    faulty_front,
    index_lost,
    items_refused,
    no_shard,
    request_cut,
    silent,
)
from tests.server.album import SAID, contents, index_photos, run_over
from tests.waiting import LONG

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
MODEL = ColourEncoder().info
IMPATIENT = """
from image_embeddings import cli
from image_embeddings.es import retries
retries.PATIENCE_SECONDS = 1
cli.main()
"""
BEGUN = 12  # requests until a run is in the middle


@pytest.fixture
def front(elasticsearch_url):
    with faulty_front(elasticsearch_url) as front:
        yield front


@contextmanager
def reached_by(front, index, **options):
    """Return the index, reached through the front."""
    with closing(connect([front.url], **options)) as cluster:
        yield ImageIndex(cluster, name=index.name)


@pytest.fixture
def through_front(front, index, album):
    """An index in its first state, reached through the front."""
    run_over(album.before, index)
    with reached_by(front, index) as index:
        yield index


def check_ends_well(order, index, album, undisturbed, *, described=True):
    report = run_over(album.after, index, said=SAID)
    assert order.hits > 0
    order.over.set()
    if not described:
        assert report.described <= undisturbed[0].described
        report = dataclasses.replace(report, described=undisturbed[0].described)
    assert (report, contents(index)) == undisturbed


def test_a_run_survives_a_connection_that_is_lost_for_a_while(front, through_front, album, undisturbed, outage):
    order = front.order(dropped, after=BEGUN, seconds=outage)
    started = time.monotonic()
    check_ends_well(order, through_front, album, undisturbed)
    assert time.monotonic() - started > outage


def test_a_run_survives_a_connection_that_is_silent_for_a_while(front, through_front, album, undisturbed, outage):
    seconds = 4 * outage  # requests time out twice in it; others are answered in time even on a busy machine
    order = front.order(silent, after=BEGUN, seconds=seconds)
    started = time.monotonic()
    with reached_by(front, through_front, timeout=seconds / 2) as impatient:
        check_ends_well(order, impatient, album, undisturbed)
    assert time.monotonic() - started > seconds


@pytest.mark.parametrize("fault", [busy, bad_gateway], ids=lambda fault: fault.__name__)
def test_a_run_survives_an_elasticsearch_that_accepts_no_requests_for_a_while(
    front, through_front, album, undisturbed, fault
):
    check_ends_well(front.order(fault, after=BEGUN, times=30), through_front, album, undisturbed)


@pytest.mark.parametrize(
    ("path", "after", "times"),  # the client itself asks four times at once, and four threads read
    [
        ("*/_mapping", 0, 8),
        ("*/_mapping", 3, 8),
        ("*/_search", 1, 24),
        ("*/_doc/*", 0, 24),
        ("*/_bulk", 0, 8),
        ("*/_refresh", 1, 8),
    ],
)
def test_every_kind_of_request_is_repeated(front, through_front, album, undisturbed, path, after, times):
    check_ends_well(front.order(dropped, path=path, after=after, times=times), through_front, album, undisturbed)


@pytest.mark.parametrize(
    "fault", [request_cut, answer_cut, answer_garbled, answer_lost, busy], ids=lambda fault: fault.__name__
)
def test_a_run_survives_requests_that_fail_now_and_then(front, through_front, album, undisturbed, fault):
    order = front.order(fault, after=2, every=5)
    # After a lost answer, Elasticsearch says that these documents are unchanged. That is not counted.
    check_ends_well(order, through_front, album, undisturbed, described=fault in (request_cut, busy))


@pytest.mark.parametrize("error", [BUSY, NO_SHARD], ids=lambda error: error.kind)
def test_documents_are_sent_again_if_elasticsearch_is_too_busy(front, through_front, album, undisturbed, error):
    check_ends_well(front.order(items_refused(error), path="*/_bulk", every=2), through_front, album, undisturbed)


def test_an_index_is_made_and_moved_once_even_if_the_answer_is_lost(front, cluster, name):
    with closing(connect([front.url])) as behind_front:
        index = ImageIndex(behind_front, name=name)
        orders = [front.order(answer_lost, path=f"/{name}-2*", times=1)]
        older = index.create(model=MODEL, vector_index_type="flat")
        orders.append(front.order(answer_lost, path="/_aliases", times=1))
        newer = index.create(model=MODEL, vector_index_type="flat")
        assert (index.state(), set(indices_of(cluster, name))) == (newer, {newer.backing_index})
        orders.append(front.order(answer_lost, path=f"/{name}-2*", times=1))
        rebuilt = index.begin_rebuild(model=MODEL, vector_index_type="flat")
        orders.append(front.order(answer_lost, path="/_aliases", times=1))
        index.finish_rebuild(rebuilt.backing_index)
        index.finish_rebuild(rebuilt.backing_index)
        assert (index.state(), set(indices_of(cluster, name))) == (rebuilt, {rebuilt.backing_index})
        orders.append(front.order(answer_lost, path=f"/{name}-2*", times=1))
        index.drop()
    assert indices_of(cluster, name) == {}
    assert older != newer
    assert [order.hits for order in orders] == [1] * 5


def indices_of(cluster, name):
    return cluster.client.indices.get(index=f"{name}*").body


def test_a_search_is_repeated_if_its_index_was_removed_meanwhile(front, through_front):
    orders = [front.order(no_shard, path=path, times=3) for path in ("*/_search", "*/_count")]
    assert through_front.count() == len(through_front.nearest.browse(k=100).hits)
    assert [order.hits for order in orders] == [3, 3]


def test_a_search_begins_anew_if_its_index_is_still_missing_after_the_clients_own_attempts(front, through_front):
    order = front.order(index_lost, path="*/_doc/*", times=5)
    search = ImageSearch(through_front, encoder_for=lambda model: ColourEncoder())
    with pytest.raises(ImageNotFoundError):
        search.like("gone.png")
    assert order.hits == 5


# An Elasticsearch that stays away


@pytest.fixture
def environ(front, name, album, data_dir):
    """The settings of a user who reaches Elasticsearch through the front."""
    environ = {"ES_HOST": front.url, "INDEX_NAME": name, "DATA_DIR": str(data_dir)}
    return {**environ, "IMAGE_DIR": str(album.after), "IMAGE_MODEL": "conse"}


def command(*python, environ):
    """The command `index`, as a process."""
    arguments = [sys.executable, *python, "index", "--chunk-size", "10", "--batch-size", "1"]
    return subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, **environ}, stderr=subprocess.PIPE, text=True)


def test_a_run_that_ends_for_want_of_elasticsearch_says_how_to_go_on(front, name, cluster, environ):
    front.order(dropped, path="*/_bulk", after=3)
    done = command("-c", IMPATIENT, environ=environ)
    said = done.communicate(timeout=LONG)[1]
    assert done.returncode == 1
    assert said.splitlines()[0].startswith(f"waiting up to 1 s, for: Nothing answers at {front.url}")
    assert said.splitlines()[-1].startswith(f"Error: Nothing answers at {front.url}")
    assert said.endswith("What was indexed stays: run the same command again to go on.\n")
    front.clear()
    report = index_photos(load_settings(environ))
    assert (report.unchanged > 0, report.indexed, len(report.skipped)) == (True, 92, 1)
    assert ImageIndex(cluster, name=name).count() == 92


def test_a_rebuild_takes_its_place_even_if_elasticsearch_is_away_at_that_moment(front, name, cluster, environ):
    ImageIndex(cluster, name=name).create(model=MODEL, vector_index_type="flat")
    order = front.order(dropped, path="/_aliases", times=4)  # all requests that the client sends by itself
    index_photos(load_settings(environ), rebuild=True)
    assert order.hits == 4
    assert (ImageIndex(cluster, name=name).count(), len(indices_of(cluster, name))) == (92, 1)


def test_ctrl_c_twice_ends_a_run_that_waits_for_elasticsearch_at_once(front, environ):
    front.order(dropped, path="*/_bulk")
    with command("-m", "image_embeddings", environ=environ) as run:
        for expected in ("waiting up to 120 s", "Stopping: what is under way"):
            while expected not in (line := run.stderr.readline()):
                assert line, "the run has ended"
            run.send_signal(signal.SIGINT)
        assert run.wait(timeout=LONG) == 1
        assert "the same command goes on from there" in run.stderr.read()
