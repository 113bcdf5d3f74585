import pytest
from dotenv import dotenv_values

from image_embeddings.config import load_settings
from image_embeddings.errors import SettingError
from image_embeddings.setting_checks import check_comments


def test_user_and_password_go_together():
    with pytest.raises(SettingError, match="ES_PWD is not set"):
        load_settings({"ES_USER": "elastic"})
    with pytest.raises(SettingError, match="ES_USER is not set"):
        load_settings({"ES_PWD": "secret"})


def test_the_password_may_be_in_a_file(tmp_path):
    (tmp_path / "password").write_text(" pass word \n")
    from_file = {"ES_USER": "elastic", "ES_PWD_FILE": str(tmp_path / "password")}
    assert load_settings(from_file).es_pwd == " pass word "
    with pytest.raises(SettingError, match="both set"):
        load_settings({**from_file, "ES_PWD": "x"})


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"\n", "is empty"), (b"\xff", "no text")])
def test_a_file_without_a_password_is_refused(tmp_path, content, said):
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    with pytest.raises(SettingError, match=f"ES_PWD_FILE has value .*{said}"):
        load_settings({"ES_USER": "elastic", "ES_PWD_FILE": str(tmp_path / "password")})


def test_two_addresses_are_refused():
    with pytest.raises(SettingError, match="ES_CLOUD_ID"):
        load_settings({"ES_HOST": "https://a:9200", "ES_CLOUD_ID": "b:c"})


@pytest.mark.parametrize("name", ["IMAGE_DIR", "THUMBNAILS"])
def test_an_address_with_a_password_is_refused_and_not_shown(name):
    with pytest.raises(SettingError, match="has a password in it") as caught:
        load_settings({name: "sftp://me:hunter2@host/photos"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "is_cut"),
    [
        ("APP_PASSWORD=correct horse #1 battery", True),
        ("export APP_PASSWORD = correct horse #1 battery", True),
        ("APP_PASSWORD= #secretpass", True),
        ("APP_PASSWORD='correct horse #1 battery'", False),
        ('APP_PASSWORD="correct horse #1 battery" # the old one', False),
        ("APP_PASSWORD=correct#horse", False),
        ("INDEX_NAME=photos # mine", False),
        ("# APP_PASSWORD=correct horse #1", False),
    ],
)
def test_a_password_that_would_be_cut_at_a_comment_is_refused(tmp_path, line, is_cut):
    file = tmp_path / ".env"
    file.write_text(f"PORT=1\n{line}\nES_USER=me\n", encoding="utf-8")
    whole = dotenv_values(file).get("APP_PASSWORD") in (None, "correct horse #1 battery", "correct#horse")
    assert whole is not is_cut  # what the library that reads the file makes of it
    if is_cut:
        with pytest.raises(SettingError, match=r"no part of APP_PASSWORD.*single quotes"):
            check_comments(file, {"APP_PASSWORD"})
    else:
        check_comments(file, {"APP_PASSWORD"})


def test_a_missing_file_of_settings_is_no_error(tmp_path):
    check_comments(tmp_path / ".env", {"APP_PASSWORD"})
