import base64
import os
import time
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from image_embeddings.errors import DataDirError
from image_embeddings.photos.thumbnails import Thumbnails, preview

HASH = "ab12" * 8


def test_a_thumbnail_is_a_small_webp_of_the_same_shape(tmp_path):
    path = Thumbnails(tmp_path).make(Image.new("RGB", (1000, 500), "red"), content_hash=HASH)
    with Image.open(path) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (400, 200))


def test_a_small_photo_is_not_enlarged(tmp_path):
    path = Thumbnails(tmp_path).make(Image.new("RGB", (30, 20)), content_hash=HASH)
    with Image.open(path) as thumbnail:
        assert thumbnail.size == (30, 20)


def test_a_thumbnail_is_made_once(tmp_path):
    thumbnails = Thumbnails(tmp_path)
    first = thumbnails.make(Image.new("RGB", (30, 20), "red"), content_hash=HASH).read_bytes()
    assert thumbnails.make(Image.new("RGB", (30, 20), "blue"), content_hash=HASH).read_bytes() == first


def test_no_unfinished_file_is_left_beside_a_thumbnail(tmp_path):
    path = Thumbnails(tmp_path).make(Image.new("RGB", (30, 20)), content_hash=HASH)
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataDirError, match="DATA_DIR"):
        Thumbnails(tmp_path / "file").make(Image.new("RGB", (30, 20)), content_hash=HASH)


def test_a_preview_is_the_photo_in_a_few_bytes():
    small_copy = preview(Image.new("RGB", (400, 200), (200, 30, 30)))
    small = Image.open(BytesIO(base64.b64decode(small_copy))).convert("RGB")
    assert small.size == (12, 6)
    assert small.getpixel((3, 3)) == pytest.approx((200, 30, 30), abs=12)
    assert len(small_copy) < 200


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\0" * 90, b"RIFF\x04\0\0\0WEBPxx"])
def test_a_damaged_thumbnail_is_not_read_and_is_made_anew(tmp_path, content):
    thumbnails = Thumbnails(tmp_path)
    path = thumbnails.make(Image.new("RGB", (30, 20)), content_hash=HASH)
    sound = path.read_bytes()
    assert thumbnails.read(HASH) == sound
    path.write_bytes(content)
    assert thumbnails.read(HASH) is None
    thumbnails.make(Image.new("RGB", (30, 20)), content_hash=HASH)
    assert thumbnails.read(HASH) == sound


@pytest.mark.parametrize("size", [(1, 1), (399, 7), (400, 400), (3, 401)])
def test_every_thumbnail_is_as_long_as_its_header_says(tmp_path, size):
    noise = Image.effect_noise(size, 90).convert("RGB")
    assert Thumbnails(tmp_path).make(noise, content_hash=HASH).read_bytes() == Thumbnails(tmp_path).read(HASH)


@pytest.mark.parametrize(
    "no_hash", ["", "a", "ab12", f"../{HASH}", f"ab/{HASH}", f"{HASH}\n", HASH.upper(), f"{HASH}.webp"]
)
def test_what_is_no_hash_names_no_thumbnail(tmp_path, no_hash):
    thumbnails = Thumbnails(tmp_path)
    path = thumbnails.make(Image.new("RGB", (30, 20)), content_hash=HASH)
    assert thumbnails.read(no_hash) is None
    thumbnails.remove(no_hash)
    assert path.exists()


def test_a_thumbnail_that_cannot_be_read_is_named(tmp_path):
    Thumbnails(tmp_path).path(HASH).mkdir(parents=True)
    with pytest.raises(DataDirError, match="cannot be read"):
        Thumbnails(tmp_path).read(HASH)


def test_a_thumbnail_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    events = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor):
        events.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr("pathlib.os.replace", lambda *names: (events.append("renamed"), real_replace(*names)))
    path = Thumbnails(tmp_path).make(Image.new("RGB", (30, 20)), content_hash=HASH)
    assert [event.rpartition(".")[2] for event in events] == ["tmp", "renamed", str(path.parent)]


def test_unfinished_files_of_killed_runs_are_removed_after_an_hour(tmp_path):
    thumbnails = Thumbnails(tmp_path)
    folder = thumbnails.make(Image.new("RGB", (30, 20)), content_hash=HASH).parent
    old, new = folder / "old.tmp", folder / "new.tmp"
    for path in (old, new):
        path.touch()
    an_hour_ago = time.time() - 3700
    for path in (old, thumbnails.path(HASH)):
        os.utime(path, (an_hour_ago, an_hour_ago))
    thumbnails.remove_abandoned()
    assert sorted(path.name for path in folder.iterdir()) == [f"{HASH}.webp", "new.tmp"]


def test_there_need_be_no_folder_for_removals(tmp_path):
    Thumbnails(tmp_path / "none").remove_abandoned()
    Thumbnails(tmp_path / "none").remove(HASH)
    assert not (tmp_path / "none").exists()
