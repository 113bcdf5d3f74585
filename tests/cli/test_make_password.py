"""The command that makes a password for the web app."""

import pytest

from tests.commands import run_here

UNSET = dict.fromkeys(
    ("APP_PASSWORD", "APP_PASSWORD_FILE", "API_TOKENS", "API_TOKENS_FILE", "AUTH_HEADER", "ALLOW_WITHOUT_PASSWORD"), ""
)


@pytest.fixture
def make_password(tmp_path):
    def run(**settings):
        return run_here({**UNSET, "DATA_DIR": str(tmp_path / "data"), **settings}, "make-password")

    return run


def test_the_password_is_shown_once_and_its_file_each_time(make_password, tmp_path):
    file = tmp_path / "data" / "password"
    first = make_password()
    password = file.read_text().strip()
    assert (first.exit_code, first.stdout) == (0, f"{file}\n")
    assert f"The password of the web app is: {password}\n" in first.stderr
    again = make_password()
    assert (again.stdout, again.stderr) == (f"{file}\n", "")


def test_nothing_is_made_if_the_settings_say_who_may_come_in(make_password, tmp_path):
    for settings in ({"APP_PASSWORD": "my password"}, {"ALLOW_WITHOUT_PASSWORD": "yes"}):
        done = make_password(**settings)
        assert (done.exit_code, done.output) == (0, "")
    assert not (tmp_path / "data").exists()


def test_a_password_that_is_too_short_is_not_replaced_in_silence(make_password):
    done = make_password(APP_PASSWORD="short")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "Too short" in done.stderr
