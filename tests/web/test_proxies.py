"""What the app believes of the headers of a reverse proxy."""

import pytest
from flask import request

from app import create_app
from app.web.proxies import TrustedProxies
from image_embeddings.config import load_settings
from image_embeddings.errors import SettingError

LOCAL = "127.0.0.1"


def client_of(tmp_path, trusted, **more):
    settings = {"TRUSTED_PROXIES": trusted, "DATA_DIR": str(tmp_path), "ALLOW_WITHOUT_PASSWORD": "yes", **more}
    app = create_app(load_settings(settings))

    @app.get("/seen")
    def seen():
        root = request.script_root
        return {"from": request.remote_addr, "scheme": request.scheme, "host": request.host, "root": root}

    return app.test_client()


@pytest.fixture
def ask(tmp_path):
    """Sends a request from `sender` to an app that trusts these proxies, and returns what the app sees."""

    def ask_as(sender, *, trusted="127.0.0.1, 10.0.0.0/8, ::1", path="/seen", **headers):
        named = {f"X-Forwarded-{name}": value for name, value in headers.items()}
        return client_of(tmp_path, trusted, TRUSTED_HOSTS="example.org").get(
            path, headers=named, environ_base={"REMOTE_ADDR": sender}
        )

    return ask_as


TOLD = {"For": "203.0.113.7", "Proto": "https", "Host": "example.org:8443", "Prefix": "/photos/"}
HEARD = {"from": "203.0.113.7", "scheme": "https", "host": "example.org:8443", "root": "/photos"}


@pytest.mark.parametrize("sender", [LOCAL, "10.1.2.3", "::1", "::ffff:10.1.2.3"])
def test_a_trusted_proxy_is_heard(ask, sender):
    assert ask(sender, **TOLD).json == HEARD


@pytest.mark.parametrize(("sender", "trusted"), [("192.0.2.1", "127.0.0.1, 10.0.0.0/8"), (LOCAL, ""), ("", "10.0.0.1")])
def test_nobody_else_is_heard(ask, sender, trusted):
    seen = ask(sender, trusted=trusted, **TOLD).json
    assert seen == {"from": sender, "scheme": "http", "host": "localhost", "root": ""}


@pytest.mark.parametrize(
    ("said", "sender"),
    [
        ("203.0.113.7, 10.0.0.5", "203.0.113.7"),
        ("1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.9, 10.0.0.5", "10.0.0.9"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("203.0.113.7, unknown", LOCAL),
        ("203.0.113.7, <script>, 10.0.0.5", "10.0.0.5"),
        ("", LOCAL),
    ],
)
def test_the_sender_is_the_last_address_that_no_trusted_proxy_has(ask, said, sender):
    assert ask(LOCAL, For=said).json["from"] == sender


def test_only_the_last_value_of_a_header_counts(ask):
    told = {"Proto": "http, https", "Host": "evil.example, example.org", "Prefix": "//evil.example,/photos"}
    seen = ask(LOCAL, **told).json
    assert (seen["scheme"], seen["host"], seen["root"]) == ("https", "example.org", "/photos")


@pytest.mark.parametrize("prefix", ["", "/", "/photos", "/a/b-c/d.e_f~g/"])
def test_a_prefix_goes_before_every_address(ask, prefix):
    answer = ask(LOCAL, path="/favicon.ico", Prefix=prefix)
    assert answer.headers["Location"].startswith(f"{prefix.rstrip('/')}/static/")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        *(
            ("Prefix", value)
            for value in ("//evil.example", "/photos//evil", "https://evil.example", "photos", "/\\evil")
        ),
        *(
            ("Prefix", value)
            for value in ("/../x", "/x/..", "/a b", "/a;path=/", '/"onload=', "/é", "/%2f%2fevil", "/?q=")
        ),
        *(("Proto", value) for value in ("javascript", "https:", "ftp")),
        *(("Host", value) for value in ("evil.example/x", "a@b", "a b", "example.org:x", "[::1", "<script>")),
    ],
)
def test_what_cannot_be_is_refused(ask, header, value):
    answer = ask(LOCAL, path="/favicon.ico", **{header: value})
    assert (answer.status_code, answer.content_type) == (400, "text/plain; charset=utf-8")
    assert f"X-Forwarded-{header} cannot be used" in answer.text
    assert "Location" not in answer.headers


def test_trusted_hosts_are_held_against_the_host_that_the_proxy_names(tmp_path):
    client = client_of(tmp_path, LOCAL, TRUSTED_HOSTS="example.org")
    assert client.get("/healthz", headers={"X-Forwarded-Host": "example.org"}).status_code == 200
    assert client.get("/healthz", headers={"X-Forwarded-Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize(("prefix", "path"), [("/photos", "/photos"), ("", "/")])
def test_the_cookie_is_for_the_prefix_and_secure_behind_https(ask, prefix, path):
    cookie = ask(LOCAL, path="/?lang=de", Prefix=prefix, Proto="https").headers["Set-Cookie"]
    assert f"Path={path};" in f"{cookie};"
    assert "Secure" in cookie


@pytest.mark.parametrize("value", ["1", "nginx", "10.0.0.0/33", "10.0.0.1-10.0.0.5"])
def test_a_setting_that_is_no_address_is_refused(value):
    with pytest.raises(
        SettingError, match=r"TRUSTED_PROXIES has value '.*'\. Not a list of addresses: use 127\.0\.0\.1"
    ):
        load_settings({"TRUSTED_PROXIES": value})


# The header by which a proxy names whom it has let in


def name_seen(sender, headers, trusted="127.0.0.1, 10.0.0.0/8"):
    """Return the name that the app sees, behind proxies that may send it."""
    environ = {"REMOTE_ADDR": sender, **headers}
    seen = []
    TrustedProxies(
        lambda environ, _: seen.append(environ) or [],
        load_settings({"TRUSTED_PROXIES": trusted}).trusted_proxies,
        auth_header="Remote-User",
    )(environ, lambda *_: None)
    return seen[0].get("HTTP_REMOTE_USER")


@pytest.mark.parametrize(
    ("sender", "headers", "name"),
    [
        ("10.1.2.3", {}, "ann"),
        ("127.0.0.1", {"HTTP_X_FORWARDED_FOR": "192.0.2.1"}, "ann"),
        ("::ffff:127.0.0.1", {}, "ann"),
        ("192.0.2.1", {}, None),
        ("192.0.2.1", {"HTTP_X_FORWARDED_FOR": "10.1.2.3"}, None),
        ("", {}, None),
        ("garbage", {}, None),
    ],
)
def test_a_name_counts_only_if_a_trusted_proxy_has_sent_it(sender, headers, name):
    assert name_seen(sender, {"HTTP_REMOTE_USER": "ann", **headers}) == name
