import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import SettingError


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
