"""What pages of other sites can do with the photos, in Chromium: lead visitors here, and nothing else.

To 127.0.0.1 and https, browsers say which site a request comes from. To a plain address of the network they do not, and
only the headers of the answers protect.
"""

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from tests.browser.contexts import PATIENCE
from tests.browser.visit import choose, follow, shown
from tests.browser.webapp import LAN_NAME, PHOTOS

pytestmark = [pytest.mark.browser, pytest.mark.server]

PHOTO, THUMBNAIL, MISSING = "/image/cats/tiger.jpg", "/thumbnail/cats/tiger.jpg", "/image/cats/gone.jpg"
PAIRS = {path: path.replace("tiger", "gone") for path in (PHOTO, THUMBNAIL, "/api/v1/images/cats/tiger.jpg")}
JSON, PAGE = "/api/v1/search?q=a+cat&k=1", "/image_search?q=a+cat"
# The name of the other site, and of this one. A site has no port, but an origin has.
SITES = {
    "another site": ("localhost", "127.0.0.1"),
    "another port": ("127.0.0.1", "127.0.0.1"),
    "another site of the network": ("other.test", LAN_NAME),
}
TRUSTWORTHY = list(SITES)[:2]

LOAD = """([kind, address]) => new Promise((resolve) => {
  const element = document.createElement(kind);
  if (kind === "link") element.rel = "stylesheet";
  element.onload = () => resolve("loaded");
  element.onerror = () => resolve("failed");
  element[{link: "href", object: "data"}[kind] ?? "src"] = address;
  document.body.append(element);
})"""
FETCH = """([address, options]) => fetch(address, options).then(
  (answer) => `${answer.type} ${answer.status}`, () => "failed")"""
# Whether the window that this page opened is still one that it can look at and lead elsewhere.
OPEN = """(address) => new Promise((resolve) => {
  const opened = window.open(address);
  const timer = setInterval(() => { if (opened.closed) { clearInterval(timer); resolve("severed"); } }, 20);
})"""
LOOK = """() => {
  let found;
  try { found = window.opened.location.href; } catch (error) { found = error.name; }
  return [window.opened.closed, window.opened.length, found];
}"""
POST = """(address) => {
  const form = document.createElement("form");
  form.method = "post";
  form.enctype = "multipart/form-data";
  form.action = address;
  document.body.append(form);
  form.submit();
}"""
LINK = """(address) => {
  const link = document.createElement("a");
  link.href = address;
  link.textContent = "There";
  document.body.append(link);
}"""


