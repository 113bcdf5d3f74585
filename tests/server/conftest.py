import uuid
from contextlib import closing

import pytest

from image_embeddings.cluster import connect
from image_embeddings.index import ImageIndex
from tests.fakes import ColourEncoder


@pytest.fixture(scope="session")
def cluster(elasticsearch_url):
    with closing(connect([elasticsearch_url])) as cluster:
        yield cluster


@pytest.fixture
def name(cluster):
    """The name of an index that is not there yet, and goes after the test."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    ImageIndex(cluster, name=name).drop()


@pytest.fixture
def index(cluster, name):
    """An empty index for ColourEncoder's embeddings."""
    made = ImageIndex(cluster, name=name)
    made.create(model=ColourEncoder().info, vector_index_type="int8_hnsw")
    return made
