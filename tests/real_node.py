"""Fixtures for all tests on a real Elasticsearch node, whatever their folder. tests/conftest.py loads them."""

import uuid
from contextlib import closing, contextmanager

import pytest

from image_embeddings.embedded_node.jars import VERSION, fetch_from_maven, install_jars
from image_embeddings.embedded_node.node import EmbeddedNode
from image_embeddings.es import run_lock
from image_embeddings.es.connection import connect
from image_embeddings.es.image_index import ImageIndex
from tests import java_archive
from tests.fakes import ColourEncoder
from tests.server.album import SAID, contents, make_album, run_over
from tests.waiting import LONG


@contextmanager
def running_node(home, *, jars, heap="256m", kind=EmbeddedNode):
    """Yield a node of that kind, which runs in the folder `home`; stop it afterwards."""
    node = kind(home, heap=heap, jars=jars, start_timeout=LONG)
    try:
        node.start()
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="session")
def node_jars(pytestconfig):
    """Elasticsearch's jars for all nodes of the tests, kept in pytest's cache with the archive of their classes."""
    folder = pytestconfig.cache.mkdir("elasticsearch")
    jars = folder / f"jars-{VERSION}"
    install_jars(jars, fetch=fetch_from_maven, notify=print)
    java_archive.use_archive(jars)
    return jars


@pytest.fixture(scope="session")
def elasticsearch_url(tmp_path_factory, node_jars):
    """The address of one real node for the whole test session, with its token: clients take it from there.

    A failed start is a failure, never a skip.
    """
    with running_node(tmp_path_factory.mktemp("elasticsearch"), jars=node_jars, heap="512m") as node:
        yield node.status().client_url


@pytest.fixture(scope="session")
def cluster(elasticsearch_url):
    with closing(connect([elasticsearch_url])) as cluster:
        yield cluster


@pytest.fixture
def name(cluster):
    """The name of an index that does not exist yet, and is removed after the test."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    ImageIndex(cluster, name=name).drop()
    cluster.client.indices.delete(index=f"{name}{run_lock.SUFFIX}", ignore_unavailable=True)


@pytest.fixture
def data_dir(networks, tmp_path):
    """A DATA_DIR in which there is only the network of the built-in model."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "networks").symlink_to(networks)
    return folder


@pytest.fixture(scope="session")
def album(tmp_path_factory):
    """A folder of photos in two states."""
    return make_album(tmp_path_factory.mktemp("album"))


@pytest.fixture(scope="session")
def undisturbed(cluster, album):
    """Report and contents of an undisturbed run over the album."""
    index = ImageIndex(cluster, name="test-undisturbed")
    index.create(model=ColourEncoder().info, vector_index_type="int8_hnsw")
    run_over(album.before, index)
    yield run_over(album.after, index, said=SAID), contents(index)
    index.drop()
