"""Runs put thumbnails into a bucket, and web apps without a common disk serve them from there."""

import dataclasses

import pytest

from app import create_app
from app.services import Services
from image_embeddings.config import load_settings
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.photos.decoding import DECODING
from image_embeddings.search.image_search import ImageSearch
from tests.fakes import ColourEncoder, RecordedProgress
from tests.server.test_bucket import ColourRuns
from tests.server.web_client import BufferedClient

pytestmark = pytest.mark.server


@pytest.fixture
def settings(elasticsearch_url, name, bucket, s3_server, photos, data_dir):
    """Settings of the machine that indexes."""
    environ = {"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "S3_ENDPOINT": s3_server, "IMAGE_MODEL": "conse"}
    return load_settings({**environ, "THUMBNAILS": f"s3://{bucket[0]}/thumbs/"}, image_dir=photos, data_dir=data_dir)


def run(settings):
    return ColourRuns(settings).run(progress=RecordedProgress)


def app_of(settings, cluster):
    search = ImageSearch(ImageIndex(cluster, name=settings.index_name), encoder_for=lambda model: ColourEncoder())
    app = create_app(settings, services=Services(settings, open_search=lambda settings: search))
    app.test_client_class = BufferedClient
    return app.test_client()


@pytest.fixture
def web(settings, cluster, tmp_path):
    """The app on another machine, whose DATA_DIR is empty. The photos are indexed."""
    run(settings)
    return app_of(dataclasses.replace(settings, data_dir=tmp_path / "elsewhere"), cluster)


def keys(bucket):
    name, client = bucket
    return [item["Key"] for item in client.list_objects_v2(Bucket=name).get("Contents", [])]


def thumbnails_in(folder):
    return list(folder.rglob("*.webp"))


def test_a_run_leaves_its_thumbnails_in_the_store_only_and_removes_those_of_photos_that_are_gone(
    settings, cluster, bucket, photos
):
    run(settings)
    documents = ImageIndex(cluster, name=settings.index_name).documents
    of_red = documents.get("warm/red.png").content_hash
    assert f"thumbs/{DECODING}/{of_red[:2]}/{of_red}.webp" in keys(bucket)
    assert (len(keys(bucket)), thumbnails_in(settings.data_dir)) == (6, [])
    (photos / "warm" / "red.png").unlink()
    run(settings)
    assert len(keys(bucket)) == 5
    assert of_red not in "".join(keys(bucket))


def test_an_app_on_another_machine_serves_them_with_the_usual_headers(web, photos, settings, cluster, tmp_path):
    for path in photos.rglob("*.png"):
        path.unlink()  # so that the app cannot make a thumbnail itself
    photo = ImageIndex(cluster, name=settings.index_name).documents.get("warm/red.png")
    (photos / "warm" / "red.png").touch()
    answer = web.get(f"/thumbnail/warm/red.png?v={photo.content_hash}")
    assert (answer.status_code, answer.mimetype) == (200, "image/webp")
    assert "immutable" in answer.headers["Cache-Control"]
    again = web.get("/thumbnail/warm/red.png", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.headers["Cache-Control"]) == (304, "private, no-cache")
    assert thumbnails_in(tmp_path) == []


@pytest.mark.parametrize("damage", [None, b"RIFF damaged"], ids=["missing", "damaged"])
def test_a_missing_or_damaged_one_is_made_on_demand_and_kept_there(web, bucket, tmp_path, damage):
    name, client = bucket
    before = {key: client.get_object(Bucket=name, Key=key)["Body"].read() for key in keys(bucket)}
    for key in before:
        client.delete_object(Bucket=name, Key=key) if damage is None else client.put_object(
            Bucket=name, Key=key, Body=damage
        )
    answer = web.get("/thumbnail/warm/red.png")
    assert answer.status_code == 200
    kept = {key: client.get_object(Bucket=name, Key=key)["Body"].read() for key in keys(bucket)}
    assert [key for key, data in kept.items() if data == answer.data] == [
        key for key, data in before.items() if data == answer.data
    ]
    assert thumbnails_in(tmp_path) == []


def test_a_store_that_is_away_is_a_503(settings, web, cluster):
    away = app_of(dataclasses.replace(settings, s3_endpoint="http://127.0.0.1:9"), cluster)
    assert away.get("/thumbnail/warm/red.png").status_code == 503


def test_a_folder_that_machines_share_is_used_as_it_is(settings, cluster, bucket, tmp_path):
    shared = dataclasses.replace(settings, thumbnails=tmp_path / "shared")
    run(shared)
    assert (len(thumbnails_in(tmp_path / "shared")), thumbnails_in(settings.data_dir)) == (6, [])
    other = app_of(dataclasses.replace(shared, data_dir=tmp_path / "elsewhere"), cluster)
    assert other.get("/thumbnail/warm/red.png").mimetype == "image/webp"
    assert keys(bucket) == []
