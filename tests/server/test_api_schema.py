"""The JSON API compared with its own OpenAPI document: schemathesis makes up valid and invalid requests."""

import re
import sys

import pytest

if sys.version_info < (3, 11):
    pytest.skip("schemathesis needs Python 3.11", allow_module_level=True)

import hypothesis
import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from app import create_app
from image_embeddings.config import load_settings
from tests.server.web_client import colour_app

pytestmark = pytest.mark.server

SEED = 5
CASES = 60  # for each operation, besides those that try each limit of each parameter

# The document is the same without an index; the requests go to the app of the fixture.
REFUSALS = ["400", "404", "413", "414", "415"]  # 413 and 414: a form or an address that is too long is not read at all
CONFIG = {"seed": SEED, "checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}}}
api = schemathesis.openapi.from_wsgi(
    "/api/openapi.json", create_app(load_settings({})), config=schemathesis.Config.from_dict(CONFIG)
)


@pytest.fixture(scope="module")
def api_app(cluster, tmp_path_factory):
    """The app over the colour photos."""
    with colour_app(cluster, tmp_path_factory.mktemp("api-schema"), name="test-api-schema") as app:
        yield app


def with_one_query(case):
    """Return the case with exactly one query, if it has several or none: OpenAPI cannot express that rule."""
    fields = case.body if case.method == "POST" else case.query
    if case.meta.generation.mode.is_positive and isinstance(fields, dict) and case.path == "/api/v1/search":
        for name in sorted({"image", "q", "like"} & set(fields))[1:]:
            del fields[name]
        if not {"image", "q", "like"} & set(fields):
            fields["like" if "k" in fields else "q"] = "warm/red.png"
    return case


@api.parametrize()
@hypothesis.settings(
    max_examples=CASES, deadline=None, database=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
def test_every_answer_fits_the_document(case, api_app):
    excluded = [positive_data_acceptance]
    if case.method == "POST":  # a form's fields are texts, so one value in place of a list looks like a list of one
        excluded.append(negative_data_rejection)
    plain = {"Accept-Encoding": "identity"}  # no server in between decodes it
    with_one_query(case).call_and_validate(app=api_app, excluded_checks=excluded, headers=plain)


# Requests that schemathesis does not send


NONSENSE = {
    "NUL": "%00",
    "NUL inside": "red%00green",
    "a lone surrogate": "%ED%A0%80",
    "two surrogates": "%ED%A0%BD%ED%B8%80",
    "no UTF-8": "%FF%FE",
    "a byte order mark": "%EF%BB%BF",
    "right to left": "%E2%80%AEred",
    "no character": "%EF%BF%BF",
    "a path upwards": "../../etc/passwd",
    "a long path": "a/" * 400,
    "a long name": "x" * 600,
    "a query in Lucene's words": "*:* OR _id:[* TO *]",
    "a long number": "9" * 4000,
    "a number beyond all": "1e999",
    "digits of other scripts": "%D9%A3",
    "no number": "NaN",
    "an object": '{"$ne":null}',
}
PLACES = (
    "/api/v1/search?q={}",
    "/api/v1/search?like={}",
    "/api/v1/search?q=red&folder={}",
    "/api/v1/search?q=red&k={}",
    "/api/v1/search?q=red&offset={}",
    "/api/v1/search?q=red&{}=1",
    "/api/v1/search?q=red&without={}",
    "/api/v1/search?q=red&unlike={}",
    "/api/v1/search?like=warm/red.png%23xywh=percent:{}",
    "/api/v1/search?q=red&weight={}",
    "/api/v1/search?q=red&label={}&camera={}&column={}",
    "/api/v1/search?q=red&column=a={}&facets=true",
    "/api/v1/search?q=red&from={}",
    "/api/v1/search?q=red&place={}",
    "/api/v1/search?q=red&min_width={}",
    "/api/v1/search?q=red&sort={}",
    "/api/v1/images/{}",
    "/image_search?q={}",
    "/image_search?q=red&k={}",
    "/image_search?q=red&offset={}",
    "/similar_image?id={}",
    "/image/{}",
    "/thumbnail/{}",
    "/thumbnail/warm/red.png?v={}",
)


def status(app, address):
    """Return the status of the answer to an address."""
    with app.test_client().get(address) as answer:
        return answer.status_code


def test_nonsense_is_searched_for_or_refused_but_never_an_internal_error(api_app):
    asked = [(name, place) for name in NONSENSE for place in PLACES]
    answers = {(name, place): status(api_app, place.replace("{}", NONSENSE[name])) for name, place in asked}
    assert {what: code for what, code in answers.items() if code >= 500} == {}


def test_a_number_longer_than_python_reads_is_refused(api_app):
    places = ("/api/v1/search?q=red&k={}", "/api/v1/search?q=red&offset={}", "/image_search?q=red&k={}")
    assert {place: status(api_app, place.format("9" * 5000)) for place in places} == dict.fromkeys(places, 400)


def test_an_id_longer_than_elasticsearch_accepts_is_not_found(api_app):
    places = [place for place in PLACES if re.search(r"(like|id|images|image|thumbnail)[=/]{}", place)]
    assert {place: status(api_app, place.format("9" * 5000)) for place in places} == dict.fromkeys(places, 404)


@pytest.mark.parametrize("fields", [{"q": "\x00"}, {"q": "red", "folder": "\x00"}, {"like": "\x00"}, {"image": "text"}])
def test_nonsense_in_a_form_is_refused_too(api_app, fields):
    assert api_app.test_client().post("/api/v1/search", data=fields).status_code in (200, 400, 404)


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/json", b'{"q": "\\ud800"}'),
        ("application/json", b"{"),
        ("text/plain", b"q=red"),
        ("application/x-www-form-urlencoded; charset=utf-7", b"k=+AGE-"),
        ("image/png", b"\x89PNG\r\n\x1a\n"),
        ("", b"\xff" * 100),
    ],
)
def test_a_body_of_another_kind_is_a_bad_query(api_app, content_type, data):
    answer = api_app.test_client().post("/api/v1/search", data=data, content_type=content_type)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_query")


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="q"\r\n\r\nred'),
    ],
)
def test_a_malformed_form_is_a_bad_request(api_app, content_type, data):
    answer = api_app.test_client().post("/api/v1/search", data=data, content_type=content_type)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_request")
