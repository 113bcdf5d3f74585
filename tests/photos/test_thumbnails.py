import base64
from io import BytesIO

import pytest
from PIL import Image

from image_embeddings.errors import DataDirError
from image_embeddings.photos.thumbnails import Thumbnails, preview


def test_a_thumbnail_is_a_small_webp_of_the_same_shape(tmp_path):
    path = Thumbnails(tmp_path).make(Image.new("RGB", (1000, 500), "red"), content_hash="ab12" * 8)
    with Image.open(path) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (400, 200))


def test_a_small_photo_is_not_enlarged(tmp_path):
    path = Thumbnails(tmp_path).make(Image.new("RGB", (30, 20)), content_hash="ab12" * 8)
    with Image.open(path) as thumbnail:
        assert thumbnail.size == (30, 20)


def test_a_thumbnail_is_made_once(tmp_path):
    thumbnails = Thumbnails(tmp_path)
    first = thumbnails.make(Image.new("RGB", (30, 20), "red"), content_hash="ab12" * 8).read_bytes()
    assert thumbnails.make(Image.new("RGB", (30, 20), "blue"), content_hash="ab12" * 8).read_bytes() == first


def test_no_unfinished_file_is_left_beside_a_thumbnail(tmp_path):
    path = Thumbnails(tmp_path).make(Image.new("RGB", (30, 20)), content_hash="ab12" * 8)
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataDirError, match="DATA_DIR"):
        Thumbnails(tmp_path / "file").make(Image.new("RGB", (30, 20)), content_hash="ab12" * 8)


def test_a_preview_is_the_photo_in_a_few_bytes():
    small_copy = preview(Image.new("RGB", (400, 200), (200, 30, 30)))
    small = Image.open(BytesIO(base64.b64decode(small_copy))).convert("RGB")
    assert small.size == (12, 6)
    assert small.getpixel((3, 3)) == pytest.approx((200, 30, 30), abs=12)
    assert len(small_copy) < 200