class Empty(BaseHTTPRequestHandler):
    """An empty page at every address."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Elsewhere</title><body>")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def port():
    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def elsewhere(contexts, address, port):
    """Opens the page of another site; returns it, and what it makes of a path on this site: the address."""
    taken = []

    def go(sites):
        other, here = SITES[sites]
        context = contexts.take(base_url=f"{address}/")
        taken.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"http://{other}:{port}/")
        return page, lambda path: address.replace("127.0.0.1", here) + path

    yield go
    for context in taken:
        contexts.give_back(context)


@pytest.mark.parametrize("sites", SITES)
@pytest.mark.parametrize("kind", ["img", "script", "link", "video", "embed", "object"])
def test_nothing_can_be_embedded(elsewhere, sites, kind):
    page, at = elsewhere(sites)
    found = {path: page.evaluate(LOAD, [kind, at(path)]) for path in (*PAIRS, *PAIRS.values(), JSON)}
    assert found[PHOTO] == found[THUMBNAIL] == "failed"
    assert {path: found[path] for path in PAIRS} == {path: found[missing] for path, missing in PAIRS.items()}
    # <embed> says "loaded" of any address that it takes for a page, but shows an empty frame of the browser's own.
    assert [frame.url for frame in page.main_frame.child_frames if not frame.url.startswith("chrome-error:")] in (
        [],
        [""] * len(page.main_frame.child_frames),  # a frame that was never filled
    )
    assert found[JSON] == "failed" or page.main_frame.child_frames


@pytest.mark.parametrize("sites", SITES)
@pytest.mark.parametrize("options", [{"mode": "no-cors"}, {"mode": "cors"}, {"mode": "no-cors", "method": "POST"}])
def test_nothing_can_be_fetched(elsewhere, sites, options):
    page, at = elsewhere(sites)
    found = {path: page.evaluate(FETCH, [at(path), options]) for path in (PHOTO, MISSING, JSON, PAGE)}
    assert set(found.values()) == {"failed"}, found


@pytest.mark.parametrize("sites", SITES)
@pytest.mark.parametrize("path", [PHOTO, PAGE])
def test_nothing_can_be_framed(elsewhere, sites, path):
    page, at = elsewhere(sites)
    page.evaluate(LOAD, ["iframe", at(path)])
    (frame,) = page.main_frame.child_frames
    expect(page.locator("iframe")).to_be_attached()
    assert frame.locator(".tile, img").count() == 0
    assert frame.url.startswith("chrome-error:")


@pytest.mark.parametrize("sites", TRUSTWORTHY)
def test_requests_of_pages_are_refused_alike_whatever_photo_they_name(elsewhere, sites):
    page, at = elsewhere(sites)
    failures = []
    page.on("requestfailed", lambda request: failures.append((request.resource_type, request.failure)))
    paths = (PHOTO, THUMBNAIL, MISSING, JSON)
    for path in paths:
        page.evaluate(LOAD, ["img", at(path)])
        page.evaluate(FETCH, [at(path), {"mode": "no-cors"}])
    told = Counter(failures)  # each kind of request fails in one way, whatever it names
    assert dict(told) == {(kind, why): len(paths) for kind, why in told}
    assert {kind for kind, _ in told} == {"image", "fetch"}


@pytest.mark.parametrize("sites", TRUSTWORTHY)
@pytest.mark.parametrize("path", ["/", PAGE, "/nowhere"])
def test_no_handle_of_an_opened_window_is_kept(elsewhere, sites, path):
    page, at = elsewhere(sites)
    assert page.evaluate(OPEN, at(path)) == "severed"


@pytest.mark.parametrize("sites", SITES)
def test_the_handle_of_a_photos_window_does_not_tell_whether_there_is_one(elsewhere, sites):
    page, at = elsewhere(sites)
    seen = []
    for path in (PHOTO, MISSING):
        with page.context.expect_page() as opened:
            page.evaluate("(address) => { window.opened = open(address); }", at(path))
        opened.value.wait_for_url(at(path), wait_until="load")
        seen.append(page.evaluate(LOOK))
    assert seen == [[False, 0, "SecurityError"]] * 2


@pytest.mark.parametrize("sites", SITES)
@pytest.mark.parametrize("path", ["/similar_image", "/api/v1/search"])
def test_no_form_can_be_sent_here(elsewhere, sites, path):
    page, at = elsewhere(sites)
    with page.expect_navigation(url=at(path)) as answer:
        page.evaluate(POST, at(path))
    assert answer.value.status == 403


@pytest.mark.parametrize("sites", SITES)
@pytest.mark.parametrize("path", [PAGE, PHOTO])
def test_a_link_leads_here(elsewhere, sites, path):
    page, at = elsewhere(sites)
    page.evaluate(LINK, at(path))
    with page.expect_navigation(url=at(path)) as answer:
        follow(page, "There")
    assert answer.value.status == 200
    page.wait_for_function("[...document.images].slice(0, 1).every((image) => image.naturalWidth)")
    assert page.evaluate("document.images.length")


def test_the_pages_work_at_a_plain_address_of_the_network(elsewhere):
    page, at = elsewhere("another site of the network")
    page.goto(at("/"))
    choose(page, PHOTOS / "cats" / "tiger.jpg")
    assert shown(page)[0] == "cats/tiger.jpg"


def test_the_page_of_an_uploaded_photo_comes_back_without_sending_it_again(page):
    with page.expect_response("**/similar_image") as first:
        choose(page, PHOTOS / "cats" / "tiger.jpg")
    follow(page, "More like this")
    again = page.go_back()
    assert shown(page)[0] == "cats/tiger.jpg"
    assert again.header_value("x-request-id") == first.value.header_value("x-request-id")
