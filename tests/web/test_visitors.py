"""What visitors are told if something fails, and what the operator is told. Elasticsearch is not needed."""

import logging
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from app import create_app
from app.services import Services
from app.web import visitors
from app.web.languages import LANGUAGES
from app.web.request_record import request_fields
from image_embeddings import errors
from image_embeddings.config import load_settings
from image_embeddings.log_format import log_formatter
from tests.pictures import save

VISITOR = {"REMOTE_ADDR": "203.0.113.7"}
SHOWS_ITS_MESSAGE = {errors.QueryError, errors.ImageUnreadableError, errors.ImageTooLargeError, errors.ImageSlowError}
ADDRESSES = [
    *("/", "/collections", "/image_search?q=a", "/image_search?like=a.jpg", "/similar_image?id=a.jpg", "POST"),
    *("/image/a.jpg", "/thumbnail/a.jpg", "/thumbnail/a.jpg?v=ab&s=ab", "/readyz", "/healthz", "/metrics"),
    *("/api/v1/search?q=a", "/api/v1/search?like=a.jpg", "/api/v1/images/a.jpg"),
    *("/api/v1/status", "/api/v1/collections"),
]
DATA_DIR, IMAGE_DIR = Path("/proc/secret/data"), Path("/proc/secret/photos")  # nobody can make them
SECRETS = ("secret/data", "secret/photos", "es.internal", ":9201", "no_shard_available_exception", "index.blocks")
MESSAGE = f"{DATA_DIR} {IMAGE_DIR} http://es.internal:9201 no_shard_available_exception: index.blocks.read"
OPEN = {"ES_HOST": "http://es.internal:9201", "ALLOW_WITHOUT_PASSWORD": "yes", "TRUSTED_HOSTS": "*"}
APP = create_app(load_settings(OPEN, data_dir=DATA_DIR, image_dir=IMAGE_DIR))


def all_errors(kind=errors.ImageSearchError):
    return [kind, *(found for sub in kind.__subclasses__() for found in all_errors(sub))]


def app_that_fails(error, **given):
    """Return the app whose search cannot be opened."""

    def fail(settings):
        raise error

    services = Services(APP.extensions["services"].settings, open_search=fail)
    for name, value in given.items():
        setattr(services, name, value)
    APP.extensions["services"] = services
    return APP


def ask(app, address, **options):
    client = app.test_client()
    if address == "POST":
        return client.post("/similar_image", data={"image": options.pop("photo").open("rb")}, **options)
    options.pop("photo", None)
    return client.get(address, **options)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    return save(tmp_path_factory.mktemp("photo") / "x.png", colour="red")


@pytest.fixture
def log():
    """The lines of the log as the app writes them."""
    handler = logging.StreamHandler(StringIO())
    handler.setFormatter(log_formatter("text", fields=request_fields))
    logging.getLogger().addHandler(handler)
    yield handler.stream
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("kind", [kind for kind in all_errors() if kind not in SHOWS_ITS_MESSAGE])
def test_no_answer_tells_visitors_what_is_inside_and_the_log_has_it_with_the_id(kind, photo, log):
    app = app_that_fails(kind(MESSAGE))
    for address in ADDRESSES:
        log.truncate(log.seek(0))
        answer = ask(app, address, photo=photo, environ_base=VISITOR, headers={"X-Request-ID": "mine"})
        assert [secret for secret in SECRETS if secret in answer.text + str(answer.headers)] == [], address
        if answer.status_code >= 400:
            (line,) = [line for line in log.getvalue().splitlines() if MESSAGE in line]
            assert f"[mine] {kind.code}: " in line


def test_only_errors_about_the_request_itself_show_their_message():
    app = app_that_fails(ValueError())
    with app.test_request_context(environ_base=VISITOR):
        shown = {kind for kind in all_errors() if visitors.message_of(kind(MESSAGE)) == MESSAGE}
    assert shown == SHOWS_ITS_MESSAGE


