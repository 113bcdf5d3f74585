from io import BytesIO

import pytest
from PIL import Image, ImageEnhance

from image_embeddings.near_duplicates.folding import look_the_same
from image_embeddings.photos.fingerprint import fingerprint
from image_embeddings.sources.samples import captioned_photos


@pytest.fixture(scope="module")
def photos():
    return [photo for photo, _ in captioned_photos()]


def saved(photo, **options):
    buffer = BytesIO()
    photo.save(buffer, **options)
    return Image.open(buffer).convert("RGB")


@pytest.mark.parametrize(
    "change",
    [
        lambda photo: saved(photo, format="JPEG", quality=60),
        lambda photo: photo.resize((photo.width // 2, photo.height // 2)),
        lambda photo: ImageEnhance.Brightness(photo).enhance(1.05),
    ],
    ids=["saved anew", "halved", "brighter"],
)
def test_a_slightly_edited_photo_still_looks_the_same(photos, change):
    pairs = [(fingerprint(photo), fingerprint(change(photo))) for photo in photos]
    # Seen: all 40, by four bits of 64 at most.
    assert sum(look_the_same(*pair) for pair in pairs) >= len(pairs) - 1


def test_other_photos_do_not_look_the_same(photos):
    prints = [fingerprint(photo) for photo in photos]
    pairs = [(one, other) for number, one in enumerate(prints) for other in prints[:number]]
    assert sum(look_the_same(*pair) for pair in pairs) == 0


def test_plain_grounds_of_other_colours_do_not_look_the_same():
    red, blue = (fingerprint(Image.new("RGB", (40, 30), colour)) for colour in ("red", "blue"))
    assert not look_the_same(red, blue)
    assert look_the_same(red, red)


@pytest.mark.parametrize("unknown", [None, ""])
def test_a_missing_fingerprint_looks_like_nothing(unknown):
    assert not look_the_same(unknown, unknown)
    assert not look_the_same("00ff00ff00ff00ff808080", unknown)
