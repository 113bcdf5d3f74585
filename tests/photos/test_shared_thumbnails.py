"""Thumbnails in a bucket, which several machines share."""

import pytest
from PIL import Image

from image_embeddings.errors import StoreUnreachableError
from image_embeddings.file_stores.s3 import S3Store
from image_embeddings.photos.shared_thumbnails import SharedThumbnails
from image_embeddings.photos.thumbnails import Thumbnails

HASH = "ab12" * 8
KEY = f"thumbs/ab/{HASH}.webp"


@pytest.fixture
def store(bucket, s3_server):
    return S3Store(f"s3://{bucket[0]}/thumbs", endpoint=s3_server)


@pytest.fixture
def thumbnails(store, tmp_path):
    return SharedThumbnails(tmp_path / "one", store=store)


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_one_machine_has_made_is_read_by_another_and_needs_no_disk(thumbnails, store, tmp_path):
    made = thumbnails.keep(Image.new("RGB", (1000, 500), "red"), content_hash=HASH)
    assert SharedThumbnails(tmp_path / "two", store=store).read(HASH) == made
    assert files(tmp_path) == []


def test_what_a_decoder_has_made_is_shared_once(thumbnails, bucket, tmp_path):
    thumbnails.local.make(Image.new("RGB", (30, 20), "red"), content_hash=HASH)
    assert thumbnails.read(HASH) is None
    thumbnails.share(HASH)
    thumbnails.share(HASH)  # as a thread does that has read a copy of the photo
    data = bucket[1].get_object(Bucket=bucket[0], Key=KEY)["Body"].read()
    assert (thumbnails.read(HASH), files(tmp_path)) == (data, [])


@pytest.mark.parametrize("content", [b"", b"RIFF", b"x" * 100], ids=["empty", "short", "other"])
def test_a_damaged_thumbnail_is_not_read_and_is_made_anew(thumbnails, bucket, content):
    sound = thumbnails.keep(Image.new("RGB", (30, 20), "red"), content_hash=HASH)
    bucket[1].put_object(Bucket=bucket[0], Key=KEY, Body=content)
    assert thumbnails.read(HASH) is None
    assert thumbnails.keep(Image.new("RGB", (30, 20), "red"), content_hash=HASH) == sound
    assert thumbnails.read(HASH) == sound


@pytest.mark.parametrize("no_hash", ["", "../../x", f"{HASH}x", HASH.upper()])
def test_what_is_no_hash_names_nothing_in_the_store(thumbnails, bucket, no_hash):
    bucket[1].put_object(Bucket=bucket[0], Key="x.webp", Body=b"RIFF")
    assert thumbnails.read(no_hash) is None
    thumbnails.remove(no_hash)
    assert bucket[1].list_objects_v2(Bucket=bucket[0])["KeyCount"] == 1


def test_a_thumbnail_is_removed(thumbnails):
    thumbnails.keep(Image.new("RGB", (30, 20)), content_hash=HASH)
    thumbnails.remove(HASH)
    assert thumbnails.read(HASH) is None


def test_a_store_that_is_away_is_no_missing_thumbnail(s3_environ, tmp_path):
    away = SharedThumbnails(tmp_path, store=S3Store("s3://bucket/thumbs", endpoint="http://127.0.0.1:9"))
    with pytest.raises(StoreUnreachableError, match="does not answer"):
        away.read(HASH)
    with pytest.raises(StoreUnreachableError, match="does not answer"):
        away.keep(Image.new("RGB", (30, 20)), content_hash=HASH)


def test_a_folder_shares_by_itself(tmp_path):
    thumbnails = Thumbnails(tmp_path)
    made = thumbnails.keep(Image.new("RGB", (30, 20)), content_hash=HASH)
    assert thumbnails.local is thumbnails
    thumbnails.share(HASH)
    assert thumbnails.read(HASH) == made
