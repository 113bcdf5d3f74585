"""An index of which a part is on no node: plans and counts wait or fail, and searches say that photos are missing."""

import json
import re
from contextlib import closing

import numpy as np
import pytest

from image_embeddings.errors import PartialAnswerError
from image_embeddings.es import mapping, retries
from image_embeddings.es.connection import connect
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.queries import SearchOptions
from image_embeddings.es.retries import passes, patiently
from image_embeddings.evaluation import ann_recall
from image_embeddings.search.image_search import ImageSearch
from tests.commands import run_here
from tests.fakes import ColourEncoder
from tests.server.indexed import document
from tests.server.web_client import make_app
from tests.waiting import wait_for

pytestmark = pytest.mark.server

PHOTOS = [f"{number}.png" for number in range(40)]
NEAR = np.array([1, 0, 0, 0], np.float32)


@pytest.fixture
def hasty(elasticsearch_url):
    """A connection that does not wait for long: a refresh of a shard that is on no node waits for a minute."""
    with closing(connect([elasticsearch_url], timeout=2)) as cluster:
        yield cluster


@pytest.fixture
def broken(hasty, name):
    """An index of three shards, of which the node holds only one. `photos` are the photos of that one.

    `whole()` gives the index all its shards.
    """
    body = mapping.index_body(model=ColourEncoder().info, vector_index_type="int8_hnsw")
    body["settings"] |= {"number_of_shards": 3, "routing.allocation.total_shards_per_node": 1}
    body["aliases"] = {name: {"is_write_index": True}}
    backing, client = f"{name}-1", hasty.client
    client.indices.create(index=backing, timeout="1s", **body)
    index = ImageIndex(hasty, name=name)
    index.photos = [image_id for image_id in PHOTOS if is_here(client, backing, image_id)]
    rng = np.random.default_rng(0)
    documents = [(document(image_id, label="old"), rng.random(4, np.float32)) for image_id in index.photos]
    assert list(index.documents.add(documents)) == []
    wait_for(lambda: client.search(index=name, allow_partial_search_results=True)["hits"]["hits"])

    def whole():
        limit = {"index.routing.allocation.total_shards_per_node": None}
        client.indices.put_settings(index=backing, settings=limit)
        assert client.cluster.health(index=backing, wait_for_status="green", timeout="60s")["status"] == "green"

    index.whole = whole
    return index


def is_here(client, backing, image_id):
    (copies,) = client.search_shards(index=backing, routing=image_id)["shards"]
    return any(copy["state"] == "STARTED" for copy in copies)


@pytest.mark.parametrize(
    "ask",
    [
        lambda index: index.count(),
        lambda index: index.documents.file_states(),
        lambda index: list(index.documents.embeddings()),
        lambda index: index.documents.sample(5),
        lambda index: index.documents.collections("label"),
        lambda index: index.documents.copy_of("ab" * 16),
        lambda index: index.nearest.to_embedding(NEAR, k=3),
        lambda index: index.nearest.browse(k=3),
        lambda index: ann_recall(index, k=3, queries=2),
    ],
)
def test_what_needs_all_photos_is_refused_and_may_be_asked_again(broken, ask):
    with pytest.raises(PartialAnswerError, match=r"Not all photos can be read .*allocation/explain") as raised:
        ask(broken)
    assert passes(raised.value)
    broken.whole()
    ask(broken)


def test_a_plan_waits_until_the_index_is_whole(broken, monkeypatch):
    monkeypatch.setattr(retries, "_say_what_is_waited_for", lambda state: broken.whole())
    assert sorted(patiently(broken.documents.file_states)) == sorted(broken.photos)


def test_photos_are_read_by_name_if_their_own_shard_is_there(broken):
    for image_id in broken.photos:
        assert broken.documents.embedding(image_id).shape == (4,)
    with pytest.raises(PartialAnswerError):
        broken.documents.embedding(next(image_id for image_id in PHOTOS if image_id not in broken.photos))


def test_the_status_says_what_is_missing(broken, elasticsearch_url, data_dir):
    environ = {
        "ES_HOST": elasticsearch_url,
        "INDEX_NAME": broken.name,
        "IMAGE_MODEL": "conse",
        "DATA_DIR": str(data_dir),
    }
    lines = run_here(environ, "status").stdout
    assert re.search(r"health  red: 1 node runs, and some photos are on none", lines)
    assert re.search(r"photos  some cannot be read", lines)
    told = json.loads(run_here(environ, "status", "--json").stdout)
    assert (told["photos"], told["health"]) == (None, {"status": "red", "nodes": 1, "missing": 2})
    broken.whole()
    two_copies = {"index": {"number_of_replicas": 2, "auto_expand_replicas": False}}
    broken.cluster.client.indices.put_settings(index=broken.name, settings=two_copies)
    lines = run_here(environ, "status").stdout
    assert re.search(r"health  yellow: 1 node runs, with all photos; copies that are missing: 6$", lines, re.MULTILINE)
    assert json.loads(run_here(environ, "status", "--json").stdout)["photos"] == len(broken.photos)


def search_of(index):
    return ImageSearch(index, encoder_for=lambda model: ColourEncoder())


def test_a_search_finds_what_is_there_and_says_so(broken):
    search = search_of(broken)
    for found in (
        search.by_text("red", k=40, partial=True),
        search.by_text("red", k=40, sort="newest", partial=True),
        search.browse(k=40, facets=True, partial=True),
    ):
        assert (found.partial, len(found.hits), found.total) == (True, len(broken.photos), len(broken.photos))
    broken.whole()
    found = search.by_text("red", k=40, partial=True)
    assert (found.partial, len(found.hits)) == (False, len(broken.photos))


def test_pages_and_the_api_say_that_photos_are_missing(broken, tmp_path):
    client = make_app(broken, tmp_path).test_client()
    line = "Some photos could not be searched at the moment."
    for page in ("/", "/image_search?q=red", "/image_search?q=red&sort=newest"):
        answer = client.get(page)
        assert (answer.status_code, line in answer.text) == (200, True), page
    assert client.get("/api/v1/search?q=red").json["partial"] is True
    answer = client.get("/api/v1/collections")
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "elasticsearch_partial")
    broken.whole()
    assert line not in client.get("/image_search?q=red").text
    assert client.get("/api/v1/search?q=red").json["partial"] is False
    assert client.get("/api/v1/collections").status_code == 200


@pytest.mark.parametrize(
    ("kind", "times", "tries", "is_partial"),
    [
        ("node_disconnected_exception", 1, 2, False),
        ("node_not_connected_exception", 2, 3, False),
        ("node_disconnected_exception", 9, 3, True),
        ("no_shard_available_action_exception", 1, 1, True),  # it will not be there for long
    ],
)
def test_a_search_during_which_a_node_goes_away_is_sent_again(index, monkeypatch, kind, times, tries, is_partial):
    """The answers are those of Elasticsearch at the moment when a node is killed: other nodes have copies."""
    ask, sent = index._client.reader.search, []

    def search(**request):
        answer = ask(**request)
        sent.append(request)
        if len(sent) <= times:
            answer.body["_shards"] |= {"failed": 1, "failures": [{"shard": 0, "reason": {"type": kind}}]}
        return answer

    monkeypatch.setattr(index._client.reader, "search", search)
    found = index.nearest.browse(k=3, options=SearchOptions(partial=True))
    assert (len(sent), found.partial) == (tries, is_partial)
