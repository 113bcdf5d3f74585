"""The login page: in by the password, out again, and how often it may be tried."""

import html5lib
import pytest

from app import create_app
from app.web.attempts import OF_ONE_SENDER
from image_embeddings.config import load_settings

pytestmark = pytest.mark.usefixtures("quick_hashes")

PASSWORD = "Schlüssel zum Garten"
PROXIED = {"TRUSTED_PROXIES": "127.0.0.1"}


@pytest.fixture
def client_of(tmp_path):
    def make(password=PASSWORD, **settings):
        settings = {"ES_HOST": "http://127.0.0.1:9", "APP_PASSWORD": password, **settings}
        return create_app(load_settings(settings, data_dir=tmp_path)).test_client()

    return make


@pytest.fixture
def client(client_of):
    return client_of()


def log_in(client, password=PASSWORD, path="/login", **more):
    return client.post(path, data={"password": password}, **more)


def comes_in(client, **more):
    return client.get("/metrics", **more).status_code == 200


def test_the_right_password_lets_in_to_pages_and_api(client):
    assert not comes_in(client)
    answer = log_in(client)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert answer.headers["Cache-Control"] == "no-store"
    assert comes_in(client)
    assert client.get("/api/v1/status").status_code == 503  # there is no Elasticsearch
    assert client.get("/login?next=/collections").headers["Location"] == "/collections"


@pytest.mark.parametrize("password", ["", "not this one", PASSWORD.lower(), "x" * 2000])
def test_a_wrong_password_lets_in_nobody(client, password, caplog):
    answer = log_in(client, password)
    assert answer.status_code == 403
    assert "This password is wrong." in answer.text
    assert "Set-Cookie" not in answer.headers
    assert not comes_in(client)
    assert "A wrong password from 127.0.0.1" in caplog.text
    assert not password or password not in caplog.text + answer.text


def test_a_request_without_a_password_is_a_wrong_one(client):
    assert client.post("/login").status_code == 403
    assert client.post("/login", json={"password": PASSWORD}).status_code == 403
    assert client.post(f"/login?password={PASSWORD}").status_code == 403


def test_a_long_form_is_not_read(client):
    assert client.post("/login", data={"password": PASSWORD, "x": "x" * 20_000}).status_code == 413
    assert not comes_in(client)


def test_the_password_is_in_no_log(client, caplog):
    caplog.set_level("DEBUG")
    log_in(client)
    log_in(client, "a wrong password of mine")
    assert caplog.records
    assert [word for word in (PASSWORD, "a wrong password of mine") if word in caplog.text] == []


def test_a_new_password_ends_all_sessions(client, client_of):
    log_in(client)
    (cookie,) = client._cookies.values()
    for password, still in ((PASSWORD, True), ("another password", False)):
        later = client_of(password)
        later.set_cookie(cookie.key, cookie.value)
        assert comes_in(later) == still
    for key, still in (("a key", False), ("", True)):
        later = client_of(SECRET_KEY=key)
        later.set_cookie(cookie.key, cookie.value)
        assert comes_in(later) == still


def test_logging_out_ends_the_session_even_of_a_copied_cookie(client, client_of):
    log_in(client)
    (cookie,) = client._cookies.values()
    copy = client_of()
    copy.set_cookie(cookie.key, cookie.value)
    assert comes_in(copy)
    answer = client.post("/logout")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert not comes_in(client)
    assert not comes_in(copy)
    assert client.post("/logout").headers["Location"] == "/login"
    assert client.get("/logout").headers["Location"] == "/login"


def test_a_logout_over_https_clears_what_the_browser_keeps(client):
    https = {"base_url": "https://localhost"}
    log_in(client, **https)
    assert client.post("/logout", **https).headers["Clear-Site-Data"] == '"cache"'


# The address that was asked for


def test_the_visitor_comes_back_to_the_address_that_he_asked_for(client):
    asked = "/image_search?q=a+dog&k=3&like=a%23b%2F"
    login = client.get(asked).headers["Location"]
    form = form_of(client.get(login))
    assert log_in(client, "wrong password", path=form.get("action")).status_code == 403
    assert log_in(client, path=form.get("action")).headers["Location"] == asked


def form_of(answer):
    return html5lib.parse(answer.text, namespaceHTMLElements=False).find(".//form[@class='log-in']")


