"""How large a request may be, and what a refused one is answered. Nothing is asked of Elasticsearch."""

import pytest

from app import create_app
from app.services import Services
from app.web.request_limits import MAX_ADDRESS, MAX_FIELDS, MAX_FORM
from image_embeddings import errors
from image_embeddings.config import load_settings

FORM = "application/x-www-form-urlencoded"


def client_of(tmp_path, error):
    """Return a client of an app whose search fails with that error."""

    def fail(settings):
        raise error

    settings = load_settings({"DATA_DIR": str(tmp_path)})
    return create_app(settings, services=Services(settings, open_search=fail)).test_client()


@pytest.fixture
def client(tmp_path):
    return client_of(tmp_path, errors.IndexMissingError("Nothing is indexed."))


def form_of(length):
    return ("q=red&unknown=" + "x" * length)[:length]


@pytest.mark.parametrize("address", ["/similar_image", "/api/v1/search", "/api/v1/searches"])
def test_a_form_without_files_has_64_kb_at_most(client, address):
    most = client.post(address, data=form_of(MAX_FORM), content_type=FORM)
    more = client.post(address, data=form_of(MAX_FORM + 1), content_type=FORM)
    assert (most.status_code, more.status_code) == (400, 413)
    assert "larger than" not in more.text


def test_a_form_that_does_not_say_its_length_has_64_kb_at_most(client):
    chunked = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    answer = client.post("/api/v1/search", data=form_of(MAX_FORM + 1), content_type=FORM, environ_overrides=chunked)
    assert (answer.status_code, answer.json["error"]["code"]) == (413, "request_entity_too_large")


@pytest.mark.parametrize(
    "fields", [{"q": "x" * (MAX_FORM + 1)}, {f"f{number}": "" for number in range(MAX_FIELDS + 1)}]
)
@pytest.mark.parametrize("address", ["/similar_image", "/api/v1/search"])
def test_the_fields_beside_files_are_limited_too(client, address, fields):
    answer = client.post(address, data=fields, content_type="multipart/form-data")
    assert (answer.status_code, len(answer.data) < 20_000) == (413, True)


@pytest.mark.parametrize("more", ["q=" + "x" * MAX_ADDRESS, "&".join(["a"] * (MAX_FIELDS + 1))])
@pytest.mark.parametrize("address", ["/", "/image_search", "/api/v1/search", "/image/a.jpg"])
def test_an_address_is_limited(client, address, more):
    answer = client.get(f"{address}?{more}")
    assert (answer.status_code, len(answer.data) < 20_000) == (414, True)


def test_an_unknown_address_and_a_wrong_method_stay_what_they_are(client):
    assert client.get("/nowhere?" + "x" * 2 * MAX_ADDRESS).status_code == 404
    assert client.post("/", data=form_of(2 * MAX_FORM), content_type=FORM).status_code == 405


def test_a_refusal_repeats_a_hundred_characters_of_a_value(client):
    said = client.post("/api/v1/search", data={"q": "red", "k": "y" * 50_000}).json["error"]["message"]
    assert said == f"k: '{'y' * 100}…' is no whole number."


def test_a_refusal_names_five_problems(client):
    fields = {**{f"unknown{number}" + "z" * 500: "1" for number in range(50)}, "q": "red"}
    said = client.post("/api/v1/search", data=fields).json["error"]["message"]
    assert said.count("Unknown field.") == 5
    assert said.endswith("; and 45 more")
    assert len(said) < 1000


@pytest.mark.parametrize("address", ["/similar_image", "/api/v1/search"])
def test_a_part_of_a_form_without_a_name_does_no_harm(client, address):
    part = "--x\r\nContent-Disposition: form-data\r\n\r\nred\r\n--x--\r\n"
    answer = client.post(address, data=part, content_type="multipart/form-data; boundary=x")
    assert answer.status_code == 400


WORDS_OF_ELASTICSEARCH = "failed to parse date field [xyz]"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.RequestError(WORDS_OF_ELASTICSEARCH, status=400, kind="parse_exception"), 500, "internal_error"),
        (errors.BlockedError("The index is closed.", status=400), 503, "elasticsearch_blocked"),
    ],
)
@pytest.mark.parametrize("address", ["/image_search?q=red", "/api/v1/search?q=red"])
def test_a_request_of_ours_that_elasticsearch_cannot_read_is_our_fault(tmp_path, caplog, address, error, status, code):
    answer = client_of(tmp_path, error).get(address)
    assert answer.status_code == status
    assert WORDS_OF_ELASTICSEARCH not in answer.text
    assert code in caplog.text or WORDS_OF_ELASTICSEARCH in caplog.text
