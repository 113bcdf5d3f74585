"""A cluster of three nodes loses one: no document that it took is lost, and no search fails."""

import itertools
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pyarrow.parquet as pq
import pytest

from image_embeddings.config import load_settings
from image_embeddings.es import all_documents
from image_embeddings.es.opening import open_index
from image_embeddings.es.retries import patiently
from image_embeddings.search import opened_index
from image_embeddings.search.image_search import ImageSearch
from tests.cluster.three_nodes import NAMES, three_nodes
from tests.commands import run_here
from tests.embedding_files.documents import make_rows
from tests.fakes import ColourEncoder
from tests.server.album import SAID, contents, run_over
from tests.server.filling import fill
from tests.waiting import wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def started(tmp_path_factory, node_jars):
    with three_nodes(tmp_path_factory.mktemp("nodes"), jars=node_jars) as nodes:
        yield nodes


@pytest.fixture
def nodes(started):
    """The three nodes. Those that the test before has killed are started again."""
    started.start()
    return started


@pytest.fixture
def photo_index(nodes, tmp_path):
    """An index of three shards, with one copy of each."""
    settings = load_settings({"ES_HOST": nodes.hosts, "INDEX_NAME": "photos", "DATA_DIR": str(tmp_path)})
    index = open_index(settings)
    index.create(model=ColourEncoder().info, vector_index_type="int8_hnsw", shards=3, replicas=1)
    nodes.start()  # returns when the copies are there
    with closing(index.cluster):
        yield index
        index.drop()


@pytest.mark.parametrize("is_master", [True, False])
def test_a_node_that_dies_while_photos_are_indexed_costs_none(nodes, photo_index, album, undisturbed, is_master):
    run_over(album.before, photo_index)
    master = nodes.master()
    victim = master if is_master else (master + 1) % 3
    report = run_over(album.after, photo_index, said=SAID, happenings={30: lambda: nodes.kill(victim)})
    assert (report, contents(photo_index)) == undisturbed


@pytest.mark.parametrize("is_master", [True, False])
def test_no_search_fails_when_a_node_dies(nodes, photo_index, tmp_path, monkeypatch, is_master):
    monkeypatch.setattr(opened_index, "STATE_SECONDS", 0)
    fill(photo_index, tmp_path)
    search = ImageSearch(photo_index, encoder_for=lambda model: ColourEncoder())
    is_done, took = threading.Event(), []
    kinds = (
        lambda: len(search.by_text("red", verdict=True).hits) == 6,
        lambda: len(search.browse(facets=True).hits) == 6,
        lambda: len(search.like("warm/red.png").hits) == 5,
        # as the web app asks, to which less would do
        lambda: is_whole(search.by_text("red", verdict=True, partial=True), hits=6),
        lambda: is_whole(search.like("warm/red.png", partial=True), hits=5),
        lambda: search.get("warm/red.png").image_id == "warm/red.png",
        lambda: photo_index.count() == 6,
    )

    def is_whole(result, *, hits):
        return (len(result.hits), result.partial) == (hits, False)

    def keep_searching():
        for ask in itertools.cycle(kinds):
            began = time.monotonic()
            assert ask()
            took.append(time.monotonic() - began)
            if is_done.is_set():
                return

    with ThreadPoolExecutor(3) as pool:
        threads = [pool.submit(keep_searching) for _ in range(3)]
        master = nodes.master()
        os.kill(nodes.pids[master if is_master else (master + 1) % 3], signal.SIGKILL)  # as somebody else does
        enough = len(took) + 300
        wait_for(lambda: len(took) > enough or any(thread.done() for thread in threads))
        is_done.set()
        for thread in threads:
            thread.result()
    print(f"{len(took)} searches, the slowest {max(took):.2f} s")


def kill_a_node_that_is_read_from(nodes):
    stats = nodes.ask("/_nodes/stats/indices/search")["nodes"].values()
    opened = {node["name"]: node["indices"]["search"]["open_contexts"] for node in stats}
    assert max(opened.values())
    nodes.kill(NAMES.index(max(opened, key=opened.get)))


def test_an_export_begins_again_if_a_node_dies_that_it_reads_from(nodes, photo_index, tmp_path, monkeypatch):
    rows = make_rows(60, dims=4)
    assert list(photo_index.documents.add(rows)) == []
    monkeypatch.setattr(all_documents, "PAGE_DOCUMENTS", 5)
    search, pages = all_documents._search, itertools.count(1)

    def kill_after_the_third_page(client, body):
        if next(pages) == 4:
            kill_a_node_that_is_read_from(nodes)
        return search(client, body)

    monkeypatch.setattr(all_documents, "_search", kill_after_the_third_page)
    environ = {"ES_HOST": nodes.hosts, "INDEX_NAME": photo_index.name, "DATA_DIR": str(tmp_path)}
    done = run_here(environ, "export", "parquet", str(tmp_path / "out"))
    assert done.exit_code == 0, done.stderr
    assert "The export begins again" in done.stderr
    exported = pq.read_table(tmp_path / "out" / "part-00000.parquet")
    written = {document.image_id: embedding.tobytes() for document, embedding in rows}
    embeddings = exported["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, 4)
    assert dict(zip(exported["image_id"].to_pylist(), map(bytes, embeddings), strict=True)) == written


def test_reading_all_states_is_repeated_if_a_node_dies_meanwhile(nodes, photo_index):
    rows = make_rows(60, dims=4)
    assert list(photo_index.documents.add(rows)) == []
    tries = []

    def read():
        states = photo_index.documents.read_file_states(page_size=5)
        tries.append(dict([next(states)]))
        if len(tries) == 1:
            kill_a_node_that_is_read_from(nodes)
        tries[-1].update(states)
        return tries[-1]

    assert patiently(read).keys() == {document.image_id for document, _ in rows}
    assert len(tries) > 1