@pytest.mark.parametrize("parent", [errors.ImageSearchError, errors.QueryError])
def test_a_new_type_of_error_shows_the_general_sentence(parent):
    class NewError(parent):
        pass

    answer = ask(app_that_fails(NewError(MESSAGE)), "/api/v1/search?q=a", environ_base=VISITOR)
    assert answer.json["error"]["message"] == visitors.GENERAL


def test_an_unexpected_error_tells_nobody_what_it_is(log):
    for environ in (VISITOR, {}):
        answer = ask(app_that_fails(ValueError(MESSAGE)), "/image_search?q=a", environ_base=environ)
        assert (answer.status_code, MESSAGE in answer.text) == (500, False)
    assert log.getvalue().count("Traceback (most recent call last)") == 2


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_pages_tell_visitors_in_their_language(language):
    for kind in all_errors():
        in_language = {"environ_base": VISITOR, "headers": {"Accept-Language": language}}
        answer = ask(app_that_fails(kind(MESSAGE)), "/image_search?q=a", **in_language)
        if kind not in SHOWS_ITS_MESSAGE:
            assert visitors.visitor_text(kind(MESSAGE)) not in answer.text
            assert 'role="alert">' in answer.text


@pytest.mark.parametrize(
    ("environ", "headers", "is_operator"),
    [
        ({}, {}, True),
        ({"REMOTE_ADDR": "127.8.9.1"}, {"Host": "127.0.0.1:5001"}, True),
        ({"REMOTE_ADDR": "::1"}, {"Host": "[::1]:5001"}, True),
        ({}, {"Host": "photos.localhost"}, True),
        ({"REMOTE_ADDR": "10.0.0.2"}, {}, False),
        ({"REMOTE_ADDR": ""}, {}, False),
        ({"REMOTE_ADDR": "172.17.0.1"}, {"Host": "localhost:5001"}, False),
        ({}, {"Host": "photos.example"}, False),
        ({}, {"Host": "localhost.example"}, False),
        ({}, {"Host": ""}, False),
        ({}, {"X-Forwarded-For": "127.0.0.1"}, False),
        ({}, {"X-Forwarded-Anything": "1"}, False),
        ({}, {"Forwarded": "for=127.0.0.1"}, False),
        ({}, {"Via": "1.1 front"}, False),
        ({}, {"X-Real-IP": "127.0.0.1"}, False),
    ],
)
def test_the_whole_message_is_for_whoever_sits_at_this_machine(environ, headers, is_operator):
    app = app_that_fails(errors.DataDirError(MESSAGE))
    answer = ask(app, "/api/v1/search?q=a", environ_base={"REMOTE_ADDR": "127.0.0.1", **environ}, headers=headers)
    assert (answer.json["error"]["message"] == MESSAGE) is is_operator


def test_the_whole_message_is_in_the_log_alone_if_there_is_a_login(monkeypatch):
    app = app_that_fails(errors.DataDirError(MESSAGE))
    monkeypatch.setitem(app.extensions, "door", SimpleNamespace(is_closed=True))
    with app.test_request_context():
        assert visitors.message_of(errors.DataDirError(MESSAGE)) == visitors.GENERAL


def test_visitors_see_that_a_run_failed_and_the_operator_sees_why(log):
    app = app_that_fails(errors.IndexMissingError("none"), indexing_failure=lambda: MESSAGE)
    page = ask(app, "/", environ_base=VISITOR, headers={"X-Request-ID": "mine"}).text
    assert "The last indexing run failed" in page
    assert "The reason:" not in page
    assert MESSAGE not in page
    assert f"[mine] the last indexing run failed: {MESSAGE}" in log.getvalue()
    assert MESSAGE in ask(app, "/").text


def test_what_a_search_notes_is_told_in_general_to_visitors(log):
    app = app_that_fails(ValueError())
    with app.test_request_context(environ_base=VISITOR):
        assert visitors.message_of_note(None) is None
        assert visitors.message_of_note(MESSAGE) == visitors.OTHER_TEXT_ENCODER
    assert MESSAGE in log.getvalue()
    with app.test_request_context(environ_base={"REMOTE_ADDR": "127.0.0.1"}):
        assert visitors.message_of_note(MESSAGE) == MESSAGE
