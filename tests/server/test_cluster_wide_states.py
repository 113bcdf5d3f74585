"""States of a whole Elasticsearch, on a node of its own: read-only, too many shards, too little memory."""

from contextlib import closing

import pytest

from image_embeddings.errors import BlockedError, RequestError
from image_embeddings.es.connection import connect
from image_embeddings.es.image_index import ImageIndex
from tests.fakes import ColourEncoder
from tests.real_node import running_node
from tests.server.filling import add_photos, fill
from tests.server.remedies import follow_remedy
from tests.server.web_client import make_app

pytestmark = [pytest.mark.server, pytest.mark.slow]

MODEL = ColourEncoder().info


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, node_jars):
    with (
        running_node(tmp_path_factory.mktemp("own"), jars=node_jars) as node,
        closing(connect([node.status().client_url])) as cluster,
    ):
        yield cluster


@pytest.fixture
def index(cluster, tmp_path):
    """Six photos on that node."""
    index = ImageIndex(cluster, name="photos")
    index.create(model=MODEL, vector_index_type="flat")
    fill(index, tmp_path)
    return index


@pytest.fixture
def cluster_setting(cluster):
    """Sets settings of the cluster; they are removed after the test."""
    chosen = {}

    def choose(name, value):
        chosen[name] = None
        cluster.client.cluster.put_settings(persistent={name: value})

    yield choose
    cluster.client.cluster.put_settings(persistent=chosen)


@pytest.mark.parametrize("name", ["cluster.blocks.read_only", "cluster.blocks.read_only_allow_delete"])
def test_a_read_only_cluster_is_searched_and_its_remedy_lifts_it(index, cluster_setting, tmp_path, name):
    cluster_setting(name, True)
    app = make_app(index, tmp_path)
    assert "red.png" in app.test_client().get("/image_search?q=red").text
    add_photos(tmp_path / "photos")
    with pytest.raises(BlockedError, match=f"The cluster refuses this.*{name}") as raised:
        fill(index, tmp_path)
    follow_remedy(index.cluster, raised.value)
    fill(index, tmp_path)
    index.refresh()
    assert index.count() == 13


def test_a_cluster_with_too_many_shards_says_how_to_allow_more(index, cluster_setting):
    cluster_setting("cluster.max_shards_per_node", 1)
    with pytest.raises(RequestError, match="as many shards as it may have") as raised:
        index.create(model=MODEL, vector_index_type="flat")
    assert index.count() == 6
    follow_remedy(index.cluster, raised.value)
    index.create(model=MODEL, vector_index_type="flat")


def test_too_little_memory_of_elasticsearch_is_named(index, cluster_setting, tmp_path):
    cluster_setting("indices.breaker.total.limit", "1b")
    answer = make_app(index, tmp_path).test_client().get("/api/v1/search?q=red")
    assert answer.status_code == 503
    assert "too little memory for this request. Give its Java heap more (ES_HEAP" in answer.json["error"]["message"]
