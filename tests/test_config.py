from pathlib import Path

import pytest

from image_embeddings.config import ROOT, load_settings, setting_rows
from image_embeddings.errors import SettingError


def test_defaults_need_no_environment():
    settings = load_settings({})
    assert settings.es_host is None
    assert settings.index_name == "my-image-embeddings"
    assert settings.image_dir == ROOT / "app" / "static" / "images"


def test_a_relative_folder_is_taken_from_the_repository_root():
    assert load_settings({"IMAGE_DIR": "photos"}).image_dir == ROOT / "photos"


def test_an_absolute_folder_stays():
    assert load_settings({"IMAGE_DIR": "/photos"}).image_dir == Path("/photos")


def test_an_empty_value_counts_as_unset():
    assert load_settings({"ES_HOST": "", "VECTOR_INDEX_TYPE": " "}).vector_index_type == "int8_hnsw"


def test_copies_are_a_number_or_left_to_elasticsearch():
    values = [load_settings({"INDEX_REPLICAS": value}).index_replicas for value in ("0", "2", "auto", "")]
    assert values == [0, 2, None, None]


def test_overrides_win_and_none_leaves_a_setting_alone():
    settings = load_settings({"INDEX_NAME": "a", "IMAGE_MODEL": "conse"}, index_name="b", image_model=None)
    assert (settings.index_name, settings.image_model) == ("b", "conse")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ES_VERIFY_CERTS", "ture"),
        ("VECTOR_INDEX_TYPE", "hnws"),
        ("TEXT_ENCODER", "remote"),
        ("MAX_IMAGE_PIXELS", "0"),
        ("MAX_CONTENT_LENGTH", "-5"),
        ("ES_HEAP", "lots"),
        ("ES_HEAP", "²g"),
        ("INDEX_SHARDS", "0"),
        ("INDEX_SHARDS", "1025"),
        ("INDEX_REPLICAS", "-1"),
        ("INDEX_REPLICAS", "10"),
        ("INDEX_REPLICAS", "all"),
        ("INDEX_NAME", "photos*"),
        ("INDEX_NAME", "a,b"),
        ("INDEX_NAME", "Photos"),
        ("INDEX_NAME", "_all"),
        ("ES_HOST", "localhost:9200"),
    ],
)
def test_a_bad_value_names_its_setting(name, value):
    with pytest.raises(SettingError, match=name):
        load_settings({name: value})


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


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("", ()),
        ("Photos.Example.org:8443,", ("photos.example.org",)),
        ("*.example.org, .example.com", (".example.org", ".example.com")),
        ("bücher.example, photo_search", ("xn--bcher-kva.example", "photo_search")),
        ("127.0.0.1, ::1, [::1]", ("127.0.0.1", "[::1]", "[::1]")),
        ("*", ("*",)),
    ],
)
def test_host_names_are_kept_as_browsers_send_them(value, names):
    assert load_settings({"TRUSTED_HOSTS": value}).trusted_hosts == names


@pytest.mark.parametrize(
    "value", ["https://a.example", "a.example/photos", "a b", "a..b", ".", "*.", "a.*", "x" * 64 + ".org", "a:b", "[x]"]
)
def test_what_is_no_host_name_is_refused(value):
    with pytest.raises(SettingError, match=r"TRUSTED_HOSTS has value '.*'\. Not a list of host names"):
        load_settings({"TRUSTED_HOSTS": value})


def test_a_setting_is_switched_off_by_any_usual_word():
    for word in ("0", "false", "False", "no", "off"):
        assert not load_settings({"ES_VERIFY_CERTS": word}).es_verify_certs, word
    for word in ("1", "true", "yes", "on"):
        assert load_settings({"ES_VERIFY_CERTS": word}).es_verify_certs, word


def test_host_names_come_as_a_list():
    assert load_settings({"TRUSTED_HOSTS": "localhost, 127.0.0.1,"}).trusted_hosts == ("localhost", "127.0.0.1")


def test_two_addresses_are_refused():
    with pytest.raises(SettingError, match="ES_CLOUD_ID"):
        load_settings({"ES_HOST": "https://a:9200", "ES_CLOUD_ID": "b:c"})


def test_every_setting_has_help():
    assert all(row.help for row in setting_rows())
