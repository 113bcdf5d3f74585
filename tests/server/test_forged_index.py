"""What others have written into an index leads to no file outside the folders of photos and thumbnails."""

import dataclasses

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import ImageNotFoundError, IndexForeignError
from image_embeddings.es import mapping
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.serving import web_server
from image_embeddings.sources.indexed_folders import note_folder, was_indexed
from tests.fakes import ColourEncoder
from tests.server.filling import fill
from tests.server.web_client import make_app, shown

pytestmark = pytest.mark.server

MODEL = ColourEncoder().info
PHOTO = "warm/red.png"
HASHES = [
    *("../outside/evil", "/etc/passwd", "../../x", "", "..", "a/b", "ab", "0" * 31, "0" * 33, "0" * 64),
    *("0" * 31 + "\n", "0" * 32 + "\n", "0" * 31 + "/", "A" * 32, "٠" * 32, "0" * 30 + "..", None, 12, ["0" * 32], {}),
]
IMAGE_IDS = ["../secret.png", "a/../../secret.png", "/etc/passwd", "", "..", "a\0.png", "x" * 513, None, 7, ["a.png"]]


@pytest.fixture
def filled(index, tmp_path):
    fill(index, tmp_path)
    return index


@pytest.fixture
def client(filled, tmp_path):
    return make_app(filled, tmp_path).test_client()


def forge(index, **values):
    """Change the document of a photo as anybody can who may write to the index."""
    client = index.cluster.client
    source = client.get(index=index.name, id=PHOTO, source_exclude_vectors=False)["_source"]
    client.index(index=index.name, id=PHOTO, document={**source, **values}, refresh=True)


@pytest.fixture
def secret(tmp_path):
    """A WebP beside the thumbnails, and one beside the photos."""
    (tmp_path / "data" / "outside").mkdir(parents=True, exist_ok=True)
    for path in (tmp_path / "data" / "outside" / "evil.webp", tmp_path / "secret.png"):
        path.write_bytes(b"RIFF private words")
    return b"private words"


def storable(value):
    return not isinstance(value, list | dict)


@pytest.mark.parametrize("value", [value for value in HASHES if storable(value)])
def test_a_forged_content_hash_leads_to_no_other_file(client, filled, secret, value):
    forge(filled, content_hash=value)
    assert filled.documents.get(PHOTO).content_hash == ""
    answer = client.get(f"/thumbnail/{PHOTO}")
    assert (answer.status_code, secret in answer.data, answer.data[8:12]) == (200, False, b"WEBP")
    for page in ("/image_search?q=red", f"/similar_image?id={PHOTO}", "/api/v1/search?q=red", "/"):
        assert client.get(page).status_code == 200


@pytest.mark.parametrize("value", HASHES)
def test_no_thumbnail_has_another_name_than_a_content_hash(tmp_path, value):
    with pytest.raises(ValueError, match="not a content hash"):
        Thumbnails(tmp_path).path(value)


@pytest.mark.parametrize("value", [value for value in IMAGE_IDS if storable(value)])
def test_a_forged_image_id_is_left_out_and_leads_to_no_other_file(client, filled, secret, value):
    forge(filled, image_id=value)
    for read in (lambda: filled.documents.get(PHOTO), lambda: filled.documents.get_many([PHOTO])):
        with pytest.raises(ImageNotFoundError, match=r"index --rebuild"):
            read()
    for page in (f"/image/{PHOTO}", f"/thumbnail/{PHOTO}", f"/api/v1/images/{PHOTO}", f"/similar_image?id={PHOTO}"):
        answer = client.get(page)
        assert (answer.status_code, secret in answer.data) == (404, False)
    for page in ("/image_search?q=red", "/image_search?sort=newest", "/"):
        answer = client.get(page)
        assert (answer.status_code, secret in answer.data) == (200, False)
    found = client.get("/api/v1/search?q=red&k=6").json
    assert PHOTO not in [hit["image_id"] for hit in found["hits"]]
    assert (len(found["hits"]), found["left_out"]) == (5, 1)


