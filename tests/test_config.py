from pathlib import Path

import pytest

from image_embeddings.config import (
    ROOT,
    load_settings,
    load_shared_settings,
    setting_rows,
    shared_environment,
)
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
        ("NUM_CANDIDATES", "9"),
        ("NUM_CANDIDATES", "10001"),
        ("OVERSAMPLE", "0"),
        ("OVERSAMPLE", "1001"),
        ("OVERSAMPLE", "2.5"),
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


def test_every_setting_has_help():
    assert all(row.help for row in setting_rows())


def test_other_machines_get_no_secret_and_no_path_of_this_one(monkeypatch):
    secret = {
        "ES_PWD": "s3cret",
        "ES_API_KEY": "s3cret",
        "APP_PASSWORD": "s3cret-word",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
    }
    paths = {
        "DATA_DIR": "/mine",
        "ES_CA_CERTS": "/mine/ca.crt",
        "ES_PWD_FILE": "/mine/password",
        "JAVA_HOME": "/mine/jdk",
    }
    for name, value in {**secret, **paths, "INDEX_NAME": "trips", "ES_USER": "indexer"}.items():
        monkeypatch.setenv(name, value)
    shared = shared_environment()
    assert shared.keys() >= {"INDEX_NAME", "ES_USER"}
    assert not shared.keys() & {*secret, *paths}
    assert "s3cret" not in str(shared)
    assert "/mine" not in str(shared)


def test_what_a_machine_has_itself_goes_before_what_it_got(monkeypatch, tmp_path):
    monkeypatch.setenv("ES_HOST", "http://inside:9200")
    monkeypatch.delenv("DATA_DIR", raising=False)
    shared = {"ES_HOST": "http://outside:9200", "INDEX_NAME": "trips"}
    settings = load_shared_settings(shared, data_dir=lambda: tmp_path)
    assert (settings.es_host, settings.index_name, settings.data_dir) == ("http://inside:9200", "trips", tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "own"))
    assert load_shared_settings(shared, data_dir=pytest.fail).data_dir == tmp_path / "own"
