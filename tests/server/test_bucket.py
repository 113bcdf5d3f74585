"""The whole product over photos in a bucket: indexed, searched and served from there."""

import dataclasses
import io

import pytest
from PIL import Image

from app import create_app
from app.services import Services
from image_embeddings.config import load_settings
from image_embeddings.errors import SourceUnreachableError
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.indexing.runs import Indexing
from image_embeddings.search.image_search import ImageSearch
from tests.fakes import ColourEncoder, RecordedProgress
from tests.pictures import colour_photos
from tests.server.web_client import BufferedClient, picture, shown

pytestmark = pytest.mark.server


@pytest.fixture
def store(bucket, tmp_path):
    """The six colour photos in the folder `photos` of a bucket: its name, and a client."""
    name, client = bucket
    folder = colour_photos(tmp_path / "local")
    for path in folder.rglob("*.png"):
        client.put_object(Bucket=name, Key=f"photos/{path.relative_to(folder).as_posix()}", Body=path.read_bytes())
    return name, client


@pytest.fixture
def settings(elasticsearch_url, name, store, s3_server, data_dir):
    environ = {"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "S3_ENDPOINT": s3_server, "IMAGE_MODEL": "conse"}
    return load_settings({**environ, "IMAGE_DIR": f"s3://{store[0]}/photos"}, data_dir=data_dir)


class ColourRuns(Indexing):
    """Runs with an encoder that needs no network."""

    def _choose_encoder(self, built_with):
        return ColourEncoder()


def run(settings, **options):
    return ColourRuns(settings).run(progress=RecordedProgress, **options)


@pytest.fixture
def web(settings, cluster, name):
    """The app over the bucket, indexed."""
    run(settings)
    search = ImageSearch(ImageIndex(cluster, name=name), encoder_for=lambda model: ColourEncoder())
    app = create_app(settings, services=Services(settings, open_search=lambda settings: search))
    app.test_client_class = BufferedClient
    return app.test_client()


def test_a_second_run_finds_nothing_to_do_and_a_third_what_has_changed(settings, store):
    first, second = run(settings), run(settings)
    assert (first.encoded, second.unchanged, second.written) == (6, 6, 0)
    bucket, client = store
    client.put_object(Bucket=bucket, Key="photos/warm/red.png", Body=picture("red", size=(10, 10)))
    client.copy_object(Bucket=bucket, Key="photos/new.png", CopySource=f"{bucket}/photos/cold/deep/blue.png")
    client.delete_object(Bucket=bucket, Key="photos/cold/deep/green.png")
    third = run(settings)
    assert (third.encoded, third.reused, third.deleted, third.unchanged) == (1, 1, 1, 4)


def test_the_index_names_the_bucket_and_its_documents_have_etags(settings, store, web, index_of):
    assert index_of.state().corpus == f"s3://{store[0]}/photos"
    told = store[1].head_object(Bucket=store[0], Key="photos/warm/red.png")
    document = index_of.documents.get("warm/red.png")
    assert (f'"{document.etag}"', document.inode, document.ctime_ns) == (told["ETag"], 0, 0)


@pytest.fixture
def index_of(cluster, name):
    return ImageIndex(cluster, name=name)


def test_pages_thumbnails_and_searches_work(web):
    assert set(shown(web.get("/"))) == {
        *("warm/red.png", "warm/yellow.png", "warm/magenta.png"),
        *("cold/deep/blue.png", "cold/deep/green.png", "cold/deep/cyan.png"),
    }
    assert web.get("/thumbnail/warm/red.png").mimetype == "image/webp"
    assert web.get("/api/v1/search?like=warm/red.png").json["hits"]


def test_a_photo_is_streamed_with_ranges_and_the_etag_of_the_store(web, store):
    data = store[1].get_object(Bucket=store[0], Key="photos/warm/red.png")["Body"].read()
    whole = web.get("/image/warm/red.png")
    assert (whole.data, whole.mimetype, whole.content_length) == (data, "image/png", len(data))
    etag = store[1].head_object(Bucket=store[0], Key="photos/warm/red.png")["ETag"]
    assert whole.headers["ETag"] == etag
    again = web.get("/image/warm/red.png", headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    part = web.get("/image/warm/red.png", headers={"Range": "bytes=5-9", "If-Range": etag})
    assert (part.status_code, part.data, part.headers["Content-Range"]) == (206, data[5:10], f"bytes 5-9/{len(data)}")


def test_a_range_beyond_the_photo_is_refused_with_its_size(web, store):
    size = store[1].head_object(Bucket=store[0], Key="photos/warm/red.png")["ContentLength"]
    answer = web.get("/image/warm/red.png", headers={"Range": f"bytes={size}-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{size}")


def test_what_browsers_do_not_show_is_served_as_jpeg_and_parts_are_cut(web, settings, store):
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(buffer, "TIFF")
    store[1].put_object(Bucket=store[0], Key="photos/warm/red.png", Body=buffer.getvalue())
    answer = web.get("/image/warm/red.png")
    assert (answer.status_code, answer.mimetype, answer.data[:3]) == (200, "image/jpeg", b"\xff\xd8\xff")
    for etag in (answer.headers["ETag"], f"W/{answer.headers['ETag']}"):  # a proxy that compresses makes it a weak one
        assert web.get("/image/warm/red.png", headers={"If-None-Match": etag}).status_code == 304
    assert web.get("/image/warm/red.png?original").data == buffer.getvalue()
    cut = web.get("/api/v1/search?like=warm/red.png%23xywh=percent:0,0,50,50")
    assert cut.status_code == 200


def test_missing_thumbnails_are_made_on_demand(web, settings):
    for path in (settings.data_dir / "thumbnails").rglob("*.webp"):
        path.unlink()
    assert web.get("/thumbnail/warm/red.png").mimetype == "image/webp"


def test_a_photo_that_is_gone_from_the_bucket_is_not_found(web, store):
    store[1].delete_object(Bucket=store[0], Key="photos/warm/red.png")
    answer = web.get("/image/warm/red.png")
    assert answer.status_code == 404
    assert f"is in the index but not in s3://{store[0]}/photos" in answer.text


def test_a_store_that_is_away_is_a_503_and_ends_a_run_without_losing_a_photo(web, settings, cluster, name, index_of):
    away = dataclasses.replace(settings, s3_endpoint="http://127.0.0.1:9")
    search = ImageSearch(index_of, encoder_for=lambda model: ColourEncoder())
    app = create_app(away, services=Services(away, open_search=lambda settings: search))
    answer = app.test_client().get("/api/v1/search?like=warm/red.png%23xywh=percent:0,0,50,50")
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "source_unreachable")
    runs = ColourRuns(away)
    runs.source._patience_seconds = 0.0
    with pytest.raises(SourceUnreachableError, match="does not answer"):
        runs.run(progress=RecordedProgress)
    assert index_of.count() == 6
