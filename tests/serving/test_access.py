"""Who may come in by the settings, and where the web app may listen."""

import re

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import SettingError
from image_embeddings.serving.access import (
    exposure_error,
    has_access,
    keep_made_password,
    read_access,
    session_secret,
)

TOKEN = "0123456789abcdef"
SSO = {"AUTH_HEADER": "Remote-User", "TRUSTED_PROXIES": "10.0.0.1"}


@pytest.fixture
def secret_file(tmp_path):
    def write(text):
        path = tmp_path / "secret"
        path.write_bytes(text)
        return str(path)

    return write


@pytest.mark.parametrize("text", [b"my password", b"my password\n", b"my password\r\n"])
def test_the_password_is_the_text_of_its_file(secret_file, text):
    access = read_access(load_settings({"APP_PASSWORD_FILE": secret_file(text)}))
    assert (access.password, access.is_closed) == ("my password", True)
    assert "my password" not in repr(access)


def test_each_line_of_the_file_of_tokens_is_one(secret_file):
    settings = load_settings(
        {"APP_PASSWORD": "my password", "API_TOKENS_FILE": secret_file(b"a" * 16 + b"\n" + b"b" * 16)}
    )
    assert read_access(settings).tokens == ("a" * 16, "b" * 16)


@pytest.mark.parametrize("text", [b"", b" \n", b"short\n", b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe"])
@pytest.mark.parametrize("name", ["APP_PASSWORD_FILE", "API_TOKENS_FILE"])
def test_a_file_that_cannot_be_used_is_refused(secret_file, name, text):
    with pytest.raises(SettingError, match=rf"^{name} has value '/.+/secret'\. ") as said:
        read_access(load_settings({name: secret_file(text)}))
    assert "short\n" not in str(said.value)


def test_a_missing_file_is_refused_and_never_means_that_there_is_no_password():
    settings = load_settings({"APP_PASSWORD_FILE": "/nowhere/secret"})
    with pytest.raises(SettingError, match=r"'/nowhere/secret', which cannot be read \(No such file"):
        exposure_error(settings, ["127.0.0.1"])


def test_tokens_alone_are_refused():
    with pytest.raises(SettingError, match=r"^API_TOKENS is set, but neither APP_PASSWORD nor AUTH_HEADER"):
        read_access(load_settings({"API_TOKENS": TOKEN}))
    assert not has_access(load_settings({"API_TOKENS": TOKEN}))


# Where it may listen


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1"])
def test_without_a_password_it_may_listen_for_this_machine(host):
    assert exposure_error(load_settings({}), [host]) is None


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.0.2.1", "fe80::1%eth0", "photos", "localhost.example", "127.0.0.1.example", "0"]
)
def test_without_a_password_it_may_not_listen_for_others(host):
    said = exposure_error(load_settings({}), ["127.0.0.1", host])
    assert said.startswith(f"Others could reach the web app at {host or 'all its addresses'}, and it has no password. ")
    assert re.search(r"APP_PASSWORD.*ALLOW_WITHOUT_PASSWORD=yes", said)
    assert "\n" not in said


@pytest.mark.parametrize("settings", [{"APP_PASSWORD": "my password"}, {"ALLOW_WITHOUT_PASSWORD": "yes"}, SSO])
def test_with_an_answer_to_who_may_come_in_it_may_listen_anywhere(settings):
    assert exposure_error(load_settings(settings), ["0.0.0.0"]) is None


def test_no_is_no_answer():
    assert exposure_error(load_settings({"ALLOW_WITHOUT_PASSWORD": "no"}), ["0.0.0.0"])


# What is kept in DATA_DIR


def test_the_secret_of_sessions_is_the_setting_or_is_made_and_kept(tmp_path):
    assert session_secret(load_settings({"SECRET_KEY": "a key"}, data_dir=tmp_path)) == "a key"
    assert list(tmp_path.iterdir()) == []
    made = session_secret(load_settings({}, data_dir=tmp_path))
    assert re.fullmatch("[0-9a-f]{64}", made)
    assert session_secret(load_settings({}, data_dir=tmp_path)) == made


def test_a_made_password_is_kept_and_can_be_used_and_changed(tmp_path):
    settings = load_settings({}, data_dir=tmp_path)
    path, password, is_new = keep_made_password(settings)
    assert re.fullmatch(r"([a-z2-9]{5}-){2}[a-z2-9]{5}", password)
    assert is_new
    assert keep_made_password(settings) == (path, password, False)
    assert read_access(load_settings({"APP_PASSWORD_FILE": str(path)})).password == password
    path.write_text("my own password\n")
    assert keep_made_password(settings) == (path, "my own password", False)


def test_two_made_passwords_differ(tmp_path):
    passwords = {keep_made_password(load_settings({}, data_dir=tmp_path / name))[1] for name in "ab"}
    assert len(passwords) == 2
