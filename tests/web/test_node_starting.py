"""While one request starts the embedded node, others are answered: 503, and when to ask again."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app import create_app
from app.services import Services
from image_embeddings import errors
from image_embeddings.config import load_settings
from tests.waiting import LONG, wait_for


class Index:
    def count(self):
        return 3


class Search:
    """A search that is ready."""

    index = Index()

    def warm_up(self):
        """It is warm."""


class Node:
    """A node that starts when it is told to, or fails."""

    def __init__(self):
        self.starts = 0
        self.go_on = threading.Event()
        self.failure = None

    def open_search(self, settings):
        self.starts += 1
        assert self.go_on.wait(LONG)
        if self.failure:
            raise self.failure
        return Search()


@pytest.fixture
def node():
    return Node()


@pytest.fixture
def app(node, tmp_path):
    settings = load_settings({}, data_dir=tmp_path)
    services = Services(settings, open_search=node.open_search, open_index=lambda settings: Index())
    return create_app(settings, services=services)


@pytest.fixture
def first(app, node):
    """The answers to the request that starts the node, which is starting."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(app.test_client().get("/readyz")))
    thread.start()
    wait_for(lambda: node.starts)
    yield answers
    node.go_on.set()
    thread.join(LONG)


def test_others_are_told_to_ask_again(app, node, first):
    for path in ("/api/v1/search?q=red", "/readyz", "/api/v1/status"):
        answer = app.test_client().get(path)
        assert (answer.status_code, answer.json["error"]["code"]) == (503, "local_node_starting")
        assert answer.headers["Retry-After"] == "5"
        assert "Refresh" not in answer.headers
    assert (node.starts, first) == (1, [])


def test_a_page_asks_again_by_itself(app, first):
    answer = app.test_client().get("/image_search?q=red")
    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert (answer.headers["Retry-After"], answer.headers["Refresh"]) == ("5", "5")
    assert "Refresh" not in app.test_client().post("/similar_image").headers


def test_health_does_not_depend_on_it(app, first):
    assert app.test_client().get("/healthz").json == {"status": "ok"}


def test_all_goes_on_when_it_is_there(app, node, first):
    node.go_on.set()
    wait_for(lambda: first)
    assert first[0].json == {"status": "ready", "total": 3}
    assert app.test_client().get("/readyz").status_code == 200
    assert node.starts == 1


def test_a_start_that_failed_is_tried_again(app, node, first):
    node.failure = errors.NodeStartError("no")
    node.go_on.set()
    wait_for(lambda: first)
    assert first[0].json["error"]["code"] == "local_node_start"
    node.failure = None
    assert app.test_client().get("/readyz").status_code == 200


def test_a_request_that_finds_the_node_gone_does_not_wait_either(app, first):
    app.extensions["services"].reconnect()


def served_beside_an_opening(services, node, opens):
    """Return the future of a second request for the search while the first one opens it, and that of the first."""
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: services.search)
        wait_for(lambda: node.starts)
        second = pool.submit(lambda: services.search)
        opens(second)
        node.go_on.set()
    return first, second


def test_a_slow_opening_is_waited_for_if_the_node_is_there(node, tmp_path):
    checks = []
    services = Services(
        load_settings({}, data_dir=tmp_path),
        open_search=node.open_search,
        open_index=lambda settings: Index(),
        node_answers=lambda settings: checks.append(settings) or True,
    )
    first, second = served_beside_an_opening(services, node, lambda second: wait_for(lambda: len(checks) >= 3))
    assert second.result() is first.result()
    assert node.starts == 1


def test_a_node_that_ends_during_an_opening_is_said_to_start(node, tmp_path):
    there = [True, True, False]
    services = Services(
        load_settings({}, data_dir=tmp_path),
        open_search=node.open_search,
        open_index=lambda settings: Index(),
        node_answers=lambda settings: there.pop(0),
    )
    _, second = served_beside_an_opening(services, node, lambda second: wait_for(second.done))
    with pytest.raises(errors.NodeStartingError):
        second.result()


def test_a_cluster_is_not_said_to_start(node, tmp_path):
    settings = load_settings({"ES_HOST": "http://127.0.0.1:9"}, data_dir=tmp_path)
    services = Services(settings, open_search=node.open_search)
    with ThreadPoolExecutor(4) as pool:
        searches = [pool.submit(lambda: services.search) for _ in range(4)]
        wait_for(lambda: node.starts)
        node.go_on.set()
        assert len({search.result() for search in searches}) == node.starts == 1
