"""A cluster with TLS and authentication, as people run it: every way to connect, and every error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from app import create_app
from image_embeddings import open_index
from image_embeddings.config import load_settings
from image_embeddings.errors import (
    AuthenticationError,
    CertificateError,
    IndexMissingError,
    PermissionDeniedError,
    ServerVersionError,
    SettingError,
    UnreachableError,
)
from tests import tls_front
from tests.fakes import ColourEncoder
from tests.waiting import LONG

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(scope="module")
def front(elasticsearch_url, ca):
    with tls_front.tls_front(elasticsearch_url, ca) as url:
        yield url


@pytest.fixture
def ca_certs(ca, tmp_path):
    return str(tls_front.ca_file(ca, tmp_path))


@pytest.fixture
def environ(front, ca_certs):
    """The settings of a user whose cluster works."""
    return {
        "ES_HOST": front,
        "ES_USER": tls_front.USER,
        "ES_PWD": tls_front.PASSWORD,
        "ES_CA_CERTS": ca_certs,
        "INDEX_NAME": "test-cluster",
    }


def opened(environ, **changes):
    return open_index(load_settings({**environ, **changes}))


def test_user_and_password_work(environ):
    index = opened(environ)
    assert index.cluster.server_version() == (9, 5)
    with pytest.raises(IndexMissingError):
        index.state()


def test_an_api_key_works(environ):
    assert opened(environ, ES_USER="", ES_PWD="", ES_API_KEY=tls_front.API_KEY).cluster.server_version() == (9, 5)


def test_a_cloud_id_works(environ, front):
    index = opened(environ, ES_HOST="", ES_CLOUD_ID=tls_front.cloud_id(front))
    assert index.cluster.server_version() == (9, 5)


def test_unverified_certificates_work_if_the_setting_allows_them(environ):
    index = opened(environ, ES_CA_CERTS="", ES_VERIFY_CERTS="false")
    assert index.cluster.server_version() == (9, 5)


def test_an_index_is_made_filled_and_removed_through_tls(environ):
    index = opened(environ)
    index.create(model=ColourEncoder().info, vector_index_type="flat")
    assert index.state().model.model_id == "colour"
    index.drop()


@pytest.fixture
def wrong(environ, elasticsearch_url, tmp_path):
    """Changes to the settings that cause each error."""
    other_ca = tmp_path / "other"
    other_ca.mkdir()
    return {
        "password": {"ES_PWD": "wrong"},
        "user": {"ES_USER": "nobody"},
        "key": {"ES_USER": "", "ES_PWD": "", "ES_API_KEY": "d3Jvbmc6a2V5"},
        "ca": {"ES_CA_CERTS": str(tls_front.ca_file(trustme.CA(), other_ca))},
        "no ca": {"ES_CA_CERTS": ""},
        "port": {"ES_HOST": "https://127.0.0.1:9"},
        "name": {"ES_HOST": "https://no-such-host.invalid:9200"},
        "privileges": {"ES_USER": tls_front.READER[0], "ES_PWD": tls_front.READER[1]},
        "tls": {"ES_HOST": elasticsearch_url.replace("http:", "https:")},
    }


CASES = [
    ("password", AuthenticationError, "ES_USER and ES_PWD"),
    ("user", AuthenticationError, "ES_USER and ES_PWD"),
    ("key", AuthenticationError, "ES_API_KEY"),
    ("ca", CertificateError, "ES_CA_CERTS"),
    ("no ca", CertificateError, "ES_CA_CERTS"),
    ("port", UnreachableError, "Nothing answers at https://127.0.0.1:9"),
    ("name", UnreachableError, "no-such-host.invalid"),
    ("privileges", PermissionDeniedError, "privileges"),
    ("tls", CertificateError, "http://"),
]


@pytest.mark.parametrize(("case", "error", "said"), CASES)
def test_each_mistake_has_its_own_error(environ, wrong, case, error, said):
    with pytest.raises(error) as raised:
        opened(environ, **wrong[case]).state()
    assert said in str(raised.value)


@pytest.mark.parametrize(("case", "error", "said"), CASES)
def test_the_browser_shows_the_same_errors(environ, wrong, case, error, said, tmp_path):
    app = create_app(load_settings({**environ, **wrong[case], "DATA_DIR": str(tmp_path)}))
    page = app.test_client().get("/image_search?q=dog")
    assert page.status_code == 503
    assert said in page.text


@pytest.mark.parametrize(("case", "error", "said"), CASES)
def test_the_command_line_shows_the_same_errors(environ, wrong, case, error, said, tmp_path):
    settings = {**os.environ, **environ, **wrong[case], "DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "image_embeddings", "status"]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, cwd=ROOT, timeout=LONG)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_bad_ca_file_is_named(environ, tmp_path):
    (tmp_path / "bad.crt").write_text("no certificate")
    with pytest.raises(SettingError, match="ES_CA_CERTS"):
        opened(environ, ES_CA_CERTS=str(tmp_path / "bad.crt"))
    with pytest.raises(SettingError, match="ES_CA_CERTS"):
        opened(environ, ES_CA_CERTS=str(tmp_path / "missing.crt"))


def test_a_bad_cloud_id_is_named(environ):
    with pytest.raises(SettingError, match="ES_CLOUD_ID"):
        opened(environ, ES_HOST="", ES_CLOUD_ID="nonsense")


def test_a_server_of_version_8_gets_requests_in_its_own_form(elasticsearch_url, ca, environ):
    with tls_front.tls_front(elasticsearch_url, ca, version="8.19.0", refuses=9) as url:
        index = opened(environ, ES_HOST=url)
        assert index.cluster.server_version() == (8, 19)
        index.create(model=ColourEncoder().info, vector_index_type="flat")
        index.drop()


def test_an_elasticsearch_that_is_too_old_is_reported(elasticsearch_url, ca, environ):
    with (
        tls_front.tls_front(elasticsearch_url, ca, version="8.18.4") as url,
        pytest.raises(ServerVersionError) as raised,
    ):
        opened(environ, ES_HOST=url).cluster.server_version()
    assert "8.18.4" in str(raised.value)


def test_a_server_that_is_not_elasticsearch_is_reported(elasticsearch_url, ca, environ):
    with (
        tls_front.tls_front(elasticsearch_url, ca, product=None) as url,
        pytest.raises(ServerVersionError, match="not Elasticsearch"),
    ):
        opened(environ, ES_HOST=url).cluster.server_version()
