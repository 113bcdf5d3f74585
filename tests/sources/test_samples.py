import shutil

from image_embeddings.config import SAMPLE_PHOTOS
from image_embeddings.sources.samples import captioned_photos


def test_the_photos_are_of_many_kinds_with_captions_in_many_languages():
    photos = captioned_photos()
    english = [captions["en"] for _, captions in photos]
    assert len(photos) == len(set(english)) == 40
    assert {"A tiger.", "A lit candle.", "A fire truck.", "Fog over a ploughed field."} <= set(english)
    assert all(next(iter(captions)) == "en" for _, captions in photos)
    assert sum("zh" in captions for _, captions in photos) > 20
    assert all(image.mode == "RGB" for image, _ in photos)


def test_without_sample_photos_the_list_is_empty(tmp_path):
    assert captioned_photos(tmp_path) == []


def test_removed_or_broken_photos_are_left_out(tmp_path):
    shutil.copytree(SAMPLE_PHOTOS / "birds", tmp_path / "birds")
    shutil.copy(SAMPLE_PHOTOS / "captions.csv", tmp_path)
    whole = captioned_photos(tmp_path)
    (tmp_path / "birds" / "blackbird.jpg").write_bytes(b"no photo")
    assert len(whole) == 5
    assert captioned_photos(tmp_path) == whole[1:]