@pytest.mark.parametrize(
    "values",
    [
        *({"width": 0}, {"width": "64"}, {"bytes": None}, {"location": "41.89,12.48"}, {"location": [12.4, 41.8]}),
        *({"keywords": "one"}, {"persons": [1]}, {"taken": 1714566600000}, {"extra": {"a": {"b": "c"}}}, {"title": 7}),
        *({"rating": "4"}, {"rating": 4.0}, {"image_id": "cold/blue.png"}),
    ],
)
def test_a_document_that_we_cannot_have_written_is_left_out(client, filled, values):
    forge(filled, **values)
    for path in ("/api/v1/search?q=red&k=6", "/api/v1/search?q=red&k=6&sort=oldest", "/api/v1/search?k=6&label=red"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert PHOTO not in [hit["image_id"] for hit in answer.json["hits"]]
    for page in ("/image_search?q=red", "/", "/collections"):
        assert client.get(page).status_code == 200
    assert client.get(f"/image/{PHOTO}").status_code == 404


@pytest.mark.parametrize(
    "values",
    [
        *({"preview": '" onload="x'}, {"preview": "A" * 5000}, {"fingerprint": "UklGRg"}, {"fingerprint": "UklGRgAA"}),
        {"fingerprint": "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"},  # a WebP of 1 × 1 pixel
    ],
)
def test_a_forged_small_picture_changes_nothing(client, filled, values):
    forge(filled, **values)
    answer = client.get("/image_search?q=red&fold=true")
    assert (answer.status_code, PHOTO in shown(answer)) == (200, True)
    assert next(iter(values.values())) not in answer.text


def test_pages_and_the_log_say_once_that_a_hit_is_left_out(client, filled, caplog):
    forge(filled, image_id="../a\n[2026-01-01] forged")
    assert "1 photo is left out" in client.get("/image_search?q=red").text
    warnings = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert [line for line in warnings if "collections" not in line] == [
        "Documents of the index left out, because this program did not write them: 1 (the first is 'warm/red.png'). "
        "Delete them, or build the index anew: index --rebuild"
    ]
    assert "forged" not in caplog.text


def test_the_next_run_writes_a_forged_document_anew(filled, tmp_path):
    forge(filled, image_id="../secret.png")
    fill(filled, tmp_path)
    assert filled.documents.get(PHOTO).image_id == PHOTO


@pytest.mark.parametrize("value", ["../models/evil", "/models/evil", "~/evil", "a/b/c", "a//b", "..", "", ".", None, 3])
def test_a_forged_model_is_not_loaded_from_a_path(filled, value):
    meta = mapping.meta(model=dataclasses.replace(MODEL, model_id=value))
    filled.cluster.client.indices.put_mapping(index=filled.name, meta=meta)
    with pytest.raises(IndexForeignError):
        filled.state()


@pytest.mark.parametrize(
    "name", ["clip-ViT-B-32", "conse", "openai/clip-vit-base-patch32", "Mein Modell", "a.b", "..a"]
)
def test_models_have_names(name):
    meta = mapping.meta(model=dataclasses.replace(MODEL, model_id=name))
    assert mapping.model_of(meta).model_id == name


def test_a_folder_that_only_a_cluster_names_is_not_served(
    elasticsearch_url, cluster, index, name, tmp_path, monkeypatch
):
    monkeypatch.delenv("IMAGE_DIR", raising=False)
    folder, said = tmp_path / "private", []
    folder.mkdir()
    settings = load_settings({"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "DATA_DIR": str(tmp_path / "data")})
    index.create(model=MODEL, vector_index_type="flat", corpus=str(folder))
    assert web_server._with_indexed_photos(settings, said.append) == settings
    assert "set IMAGE_DIR" in said[0]
    assert not was_indexed(settings.data_dir, folder)
    note_folder(settings.data_dir, folder)
    assert web_server._with_indexed_photos(settings, said.append).image_dir == folder


def test_a_folder_that_is_not_here_is_named_with_the_remedy(elasticsearch_url, index, name, tmp_path, monkeypatch):
    monkeypatch.delenv("IMAGE_DIR", raising=False)
    settings = load_settings({"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "DATA_DIR": str(tmp_path / "data")})
    index.create(model=MODEL, vector_index_type="flat", corpus=str(tmp_path / "unmounted"))
    said = []
    assert web_server._with_indexed_photos(settings, said.append) == settings
    assert f"{tmp_path / 'unmounted'}, which is no folder on this machine now" in said[0]
    assert "set IMAGE_DIR" in said[0]
