import pytest
from flask import Flask
from werkzeug.wrappers import Response

from app.web.cookies import delete_cookie, set_cookie


def cookie_of(response):
    name_and_value, *attributes = response.headers["Set-Cookie"].split("; ")
    return name_and_value, {each for each in attributes if not each.startswith("Expires=")}


@pytest.mark.parametrize(
    ("address", "path", "of_address"),
    [
        ("http://photos.example", "", {"Path=/"}),
        ("https://photos.example", "/photos", {"Path=/photos", "Secure"}),
    ],
)
def test_a_cookie_is_set_and_removed_with_the_same_options(address, path, of_address):
    options = {"HttpOnly", "SameSite=Lax", *of_address}
    kept, removed = Response(), Response()
    with Flask("cookies").test_request_context(base_url=address + path + "/"):
        set_cookie(kept, "name", "value", max_age=60)
        delete_cookie(removed, "name")
    assert cookie_of(kept) == ("name=value", {"Max-Age=60", *options})
    assert cookie_of(removed) == ("name=", {"Max-Age=0", *options})
