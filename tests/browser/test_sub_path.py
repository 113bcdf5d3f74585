"""The web app at /photos behind a real nginx, with the configuration of the docs: everything stays below /photos.

Every page is opened by a visit that fails if the page requests anything outside of /photos.
"""

import re

import pytest
import requests
from playwright.sync_api import expect

from tests import nginx
from tests.browser import webapp
from tests.browser.filters import unfold
from tests.browser.visit import choose, follow, search, shown, tiles, watched

pytestmark = [pytest.mark.browser, pytest.mark.server]

TRUSTING = {"TRUSTED_PROXIES": "127.0.0.1"}
PHOTO = webapp.PHOTOS / "cats" / "tiger.jpg"


@pytest.fixture(scope="module")
def proxied(site, tmp_path_factory):
    """The address of the sample photos behind nginx."""
    folder = tmp_path_factory.mktemp("proxied")
    trusting = {**site, **TRUSTING}
    with webapp.served(trusting, log=folder / "gunicorn.log") as app, nginx.sub_path(app, folder) as address:
        yield address


@pytest.fixture(scope="module")
def proxied_album(album_site, tmp_path_factory):
    """The address of the album behind nginx."""
    folder = tmp_path_factory.mktemp("proxied-album")
    trusting = {**album_site, **TRUSTING}
    with webapp.served(trusting, log=folder / "gunicorn.log") as app, nginx.sub_path(app, folder) as address:
        yield address


@pytest.fixture
def visit(contexts, proxied):
    with watched(contexts, proxied) as visit:
        yield visit


def load_more(page):
    page.get_by_role("link", name="More photos").dispatch_event(
        "click"
    )  # without scrolling, which loads more by itself


def test_a_visitor_searches_and_sees_more_photos(visit, proxied):
    page = visit("")
    expect(page.locator("a.brand")).to_have_attribute("href", "/photos/")
    search(page, "a cat")
    assert page.url.startswith(f"{proxied}/image_search?q=a+cat")
    load_more(page)
    expect(tiles(page)).to_have_count(40)
    tiles(page).evaluate_all(
        "images => Promise.all(images.map(image => { image.loading = 'eager'; return image.decode() }))"
    )


def test_an_edited_search_is_redirected_below_the_prefix(visit, proxied):
    page = visit("")
    search(page, "dog -cat")
    assert page.url.startswith(f"{proxied}/image_search?")
    assert "without=cat" in page.url


def test_a_photo_opens_with_its_details_and_leads_to_others_like_it(visit, proxied):
    page = visit("image_search?q=a+cat")
    page.locator(".grid a.photo").first.click()
    lightbox = page.locator("#lightbox")
    expect(lightbox.locator(".large")).to_have_attribute("src", re.compile(f"^{proxied}/image/cats/"))
    expect(lightbox.locator(".download")).to_have_attribute("href", re.compile(r"^/photos/image/.*\?original$"))
    lightbox.locator(".about").click()
    expect(lightbox.locator(".facts")).to_contain_text("cats")
    with page.expect_navigation():
        lightbox.locator(".like.action").click()
    assert page.url.startswith(f"{proxied}/similar_image?")


def test_a_photo_is_searched_by(visit, proxied):
    page = visit("")
    choose(page, PHOTO)
    assert page.url == f"{proxied}/similar_image"
    assert shown(page)[0] == "cats/tiger.jpg"
    page.locator("#more button").dispatch_event("click")
    expect(tiles(page)).to_have_count(40)


def test_the_language_is_chosen_and_its_cookie_is_the_prefixs_own(visit, proxied):
    page = visit("image_search?q=a+cat")
    follow(page, "Deutsch")
    assert page.url == f"{proxied}/image_search?q=a+cat"
    expect(page.locator("html")).to_have_attribute("lang", "de")
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["path"]) == ("lang", "/photos")


def test_collections_and_error_pages_link_below_the_prefix(visit, proxied):
    page = visit("collections")
    with page.expect_navigation():
        page.locator("main li a").first.click()
    assert page.url.startswith(f"{proxied}/image_search?")
    page = visit("nowhere")
    follow(page, "Start a new search")
    assert page.url == f"{proxied}/"


def test_the_map_leads_to_photos(contexts, proxied_album):
    with watched(contexts, proxied_album) as visit:
        page = visit("")
        unfold(page)
        with page.expect_navigation():
            page.get_by_role("group", name="Map of the photos").get_by_role("link").first.click()
        assert page.url.startswith(f"{proxied_album}/image_search?place=")
        assert len(shown(page)) == 4


@pytest.fixture
def get(proxied):
    """Sends a request with these headers to the proxy, and follows no redirect."""
    with requests.Session() as session:
        session.trust_env = False

        def send(path, **headers):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return session.get(proxied + path, headers=named, allow_redirects=False, timeout=60)

        yield send


def test_the_json_api_names_addresses_below_the_prefix(get, proxied):
    document = get("/api/openapi.json").json()
    assert document["servers"] == [{"url": "/photos"}]
    (hit,) = get("/api/v1/search?q=a+cat&k=1").json()["hits"]
    for name in ("image_url", "thumbnail_url"):
        assert hit[name].startswith("/photos/")
        assert get(hit[name].removeprefix("/photos")).status_code == 200
    assert get("/healthz").status_code == 200


def test_the_address_without_a_slash_leads_to_the_home_page(get):
    answer = get("")
    assert (answer.status_code, answer.headers["Location"].partition("/photos")[1:]) == (301, ("/photos", "/"))


def test_the_proxys_own_headers_replace_those_of_a_visitor(get):
    forged = {"X_Forwarded_Prefix": "//evil.example", "X_Forwarded_Proto": "https", "X_Forwarded_Host": "evil.example"}
    answer = get("/image_search?q=dog+-cat", **forged)
    assert answer.headers["Location"].startswith("/photos/image_search?")
    assert "Secure" not in get("/?lang=de", **forged).headers["Set-Cookie"]


def test_without_trusted_proxies_the_headers_have_no_effect(address):
    forged = {"X-Forwarded-Prefix": "/evil", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    forged |= {"Script-Name": "/evil", "SCRIPT_NAME": "/evil", "X-Forwarded-Ssl": "on"}
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{address}/?lang=de", headers=forged, allow_redirects=False, timeout=60)
        assert answer.headers["Location"] == "/"
        assert "Secure" not in answer.headers["Set-Cookie"]
        assert "/evil" not in session.get(f"{address}/", headers=forged, timeout=60).text
