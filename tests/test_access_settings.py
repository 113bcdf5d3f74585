"""The settings of the login: which values are refused, and that no message shows a secret."""

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import SettingError

TOKENS = ("0123456789abcdef", "fedcba9876543210-._~+/==")


@pytest.mark.parametrize("password", ["1234567", "ä" * 7, "x" * 1001])
def test_a_password_that_is_too_short_or_too_long_is_refused_and_not_shown(password):
    with pytest.raises(
        SettingError, match=r"^APP_PASSWORD has a value that cannot be used\. Too (short|long): "
    ) as said:
        load_settings({"APP_PASSWORD": password})
    assert password not in str(said.value)


def test_a_letter_that_is_written_in_two_ways_is_one_letter():
    assert load_settings({"APP_PASSWORD": "Schlu\u0308ssel"}).app_password == "Schlüssel"


@pytest.mark.parametrize("between", [",", ", ", "\n", "\r\n", " "])
def test_tokens_have_commas_or_ends_of_lines_between_them(between):
    assert load_settings({"API_TOKENS": between.join(TOKENS)}).api_tokens == TOKENS
    assert load_settings({"API_TOKENS": " , "}).api_tokens == ()


@pytest.mark.parametrize("token", ["short", "0123456789abcde", "0123456789abcdef;", "töken-töken-töken", "=" * 20])
def test_what_is_no_token_is_refused_and_not_shown(token):
    with pytest.raises(SettingError, match=r"^API_TOKENS has a value that cannot be used\. Number 2 is not") as said:
        load_settings({"API_TOKENS": f"{TOKENS[0]},{token}"})
    assert token not in str(said.value)
    assert TOKENS[0] not in str(said.value)


def test_secrets_are_not_in_the_text_of_the_settings():
    secrets = {
        "APP_PASSWORD": "my password",
        "API_TOKENS": TOKENS[0],
        "SECRET_KEY": "my key",
        "ES_API_KEY": "my api key",
    }
    shown = repr(load_settings({**secrets, "ES_USER": "elastic", "ES_PWD": "my es password"}))
    assert "elastic" in shown
    assert [secret for secret in (*secrets.values(), "my es password") if secret in shown] == []


@pytest.mark.parametrize("name", ["APP_PASSWORD", "API_TOKENS"])
def test_a_secret_and_its_file_are_not_both_set(name):
    with pytest.raises(SettingError, match=f"^{name} and {name}_FILE are both set"):
        load_settings({name: TOKENS[0], f"{name}_FILE": "/file"})


PROXY = {"TRUSTED_PROXIES": "10.0.0.1"}


@pytest.mark.parametrize(
    "name", ["Remote User", "Remote_User", "Remote-User:", "Cookie", "host", "X-Forwarded-For", "Authorization", "-"]
)
def test_what_is_no_header_of_a_proxy_is_refused(name):
    with pytest.raises(SettingError, match=r"^AUTH_HEADER has value"):
        load_settings({"AUTH_HEADER": name, **PROXY})


@pytest.mark.parametrize("name", ["Remote-User", "X-Forwarded-User", "Tailscale-User-Login", "X-Auth-Request-Email"])
def test_headers_of_known_proxies_are_taken(name):
    assert load_settings({"AUTH_HEADER": name, **PROXY}).auth_header == name


@pytest.mark.parametrize("proxies", ["", "0.0.0.0/0", "10.0.0.1, ::/0"])
def test_a_header_that_anybody_could_send_is_refused(proxies):
    with pytest.raises(SettingError, match="anybody could send that header"):
        load_settings({"AUTH_HEADER": "Remote-User", "TRUSTED_PROXIES": proxies})
