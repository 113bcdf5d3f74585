"""Scans are counted as libjpeg writes them, whatever else is in the file."""

import random
from io import BytesIO

import pytest
from PIL import Image

from image_embeddings.errors import ImageTooLargeError
from image_embeddings.photos.decoding import MOST_SCANS, decode
from image_embeddings.photos.jpeg_scans import count_bands_of_first_scan, count_scans, has_more_scans
from tests.photos.bombs import scans


def jpeg(mode="RGB", **options):
    buffer = BytesIO()
    Image.effect_noise((320, 240), 80).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


# libjpeg's own script: ten scans for a progressive picture in colour, six in grey (jpeg_simple_progression).
@pytest.mark.parametrize(
    ("data", "number", "bands"),
    [
        (jpeg(), 1, 3),
        (jpeg("L"), 1, 1),
        (jpeg(progressive=True), 10, 3),
        (jpeg("L", progressive=True), 6, 1),
        (jpeg(restart_marker_rows=1), 1, 3),
    ],
)
def test_scans_are_counted(data, number, bands):
    assert (count_scans(data), count_bands_of_first_scan(data)) == (number, bands)
    assert (has_more_scans(data, number), has_more_scans(data, number - 1)) == (False, True)


def test_a_thumbnail_in_the_metadata_does_not_count():
    inner = jpeg(progressive=True)[:60_000]
    with_inner = Image.Exif()
    with_inner[0x010E] = inner.decode("latin-1")
    assert count_scans(jpeg(exif=with_inner.tobytes())) == 1


def test_a_film_behind_the_picture_does_not_count():
    data = jpeg() + random.Random(1).randbytes(2**25) + b"\xff\xda" * 2 * MOST_SCANS
    assert count_scans(data) == 1
    assert decode(data, max_pixels=10**6, what="motion.jpg").image.size == (320, 240)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff", jpeg()[:300], b"\xff\xd8" + b"\xff" * 1000])
def test_a_file_that_ends_early_has_what_is_there(data):
    assert (count_scans(data), count_bands_of_first_scan(data)) in ((0, 0), (1, 3))


def test_a_picture_of_too_many_scans_is_refused():
    decode(scans(64, 64, MOST_SCANS), max_pixels=10**6, what="a.jpg")
    with pytest.raises(ImageTooLargeError, match=r"a\.jpg has 201 scans; at most 200 are read"):
        decode(scans(64, 64, MOST_SCANS + 1), max_pixels=10**6, what="a.jpg")
