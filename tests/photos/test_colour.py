"""Colours, held against ImageMagick's rendering in sRGB."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from image_embeddings.photos.browsers import rendition
from image_embeddings.photos.decoding import decode
from tests import imagemagick
from tests.icc_profiles import cmyk_profile, grey_profile, rgb_profile

with_imagemagick = pytest.mark.skipif(not (imagemagick.executable() or imagemagick.NEEDED), reason=imagemagick.MISSING)
LEVELS = 2.5  # mean difference; the largest seen is 0.5

SATURATION, HUE = np.meshgrid(np.linspace(0, 255, 96), np.linspace(0, 255, 96))
PICTURE = Image.fromarray(
    np.stack([HUE, SATURATION, (255 - HUE / 2 + SATURATION / 2).clip(0, 255)], axis=-1).astype(np.uint8), "HSV"
).convert("RGB")
KINDS = {
    "srgb": ("RGB", rgb_profile("srgb")),
    "linear": ("RGB", rgb_profile("linear")),
    "display-p3": ("RGB", rgb_profile("display-p3")),
    "adobe-rgb": ("RGB", rgb_profile("adobe-rgb")),
    "prophoto": ("RGB", rgb_profile("prophoto")),
    "grey": ("L", grey_profile(1.4)),
    "cmyk": ("CMYK", cmyk_profile()),
}


def saved(image, format, **options):  # noqa: A002
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def decoded(data):
    return decode(data, max_pixels=10_000_000, what="photo")


def blocks(image):
    return np.asarray(image.resize((12, 12), Image.Resampling.BOX), np.float64)


def difference(one, other):
    return np.abs(blocks(one) - blocks(other)).mean()


@with_imagemagick
@pytest.mark.parametrize("format", ["TIFF", "JPEG"])
def test_pictures_with_a_profile_look_as_imagemagick_renders_them(format, tmp_path):  # noqa: A002
    differences = {}
    for kind, (mode, profile) in KINDS.items():
        file = tmp_path / f"{kind}.{format.lower()}"
        file.write_bytes(saved(PICTURE.convert(mode), format, icc_profile=profile))
        differences[kind] = difference(decoded(file.read_bytes()).image, imagemagick.rendered(file))
    assert max(differences.values()) < LEVELS, differences


def test_every_format_and_the_rendition_use_the_profile():
    card = Image.new("RGB", (64, 48), (221, 171, 142))  # skin in Display P3, by exact arithmetic (230, 169, 136)
    for format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"):  # noqa: A001
        data = saved(card, format, icc_profile=rgb_profile("display-p3"), quality=95)
        shown = decoded(data).image
        assert shown.getpixel((9, 9)) == pytest.approx((230, 169, 136), abs=5), format
        assert "icc_profile" not in shown.info
        with Image.open(BytesIO(rendition(data, max_pixels=10**6, what="photo"))) as jpeg:
            assert jpeg.getpixel((9, 9)) == pytest.approx((230, 169, 136), abs=5), format


def test_colours_are_converted_before_transparency_becomes_white():
    image = Image.new("RGBA", (8, 8), (221, 171, 142, 255))
    image.paste((0, 0, 0, 0), (0, 0, 4, 8))
    shown = decoded(saved(image, "PNG", icc_profile=rgb_profile("prophoto"))).image
    assert shown.getpixel((0, 0)) == (255, 255, 255)
    assert shown.getpixel((6, 0)) != (221, 171, 142)


def test_a_profile_that_cannot_be_used_is_left_out():
    p3 = rgb_profile("display-p3")
    for mode, profile in {"RGB": p3[:200], "L": p3, "CMYK": p3}.items():
        image = PICTURE.convert(mode)
        photo = decoded(saved(image, "TIFF", icc_profile=profile))
        assert difference(photo.image, image.convert("RGB")) == 0, mode
    assert difference(decoded(saved(PICTURE, "TIFF", icc_profile=grey_profile(1))).image, PICTURE) == 0
    assert difference(decoded(saved(PICTURE, "TIFF", icc_profile=b"no profile at all")).image, PICTURE) == 0


def test_the_picture_without_its_profile_is_kept_only_if_it_differs():
    photo = decoded(saved(PICTURE, "PNG", icc_profile=rgb_profile("prophoto")))
    assert difference(photo.unmanaged, PICTURE) == 0
    assert difference(photo.image, PICTURE) > 5
    assert decoded(saved(PICTURE, "PNG")).unmanaged is None


# Code points of AVIF


def with_code_points(data, primaries, transfer):
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def avif(image, primaries, transfer):
    return with_code_points(saved(image, "AVIF", quality=100, subsampling="4:4:4"), primaries, transfer)


def to_pq(nits):
    """Return the 8-bit level of a brightness in PQ (SMPTE ST 2084)."""
    power = (nits / 10_000) ** 0.1593017578125
    return round(255 * ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)


def test_code_points_say_the_primaries():
    for stored, srgb in {(221, 171, 142): (230, 169, 136), (100, 161, 220): (78, 163, 226)}.items():
        for primaries, expected in ((12, srgb), (1, stored), (2, stored)):
            data = avif(Image.new("RGB", (16, 16), stored), primaries, 13)
            assert decoded(data).image.getpixel((8, 8)) == pytest.approx(expected, abs=4)


def test_hdr_is_tone_mapped():
    levels = {}
    for nits in (10, 40, 100, 203, 1000, 4000):
        data = avif(Image.new("RGB", (16, 16), (to_pq(nits),) * 3), 9, 16)
        levels[nits] = decoded(data).image.getpixel((8, 8))[1]
    for nits in (10, 40, 100):  # dark and middle tones are those of a white of 203 nits
        assert levels[nits] == pytest.approx(255 * (1.055 * (nits / 203) ** (1 / 2.4) - 0.055), abs=4)
    assert 220 < levels[203] < levels[1000] <= levels[4000] <= 255


def test_the_white_of_hlg_is_nearly_white():
    assert decoded(avif(Image.new("RGB", (16, 16), (191,) * 3), 9, 18)).image.getpixel((8, 8))[1] > 220


# The crop of AVIF


def with_crop(data, *, width, height, right, down):
    """Return an AVIF file with a `clap` box: the middle of the crop lies `right` and `down` of the picture's."""
    clap = struct.pack(">I4sIIIIiIiI", 40, b"clap", width, 1, height, 1, right, 1, down, 1)
    place = data.index(b"ipma") - 4  # the properties end here
    entry = data.index(b"ipma") + 14  # the number of properties of the first item
    properties, at = 0, data.index(b"ipco") + 4
    while at < place:
        at, properties = at + struct.unpack_from(">I", data, at)[0], properties + 1
    count = data[entry]
    listed = bytes([count + 1]) + data[entry + 1 : entry + 1 + count] + bytes([0x80 | properties + 1])
    made = bytearray(data[:place] + clap + data[place:entry] + listed + data[entry + 1 + count :])
    for kind, more in ((b"ipco", 40), (b"iprp", 41), (b"meta", 41), (b"ipma", 1)):
        size = made.index(kind) - 4
        struct.pack_into(">I", made, size, struct.unpack_from(">I", made, size)[0] + more)
    offset = struct.pack(">I", data.index(b"mdat") + 4)
    where = data.index(offset, data.index(b"iloc"))
    struct.pack_into(">I", made, where, data.index(b"mdat") + 4 + 41)
    return bytes(made)


def test_the_crop_of_an_avif_is_cut_out():
    image = Image.new("RGB", (100, 60), "blue")
    image.paste("red", (60, 20, 100, 60))
    photo = decoded(with_crop(saved(image, "AVIF"), width=40, height=40, right=30, down=10))
    assert (photo.width, photo.height, photo.image.size) == (40, 40, (40, 40))
    assert photo.image.getpixel((3, 3)) == pytest.approx((255, 0, 0), abs=12)
