"""The web app on an embedded node of its own, which stops while the app runs."""

from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from app import create_app
from app.services import Services
from image_embeddings import open_index
from image_embeddings.config import load_settings
from image_embeddings.embedded_node.jars import VERSION
from image_embeddings.es.opening import embedded_node
from image_embeddings.search.image_search import ImageSearch
from tests.fakes import ColourEncoder
from tests.server.filling import fill
from tests.waiting import LONG

pytestmark = pytest.mark.server


@pytest.fixture
def settings(data_dir, node_jars, tmp_path):
    (data_dir / "elasticsearch").mkdir()
    (data_dir / "elasticsearch" / f"jars-{VERSION}").symlink_to(node_jars)
    made = load_settings({"ES_HEAP": "256m"}, image_dir=tmp_path / "photos", data_dir=data_dir)
    yield made
    embedded_node(made).stop()


@pytest.fixture
def web(settings, tmp_path):
    index = open_index(settings)
    index.create(model=ColourEncoder().info, vector_index_type="flat")
    fill(index, tmp_path)
    search = ImageSearch(index, encoder_for=lambda model: ColourEncoder())
    return create_app(settings, services=Services(settings, open_search=lambda settings: search)).test_client()


def test_a_search_starts_the_node_again_after_it_was_stopped_or_killed(web, settings):
    assert web.get("/api/v1/search?q=red").status_code == 200
    embedded_node(settings).stop()
    assert web.get("/api/v1/search?q=red").json["hits"][0]["image_id"] == "warm/red.png"
    killed = psutil.Process(embedded_node(settings).status().pid)
    killed.kill()
    killed.wait(timeout=LONG)
    assert web.get("/api/v1/search?like=warm/red.png").status_code == 200


def test_a_restart_of_the_node_blocks_no_other_request(web, settings):
    web.get("/api/v1/search?q=red")
    killed = psutil.Process(embedded_node(settings).status().pid)
    killed.kill()
    killed.wait(timeout=LONG)
    web.application.extensions["services"].reconnect()
    with ThreadPoolExecutor(4) as pool:
        searches = [pool.submit(web.application.test_client().get, "/api/v1/search?q=red") for _ in range(4)]
        assert web.get("/healthz").status_code == 200
    answers = sorted((search.result() for search in searches), key=lambda answer: answer.status_code)
    assert [answer.status_code for answer in answers] == [200, 503, 503, 503]
    assert {answer.json["error"]["code"] for answer in answers[1:]} == {"local_node_starting"}
    assert web.get("/api/v1/search?q=red").status_code == 200
