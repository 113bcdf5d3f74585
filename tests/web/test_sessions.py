import json
import stat

import pytest
from flask import Flask, Response

from app.web.sessions import LIFETIME, EndedSessions, Sessions

app = Flask(__name__)
KEY = b"k" * 32


@pytest.fixture
def ended(tmp_path):
    return tmp_path / "ended.json"


def sessions_of(ended, key=KEY):
    return Sessions(key, cookie="login_x", ended=EndedSessions(ended))


def begin(sessions, **context):
    with app.test_request_context("/", **context):
        response = Response()
        sessions.begin(response)
    return response.headers["Set-Cookie"]


def value_of(cookie):
    return cookie.partition("=")[2].partition(";")[0]


def current(sessions, value):
    with app.test_request_context("/", headers={"Cookie": f"login_x={value}"}):
        return sessions.current()


def end(sessions, value):
    with app.test_request_context("/", headers={"Cookie": f"login_x={value}"}):
        response = Response()
        sessions.end(response)
    return response.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("context", "path", "secure"),
    [
        ({}, "Path=/", False),
        ({"base_url": "https://example.org"}, "Path=/", True),
        ({"base_url": "https://example.org/photos"}, "Path=/photos", True),
    ],
)
def test_the_cookie_is_for_this_site_alone(ended, context, path, secure):
    attributes = begin(sessions_of(ended), **context).split("; ")[1:]
    assert {"HttpOnly", "SameSite=Lax", path, f"Max-Age={30 * 24 * 3600}"} <= set(attributes)
    assert ("Secure" in attributes) == secure
    assert not any(attribute.startswith("Domain") for attribute in attributes)


def test_a_session_counts_in_every_process_that_has_the_key(ended):
    value = value_of(begin(sessions_of(ended)))
    assert current(sessions_of(ended), value)
    assert current(sessions_of(ended, b"l" * 32), value) is None


def test_two_sessions_have_different_cookies(ended):
    assert begin(sessions_of(ended)) != begin(sessions_of(ended))


def test_a_changed_cookie_does_not_count(ended):
    sessions = sessions_of(ended)
    value = value_of(begin(sessions))
    session, moment, signature = value.split(".")
    changed = [f"{session[::-1]}.{moment}.{signature}", f"{session}.zzzzzz.{signature}", session, f"{session}.{moment}"]
    for sent in (*changed, "", ".", "..", value[:-2], value.upper(), "a" * 10_000, "ä.ö.ü"):
        assert current(sessions, sent) is None, sent


def test_a_session_ends_after_its_time(ended, monkeypatch):
    sessions = sessions_of(ended)
    now = 1_800_000_000
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now)
    value = value_of(begin(sessions))
    now += LIFETIME
    assert current(sessions, value)
    now += 1
    assert current(sessions, value) is None


def test_a_session_that_was_ended_counts_nowhere(ended):
    here, elsewhere = sessions_of(ended), sessions_of(ended)
    first, second = value_of(begin(here)), value_of(begin(here))
    assert current(elsewhere, first)
    assert "Max-Age=0" in end(here, first)
    for sessions in (here, elsewhere, sessions_of(ended)):
        assert current(sessions, first) is None
        assert current(sessions, second)
    end(elsewhere, second)
    assert current(here, second) is None
    assert current(here, first) is None
    assert stat.S_IMODE(ended.stat().st_mode) == 0o600


def test_a_session_that_does_not_count_is_not_kept(ended):
    end(sessions_of(ended), "forged.abc.def")
    assert not ended.exists()


def test_sessions_that_have_ended_by_themselves_are_not_kept(ended, monkeypatch):
    EndedSessions(ended).add("the first")
    monkeypatch.setattr("app.web.sessions.time.time", lambda: 1e11)
    EndedSessions(ended).add("the second")
    assert list(json.loads(ended.read_text())) == ["the second"]


def test_a_damaged_file_ends_no_session_and_is_written_anew(ended):
    sessions = sessions_of(ended)
    value = value_of(begin(sessions))
    ended.write_text("{")
    assert current(sessions, value)
    end(sessions, value)
    assert current(sessions_of(ended), value) is None


def test_without_a_place_to_keep_it_a_session_ends_in_this_process(tmp_path, caplog):
    (tmp_path / "data").write_text("a file")
    sessions = sessions_of(tmp_path / "data" / "ended.json")
    value = value_of(begin(sessions))
    end(sessions, value)
    assert current(sessions, value) is None
    assert "cannot be kept" in caplog.text
