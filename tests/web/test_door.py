"""Every address is closed but a few: who is let in, and what the others are told."""

from io import BytesIO

import pytest
from werkzeug.routing import Map

from app import create_app
from app.web.door import OPEN_ENDPOINTS
from image_embeddings.config import load_settings
from image_embeddings.errors import SettingError

pytestmark = pytest.mark.usefixtures("quick_hashes")

PASSWORD = "my password"
TOKEN = "0123456789abcdef"
OTHERS_TOKEN = "fedcba9876543210"
PROXY = "10.0.0.1"
SSO = {"AUTH_HEADER": "Remote-User", "TRUSTED_PROXIES": PROXY}


@pytest.fixture
def app_of(tmp_path):
    def make(**settings):
        app = create_app(load_settings({"ES_HOST": "http://127.0.0.1:9", **settings}, data_dir=tmp_path))

        @app.get("/new")
        def new():
            return "came in"

        return app

    return make


@pytest.fixture
def closed(app_of):
    return app_of(APP_PASSWORD=PASSWORD, API_TOKENS=f"{OTHERS_TOKEN},{TOKEN}")


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def addresses(app):
    """Return endpoint, method and address of everything that the app answers to."""
    url_map: Map = app.url_map
    urls = url_map.bind("localhost")
    for rule in url_map.iter_rules():
        values = dict.fromkeys(rule.arguments, "style.css")
        yield from ((rule.endpoint, method, urls.build(rule.endpoint, values)) for method in rule.methods)


def is_refused(answer):
    """Return whether the answer says nothing but that the visitor has to log in."""
    if answer.status_code == 303:
        return answer.headers["Location"].partition("?")[0] == "/login"
    return answer.status_code == 401


def test_every_address_is_closed_but_the_open_ones(closed):
    client = closed.test_client()
    answers = {
        (endpoint, method): is_refused(client.open(address, method=method, buffered=True))
        for endpoint, method, address in addresses(closed)
    }
    assert len(answers) > 50
    assert answers["new", "GET"]  # a route that is added later
    assert {endpoint for (endpoint, _), refused in answers.items() if not refused} == OPEN_ENDPOINTS
    assert {refused for (endpoint, _), refused in answers.items() if endpoint in OPEN_ENDPOINTS} == {False}


@pytest.mark.parametrize("path", ["/nowhere", "/api/nowhere", "//", "/image/../../etc/passwd", "/static/x/../../new"])
def test_addresses_that_there_are_not_are_closed_too(closed, path):
    assert is_refused(closed.test_client().get(path))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "ODD"])
def test_every_method_is_refused(closed, method):
    assert is_refused(closed.test_client().open("/new", method=method))


# What is told


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/openapi.json", "/metrics", "/readyz"])
def test_programs_are_told_by_json(closed, path):
    answer = closed.test_client().get(path)
    assert (answer.status_code, answer.mimetype) == (401, "application/json")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Image search"'
    assert answer.json["error"]["code"] == "unauthorized"
    assert "Authorization: Bearer" in answer.json["error"]["message"]
    wrong = closed.test_client().get(path, headers=bearer("x" * 16))
    assert wrong.www_authenticate.parameters["error"] == "invalid_token"


@pytest.mark.parametrize("path", ["/image/a.jpg", "/thumbnail/a.jpg", "/image/a.jpg?original"])
def test_pictures_are_refused_without_a_page(closed, path):
    answer = closed.test_client().get(path, headers={"Accept": "image/avif,image/webp,*/*;q=0.8"})
    assert (answer.status_code, answer.data) == (401, b"")
    assert answer.headers["Cache-Control"] == "no-store"
    as_page = closed.test_client().get(path, headers={"Accept": "text/html,*/*"})
    assert as_page.headers["Location"].startswith("/login?next=/image/" if "/image/" in path else "/login?next=/thumb")


def test_people_are_led_to_the_login_page(closed):
    client = closed.test_client()
    assert client.get("/").headers["Location"] == "/login"
    answer = client.get("/image_search?q=a+dog&k=3")
    assert answer.headers["Location"] == "/login?next=/image_search?q%3Da%2Bdog%26k%3D3"
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.post("/similar_image", data={"q": "a"}).headers["Location"] == "/login"


def test_nothing_of_a_refused_request_is_read(closed):
    """The body of an upload would else cost memory before anybody is known."""
    body = NeverRead(b"x" * 1000)
    answer = closed.test_client().post(
        "/similar_image", input_stream=body, content_type="multipart/form-data; boundary=x"
    )
    assert is_refused(answer)


class NeverRead(BytesIO):
    def read(self, size=-1):
        raise AssertionError("read")

    readline = readinto = read


def test_the_description_of_the_api_says_that_a_token_is_needed(app_of, closed):
    document = closed.test_client().get("/api/openapi.json", headers=bearer(TOKEN)).json
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert "401" in document["paths"]["/api/v1/status"]["get"]["responses"]
    assert "security" not in app_of().test_client().get("/api/openapi.json").json


# Who is let in


