"""Which host names the app answers to, with each way to configure it."""

import socket

import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app import create_app
from app.web.hosts import is_trusted, own_names
from image_embeddings.config import load_settings

OWN = (
    "localhost",
    "localhost:5001",
    "LOCALHOST",
    "LocalHost:80",
    "localhost.",
    "localhost.:5001",
    "localhost:",
    "photos.localhost",
    "Deep.Photos.LOCALHOST.:5001",
    "127.0.0.1",
    "127.0.0.1:5001",
    "127.9.9.9",
    "0.0.0.0:5001",
    "192.168.1.5:5001",
    "10.0.0.7",
    "203.0.113.9",
    "[::1]",
    "[::1]:5001",
    "[FE80::1]:80",
    "[::ffff:10.0.0.1]",
)
STRANGE = (
    "evil.example",
    "evil.example:5001",
    "EVIL.EXAMPLE.",
    "",
    ".",
    " ",
    ":5001",
    "localhost.evil.example",
    "localhost..",
    ".localhost.",
    "notlocalhost",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.0.0.256",
    "::1",
    "[::1",
    "[::1].evil.example",
    "[evil.example]",
    "[fe80::1%25evil.example]",
    "localhost,evil.example",
    "localhost evil.example",
    "evil.example\tlocalhost",
    "user@localhost",
    "evil.example@localhost",
    "localhost@evil.example",
    "localhost/evil.example",
    "localhost#evil.example",
    "localhost:5001:evil.example",
    "localhost:x",
    "localhost:123456",
    "evil.example\\.localhost",
    "ｌｏｃａｌｈｏｓｔ".encode().decode("latin1"),
    "１２７.0.0.1".encode().decode("latin1"),
    "photos",
    "metadata.internal",
)


def status(client, host, **headers):
    return client.get("/healthz", headers={"Host": host, **headers}).status_code


@pytest.fixture
def client(tmp_path):
    return client_of(tmp_path)


def client_of(tmp_path, **settings):
    return create_app(load_settings({"DATA_DIR": str(tmp_path), **settings})).test_client()


@pytest.mark.parametrize("host", OWN)
def test_names_of_this_machine_and_addresses_are_answered(client, host):
    assert status(client, host) == 200


@pytest.mark.parametrize("host", STRANGE)
def test_other_names_are_not(client, host):
    assert status(client, host) == 400


@pytest.mark.parametrize("trusted", ["", "*"])
@pytest.mark.parametrize(("protocol", "expected"), [("HTTP/1.1", 400), ("HTTP/1.0", 200)])
def test_a_request_must_say_for_which_host_it_is(tmp_path, trusted, protocol, expected):
    app = client_of(tmp_path, TRUSTED_HOSTS=trusted).application
    environ = EnvironBuilder("/healthz").get_environ() | {"SERVER_PROTOCOL": protocol}
    del environ["HTTP_HOST"]
    _body, answer, _headers = run_wsgi_app(app, environ)
    assert answer.startswith(str(expected))


def test_the_machines_own_name_is_answered(client):
    assert status(client, socket.gethostname()) == 200
    assert status(client, f"{socket.gethostname().partition('.')[0].upper()}.local:5001") == 200


@pytest.mark.parametrize("host", ["nas", "NAS", "nas.", "nas.example.org", "nas.local:80", "nas.lan", "nas.home.arpa"])
def test_a_machine_is_known_by_its_name_and_that_of_its_network(host):
    assert is_trusted(host, own_names("NAS.example.org"))


@pytest.mark.parametrize("host", ["other.example.org", "x.nas.local", "nas.example", "nas.com", "nas.fritz.box"])
def test_a_machine_is_known_by_no_name_that_others_can_register(host):
    assert not is_trusted(host, own_names("NAS.example.org"))


@pytest.mark.parametrize("hostname", ["", "localhost"])
def test_a_machine_without_a_name_adds_none_of_others(hostname):
    assert not is_trusted("evil.example", own_names(hostname))
    assert not is_trusted("", own_names(hostname))


@pytest.mark.parametrize("value", ["", " ", ",", " , "])
def test_an_empty_line_in_env_is_as_safe_as_none(tmp_path, value):
    client = client_of(tmp_path, TRUSTED_HOSTS=value)
    assert (status(client, "evil.example"), status(client, "127.0.0.1:5001")) == (400, 200)


def test_further_names_are_answered_beside_the_own_ones(tmp_path):
    client = client_of(tmp_path, TRUSTED_HOSTS="Photos.Example.org:8443, bücher.example, photo_search")
    for host in ("photos.example.org", "PHOTOS.example.org.:8443", "xn--bcher-kva.example", "photo_search:5001", *OWN):
        assert status(client, host) == 200, host
    for host in ("x.photos.example.org", "example.org", "photos.example.org.evil.example", *STRANGE):
        assert status(client, host) == 400, host


@pytest.mark.parametrize("value", [".example.org", "*.example.org"])
def test_all_names_with_an_ending_can_be_trusted(tmp_path, value):
    client = client_of(tmp_path, TRUSTED_HOSTS=value)
    assert {status(client, host) for host in ("a.example.org", "a.b.example.org:80")} == {200}
    assert {status(client, host) for host in ("notexample.org", "example.org.evil.example", "example.org")} == {400}


@pytest.mark.parametrize("host", [*OWN, "evil.example", "a.b:1"])
def test_a_star_switches_it_off(tmp_path, host):
    assert status(client_of(tmp_path, TRUSTED_HOSTS="*"), host) == 200


@pytest.mark.parametrize(
    "path", ["/", "/image_search?q=a", "/image/a.jpg", "/nowhere", "/static/x", "//healthz", "/metrics"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
def test_it_holds_for_every_address_and_method(client, path, method):
    answer = client.open(path, method=method, headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "Location" not in answer.headers


def test_the_answer_names_the_remedy_and_shows_little_of_the_name(client):
    answer = client.get("/", headers={"Host": "x" * 5000 + ".example"})
    assert "See TRUSTED_HOSTS." in answer.text
    assert len(answer.text) < 300
    assert answer.content_type.startswith("text/plain")


def test_behind_a_trusted_proxy_the_name_is_the_one_that_it_forwards(tmp_path):
    client = client_of(tmp_path, TRUSTED_PROXIES="127.0.0.1", TRUSTED_HOSTS="photos.example")
    assert status(client, "127.0.0.1:5001", **{"X-Forwarded-Host": "photos.example"}) == 200
    assert status(client, "127.0.0.1:5001", **{"X-Forwarded-Host": "evil.example"}) == 400
    assert status(client, "evil.example") == 400


def test_an_untrusted_proxy_cannot_name_another_host(client):
    assert status(client, "evil.example", **{"X-Forwarded-Host": "localhost"}) == 400
