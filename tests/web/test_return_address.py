"""Where a visitor comes back to after the login: only to addresses of this site, and below the proxy's prefix."""

from urllib.parse import urlsplit

import pytest
from flask import Flask, request

from app.web.return_address import asked_address, return_address

app = Flask(__name__)


def asked(path, **more):
    with app.test_request_context(path, **more):
        return asked_address()


def returned(address):
    with app.test_request_context("/login", query_string={"next": address}):
        return return_address()


@pytest.mark.parametrize(
    "address",
    [
        "/collections",
        "/image_search?q=a+dog&k=3",
        "/image_search?q=%2F%2Fevil.example&like=a%23xywh%3Dpercent:0,0,1,1",
        "/image/a%20b/%C3%A4%0A.jpg",
        "/image/a%3Fb%23c%25.jpg",
        "/?lang=de",
    ],
)
def test_the_address_that_was_asked_for_is_returned_to(address):
    kept = asked(address)
    assert kept is not None
    assert returned(kept) == kept
    with app.test_request_context(address):
        before = request.full_path
    with app.test_request_context(kept):
        assert request.full_path == before


def test_the_home_page_and_forms_need_no_address():
    assert asked("/") is None
    assert asked("/similar_image", method="POST") is None
    assert asked("/login") is None


def test_a_long_address_loses_its_query():
    assert asked(f"/image_search?q={'a' * 3000}") == "/image_search"
    assert asked(f"/{'a' * 3000}") is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        "collections",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "\t//evil.example",
        " //evil.example",
        "/ /evil.example",
        "https://evil.example/",
        "https:evil.example",
        "http:///evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "//localhost/",
        "/a\\b",
        "/a\r\nSet-Cookie: a=b",
        "/\x00",
        "/\u2028",
        "/ä",
        "/..",
        "/../other",
        "/./../other",
        "/a/../../other",
        "/%2e%2e/other",
        "/.%2E/other",
        "/a/..%5c../other",
        "/login",
        "/login?next=/login",
        "/logout",
        f"/{'a' * 2000}",
    ],
)
def test_other_addresses_are_not_returned_to(address):
    assert returned(address) is None


@pytest.mark.parametrize(
    "address", ["/@evil.example", "/:80", "/;//evil.example", "/a//b", "/%2F/evil.example", "/?//x"]
)
def test_odd_addresses_of_this_site_stay_on_it(address):
    assert returned(address) == address
    parts = urlsplit(address)
    assert (parts.scheme, parts.netloc) == ("", "")