@pytest.mark.parametrize("token", [TOKEN, OTHERS_TOKEN])
def test_each_token_opens_every_address(closed, token):
    client = closed.test_client()
    for path in ("/new", "/metrics", "/api/openapi.json"):
        assert client.get(path, headers=bearer(token)).status_code == 200
    assert client.get("/api/nowhere", headers=bearer(token)).status_code == 404
    assert client.get("/new", headers={"Authorization": f"bearer {token}"}).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN},{OTHERS_TOKEN}",
        f"Bearer {PASSWORD}",
        f"Basic {TOKEN}",
        "Basic eDpteSBwYXNzd29yZA==",
        f"Bearer token={TOKEN}",
        TOKEN,
    ],
)
def test_nothing_else_is_a_token(closed, sent):
    assert is_refused(closed.test_client().get("/metrics", headers={"Authorization": sent}))
    assert is_refused(closed.test_client().get(f"/metrics?token={TOKEN}", headers={"Authorization": sent}))


def test_the_name_by_a_trusted_proxy_lets_in(app_of):
    client = app_of(**SSO).test_client()

    def ask(sender, path="/new", **headers):
        return client.get(path, headers=headers, environ_base={"REMOTE_ADDR": sender})

    assert ask(PROXY, **{"Remote-User": "ann"}).status_code == 200
    assert ask(PROXY, **{"Remote-User": "ann", "X-Forwarded-For": "192.0.2.1"}).status_code == 200
    for sender, headers in [
        (PROXY, {}),
        (PROXY, {"Remote-User": ""}),
        (PROXY, {"Remote-User": " "}),
        ("127.0.0.1", {"Remote-User": "ann"}),
        ("192.0.2.1", {"Remote-User": "ann"}),
        ("192.0.2.1", {"Remote-User": "ann", "X-Forwarded-For": PROXY}),
        ("", {"Remote-User": "ann"}),
    ]:
        answer = ask(sender, **headers)
        assert (answer.status_code, answer.mimetype) == (401, "text/html"), (sender, headers)
        assert "proxy" in answer.text
    assert ask(PROXY, "/login", **{"Remote-User": "ann"}).headers["Location"] == "/"


def test_beside_the_proxys_login_there_may_be_a_password(app_of):
    client = app_of(**SSO, APP_PASSWORD=PASSWORD).test_client()
    proxied = {"environ_base": {"REMOTE_ADDR": PROXY}}
    assert client.get("/new", headers={"Remote-User": "ann"}, **proxied).status_code == 200
    assert client.get("/new", **proxied).headers["Location"] == "/login?next=/new"


def test_without_the_setting_a_name_lets_in_nobody(app_of):
    client = app_of(APP_PASSWORD=PASSWORD, TRUSTED_PROXIES=PROXY).test_client()
    sent = {"headers": {"Remote-User": "ann"}, "environ_base": {"REMOTE_ADDR": PROXY}}
    assert is_refused(client.get("/new", **sent))


# Without a password


@pytest.mark.parametrize("sender", ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""])
def test_without_a_password_this_machine_comes_in(app_of, sender):
    client = app_of().test_client()
    assert client.get("/new", environ_base={"REMOTE_ADDR": sender}).status_code == 200
    assert client.get("/login", environ_base={"REMOTE_ADDR": sender}).headers["Location"] == "/"
    assert client.post("/login", data={"password": "x"}).headers["Location"] == "/"


@pytest.mark.parametrize("sender", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "169.254.1.1", "garbage"])
def test_without_a_password_nobody_else_comes_in(app_of, sender):
    other = {"environ_base": {"REMOTE_ADDR": sender}}
    client = app_of().test_client()
    answer = client.get("/new", **other)
    assert answer.status_code == 403
    assert "ALLOW_WITHOUT_PASSWORD=yes" in answer.text
    assert client.get("/api/v1/status", **other).json["error"]["code"] == "forbidden"
    assert client.get("/healthz", **other).status_code == 200
    assert client.get("/new", headers={"X-Forwarded-For": "127.0.0.1"}, **other).status_code == 403
    assert app_of(ALLOW_WITHOUT_PASSWORD="yes").test_client().get("/new", **other).status_code == 200


def test_visitors_of_a_proxy_on_this_machine_come_in_as_before(app_of):
    client = app_of(TRUSTED_PROXIES="127.0.0.1").test_client()
    assert client.get("/new", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 200


def test_without_a_password_nothing_is_made(app_of, tmp_path):
    app_of().test_client().get("/new")
    assert list(tmp_path.iterdir()) == []


def test_tokens_without_a_password_are_refused(app_of):
    with pytest.raises(SettingError, match="API_TOKENS"):
        app_of(API_TOKENS=TOKEN)


def test_a_host_that_is_not_trusted_is_still_told_so(app_of):
    client = app_of(APP_PASSWORD=PASSWORD, TRUSTED_HOSTS="photos.example").test_client()
    assert client.get("/new", headers={"Host": "evil.example"}).status_code == 400
    assert is_refused(client.get("/new", headers={"Host": "photos.example"}))
