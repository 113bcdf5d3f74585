"""Elasticsearch is restarted, or its disk fills up, in the middle of a run: the run ends as if undisturbed."""

import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psutil
import pytest

from image_embeddings import open_index
from image_embeddings.config import load_settings
from image_embeddings.embedded_node.node import EmbeddedNode
from image_embeddings.errors import DiskFullError, ImageSearchError, IndexMissingError, UnreachableError
from image_embeddings.es import retries
from image_embeddings.es.connection import connect
from image_embeddings.es.image_index import ImageIndex
from tests.fakes import ColourEncoder
from tests.real_node import running_node
from tests.server.album import SAID, Interrupted, contents, index_photos, run_over
from tests.tiny_models import make_clip_folder
from tests.waiting import LONG, wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

WATERMARKS = {"low": "900tb", "high": "800tb", "flood_stage": "700tb"}  # free space on the disk; no disk has that


class RestartedNode(EmbeddedNode):
    """A node that does not know its indices for its first seconds, as in a cluster, and often checks its disk."""

    def _prepare(self, notify):
        java = super()._prepare(notify)
        with (self.home / "config" / "elasticsearch.yml").open("a") as settings:
            settings.write("gateway.expected_data_nodes: 2\ngateway.recover_after_time: 2s\n")
            settings.write("cluster.info.update.interval: 10s\n")
        return java

    def kill(self) -> None:
        process = psutil.Process(self.status().pid)
        process.kill()
        process.wait(timeout=LONG)


@pytest.fixture(scope="module")
def node(tmp_path_factory, node_jars):
    with running_node(tmp_path_factory.mktemp("restarted"), jars=node_jars, kind=RestartedNode) as node:
        yield node


@pytest.fixture
def url(node):
    return node.start().client_url


@pytest.fixture
def index(node, url, name, album):
    """The album in its first state, on that node."""
    with closing(connect([url], locate=node.locate)) as cluster:
        index = ImageIndex(cluster, name=name)
        index.create(model=ColourEncoder().info, vector_index_type="int8_hnsw")
        run_over(album.before, index)
        yield index


@contextmanager
def impatience(monkeypatch):
    """A short time to wait for Elasticsearch, so that a test does not take long."""
    with monkeypatch.context() as changed:
        changed.setattr(retries, "PATIENCE_SECONDS", 1)
        yield


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_a_run_goes_on_when_elasticsearch_is_killed_and_later_stopped(node, index, album, undisturbed, background):
    starts = []

    def restarted(end):
        end()
        starts.append(background.submit(node.start))

    happenings = {16: lambda: restarted(node.kill), 56: lambda: restarted(node.stop)}
    assert run_over(album.after, index, said=SAID, happenings=happenings) == undisturbed[0]
    assert contents(index) == undisturbed[1]
    first, second = (start.result() for start in starts)
    assert first.url != second.url == index.cluster.address
    assert first.token != second.token


# A rebuild


@pytest.fixture
def settings(url, name, album, tmp_path):
    environ = {"ES_HOST": url, "INDEX_NAME": name, "DATA_DIR": str(tmp_path / "data")}
    models = [str(make_clip_folder(tmp_path / model, seed=seed)) for seed, model in enumerate(("first", "second"))]
    before = load_settings({**environ, "IMAGE_MODEL": models[0], "IMAGE_DIR": str(album.before)})
    return before, dataclasses.replace(before, image_model=models[1], image_dir=album.after)


def first_answer(index):
    """Return the first answer of `state` after the start of Elasticsearch, and the errors before, which all pass."""
    errors = []
    while True:
        try:
            return index.state(), errors
        except ImageSearchError as error:
            if not retries.passes(error):
                raise
            errors.append(error)
            time.sleep(0.02)


def test_a_rebuild_goes_on_after_a_restart_and_the_old_index_answers_until_then(
    node, settings, background, monkeypatch
):
    before, after = settings
    index_photos(before)
    index_photos(dataclasses.replace(after, index_name="expected"))
    served = contents(open_index(before))
    with impatience(monkeypatch), pytest.raises(UnreachableError, match="same command again to go on"):
        index_photos(after, rebuild=True, progress=lambda total: Interrupted({30: node.kill}))
    start = background.submit(node.start)
    wait_for(lambda: node.status() is not None)
    before, after = (dataclasses.replace(old, es_host=node.status().client_url) for old in settings)
    state, errors = first_answer(open_index(before))
    assert state.model.model_id == "first"
    assert any("does not know its indices yet" in str(error) for error in errors)
    start.result()
    assert contents(open_index(before)) == served
    report = index_photos(after, rebuild=True)
    assert 0 < report.unchanged < report.found
    expected = contents(open_index(dataclasses.replace(after, index_name="expected")))
    assert contents(open_index(after)) == expected


# A full disk


@contextmanager
def full_disk(client):
    """Make Elasticsearch treat its disk as full, and wait until it has noticed."""
    watermark = "cluster.routing.allocation.disk.watermark."
    try:
        client.cluster.put_settings(persistent={watermark + name: free for name, free in WATERMARKS.items()})
        wait_for(lambda: "read_only_allow_delete" in str(client.indices.get_settings()))
        yield
    finally:
        client.cluster.put_settings(persistent=dict.fromkeys([watermark + name for name in WATERMARKS]))


def test_a_run_waits_for_room_on_elasticsearchs_disk_and_says_so(
    index, album, undisturbed, background, monkeypatch, caplog
):
    before = contents(index)
    with full_disk(index.cluster.client):
        with pytest.raises(DiskFullError, match=r"disk .* is full.*Make room"):
            index.begin_rebuild(model=ColourEncoder().info, vector_index_type="flat")
        with pytest.raises(IndexMissingError):
            index.rebuild.state()
        with impatience(monkeypatch), pytest.raises(DiskFullError, match=r"disk .* is full.*Make room"):
            run_over(album.after, index, said=SAID)
        assert contents(index) == before
        caplog.clear()
        run = background.submit(run_over, album.after, index, said=SAID)
        wait_for(lambda: "waiting up to 120 s, for: The disk of Elasticsearch" in caplog.text)
    assert (run.result(), contents(index)) == undisturbed


def test_an_index_without_room_does_not_block_the_others(node, index):
    held = contents(index)
    with full_disk(index.cluster.client):
        roomless = f"{index.name}-roomless"
        index.cluster.client.indices.create(index=roomless, wait_for_active_shards="0")
        assert node.start() == node.status()
        assert contents(index) == held
        index.cluster.client.indices.delete(index=roomless)
