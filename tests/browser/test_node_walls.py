"""A page of another origin in Chromium, which knows the address of Elasticsearch, can neither change nor read it."""

import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from image_embeddings.es.connection import connect

pytestmark = [pytest.mark.browser, pytest.mark.server]

INDEX = "test-node-walls"
# What a page can send without asking first, with each way that a browser has to send credentials.
FETCH = """async ([address, method, mode, credentials]) => {
  try {
    const answer = await fetch(address, {method, mode, credentials});
    return [answer.type, await answer.text()];
  } catch (error) {
    return ["error", ""];
  }
}"""
FORM = """address => {
  document.body.innerHTML = `<form method="post" action="${address}"><button>send</button></form>`;
  document.querySelector("form").submit();
}"""


class BlankPage(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body>")

    def log_message(self, format, *args):  # noqa: A002
        """Say nothing."""


@contextmanager
def other_origin():
    """Yield the address of a site with an empty page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BlankPage) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def client(elasticsearch_url):
    with closing(connect([elasticsearch_url])) as cluster:
        cluster.client.indices.delete(index=INDEX, ignore_unavailable=True)
        cluster.client.indices.create(index=INDEX, settings={"number_of_replicas": 0})
        yield cluster.client
        cluster.client.indices.delete(index=INDEX)


@pytest.fixture
def node(elasticsearch_url):
    """The address of the node, without its token."""
    place = urlsplit(elasticsearch_url)
    return f"http://{place.hostname}:{place.port}"


@pytest.fixture
def elsewhere(contexts, address):
    """A page of another origin."""
    context = contexts.take(base_url=f"{address}/")
    page = context.new_page()
    with other_origin() as origin:
        page.goto(origin)
        yield page
        contexts.give_back(context)


def is_open(client):
    return client.cat.indices(index=INDEX, h="status", format="json")[0]["status"] == "open"


@pytest.mark.parametrize("mode", ["no-cors", "cors"])
@pytest.mark.parametrize("credentials", ["omit", "include"])
def test_a_page_can_neither_close_nor_read_an_index(client, node, elsewhere, mode, credentials):
    sent = [f"{node}/{INDEX}/_close", "POST", mode, credentials]
    assert elsewhere.evaluate(FETCH, sent) in (["error", ""], ["opaque", ""])
    assert is_open(client)
    read = [f"{node}/{INDEX}/_search", "GET", mode, credentials]
    assert elsewhere.evaluate(FETCH, read) in (["error", ""], ["opaque", ""])


def test_not_even_with_the_token_can_a_page_send_a_form(client, node, elasticsearch_url, elsewhere):
    origin = elsewhere.url
    for address in (node, elasticsearch_url):
        with elsewhere.expect_navigation(url="**/_close") as answer:
            elsewhere.evaluate(FORM, f"{address}/{INDEX}/_close")
        assert answer.value.status == 403
        assert is_open(client)
        elsewhere.goto(origin)


def test_a_browser_keeps_no_token_that_pages_could_use(node, elasticsearch_url, elsewhere):
    # A browser sends and keeps a password only for a server that asks for it, and the node does not ask.
    visitor = elsewhere.context.new_page()
    assert visitor.goto(f"{elasticsearch_url}/_cluster/health").status == 401
    assert visitor.goto(f"{node}/_cluster/health").status == 401
