import pytest
from flask import url_for

from app import create_app
from app.web.addresses import MOST_ROOTS, address_of
from image_embeddings.config import load_settings

APP = create_app(load_settings({}))
NAMES = [
    "a.jpg",
    "ä/犬 1.jpg",
    "a%2fb?c#d.jpg",
    "'\"<&>;=+,:@!$()*~[]{}|\\^`.jpg",
    "a//b.jpg",
    "\u2028\x07.jpg",
    "/a",
    "-",
    ".",
]


@pytest.mark.parametrize("prefix", ["", "/photos"])
@pytest.mark.parametrize("name", NAMES)
def test_addresses_are_those_of_flask(name, prefix):
    with APP.test_request_context(base_url=f"http://localhost{prefix}"):
        for _ in range(2):
            assert address_of("static", filename=name) == url_for("static", filename=name)
            for endpoint in ("photos.image", "photos.thumbnail"):
                assert address_of(endpoint, image_id=name) == url_for(endpoint, image_id=name)


def test_other_addresses_are_those_of_flask():
    with APP.test_request_context():
        assert address_of("pages.image_search", q="a b") == "/image_search?q=a+b"
        assert address_of("photos.image", image_id="a.jpg", original="") == "/image/a.jpg?original="
        assert address_of("photos.image", image_id="a.jpg", _external=True) == "http://localhost/image/a.jpg"
        assert address_of("api.image", image_id="a.jpg") == "/api/v1/images/a.jpg"


def test_requests_below_another_prefix_have_addresses_of_their_own():
    for prefix in ("/one", "/two"):
        with APP.test_request_context(base_url=f"http://localhost{prefix}"):
            assert address_of("photos.image", image_id="a.jpg") == f"{prefix}/image/a.jpg"


def test_the_addresses_below_a_few_prefixes_are_kept():
    for number in range(3 * MOST_ROOTS):
        with APP.test_request_context(base_url=f"http://localhost/{number}"):
            assert address_of("photos.image", image_id="a.jpg") == f"/{number}/image/a.jpg"
            assert address_of("pages.home") == f"/{number}/"
    assert len(APP.extensions["addresses"]) <= MOST_ROOTS
