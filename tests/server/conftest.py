import uuid

import pytest

from image_embeddings.index import ImageIndex, connect
from tests.fakes import ColourEncoder


@pytest.fixture(scope="session")
def client(elasticsearch_url):
    with connect([elasticsearch_url]) as client:
        yield client


@pytest.fixture
def name(client):
    """The name of an index that is not there yet, and goes after the test."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    ImageIndex(client, name=name).drop()


@pytest.fixture
def index(client, name):
    """An empty index for ColourEncoder's embeddings."""
    made = ImageIndex(client, name=name)
    made.create(model=ColourEncoder().info, vector_index_type="int8_hnsw")
    return made