@pytest.mark.parametrize("address", ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example"])
def test_other_sites_are_not_led_to(client, address):
    query = {"query_string": {"next": address}}
    assert form_of(client.get("/login", **query)).get("action") == "/login"
    assert log_in(client, **query).headers["Location"] == "/"
    assert client.get("/login", **query).headers["Location"] == "/"


@pytest.mark.parametrize("address", ["/collections", "/../other", "//evil.example"])
def test_everything_stays_below_a_proxys_prefix(client_of, address):
    client = client_of(**PROXIED)
    told = {"X-Forwarded-Prefix": "/photos", "X-Forwarded-Proto": "https"}
    led = client.get("/collections", headers=told).headers["Location"]
    assert led == "/photos/login?next=/collections"
    answer = log_in(client, headers=told, query_string={"next": address})
    assert answer.headers["Location"] == ("/photos/collections" if address == "/collections" else "/photos/")
    attributes = answer.headers["Set-Cookie"].split("; ")
    assert {"Path=/photos", "Secure", "HttpOnly", "SameSite=Lax"} <= set(attributes)
    browser = client.application.test_client(use_cookies=False)  # a jar would drop a cookie of another path
    answer = browser.post("/logout", headers={**told, "Cookie": attributes[0]})
    assert "Path=/photos" in answer.headers["Set-Cookie"]


# How often it may be tried


def test_after_ten_attempts_even_the_right_password_has_to_wait(client):
    for _ in range(OF_ONE_SENDER):
        assert log_in(client, "wrong password").status_code == 403
    answer = log_in(client)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "Too many attempts. Try again in" in answer.text
    assert not comes_in(client)
    other = {"environ_base": {"REMOTE_ADDR": "192.0.2.1"}}
    assert log_in(client, **other).status_code == 303


def test_the_sender_is_the_one_that_a_trusted_proxy_names(client_of):
    def tries(client, **headers):
        return [log_in(client, "wrong password", headers=headers).status_code for _ in range(OF_ONE_SENDER + 1)][-1]

    client = client_of(**PROXIED)
    assert tries(client, **{"X-Forwarded-For": "192.0.2.1"}) == 429
    assert log_in(client, headers={"X-Forwarded-For": "192.0.2.2"}).status_code == 303
    unheard = client_of()
    assert tries(unheard, **{"X-Forwarded-For": "192.0.2.1"}) == 429
    assert log_in(unheard, headers={"X-Forwarded-For": "192.0.2.2"}).status_code == 429


def test_those_who_are_in_notice_nothing_of_others_attempts(client):
    log_in(client)
    for _ in range(OF_ONE_SENDER):
        log_in(client, "wrong password")
    assert comes_in(client)


# Other sites


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://localhost"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://untold.example"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "http://localhost:8000"}, False),
        ({"Origin": "http://localhost.evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://["}, False),
        ({"Origin": ""}, False),
    ],
)
def test_a_form_of_another_site_is_refused_and_counts_as_no_attempt(client, headers, taken):
    for _ in range(1 if taken else OF_ONE_SENDER + 1):
        assert log_in(client, headers=headers).status_code == (303 if taken else 403)
    assert comes_in(client) == taken
    log_in(client)
    assert client.post("/logout", headers=headers).status_code == (303 if taken else 403)
    assert comes_in(client) != taken


# The page


def test_the_page_has_no_script_and_says_nothing_of_the_photos(client):
    page = html5lib.parse(client.get("/login").text, namespaceHTMLElements=False)
    assert page.findall(".//script") == []
    assert [form.get("class") for form in page.findall(".//form")] == ["log-in"]
    field = page.find(".//input[@id='password']")
    assert (field.get("type"), field.get("autocomplete")) == ("password", "current-password")


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("en", "Log in"),
        ("de", "Anmelden"),
        ("es", "Iniciar sesión"),
        ("fr", "Connexion"),
        ("it", "Accedi"),
        ("ja", "ログイン"),
    ],
)
def test_the_page_is_in_each_language_and_the_choice_keeps_the_address(client, code, title):
    answer = client.get("/login", query_string={"next": "/collections", "lang": code})
    assert answer.headers["Location"] == "/login?next=%2Fcollections"
    page = client.get(answer.headers["Location"])
    assert html5lib.parse(page.text, namespaceHTMLElements=False).find(".//h1").text == title
    assert form_of(page).get("action") == "/login?next=/collections"


def test_pages_offer_the_way_out_to_those_who_have_logged_in(client):
    log_in(client)
    assert 'action="/logout"' in client.get("/nowhere").text
    unlocked = create_app(load_settings({})).test_client()
    assert 'action="/logout"' not in unlocked.get("/nowhere").text
