import resource
import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from image_embeddings.errors import ImageTooLargeError, ImageUnreadableError
from image_embeddings.photos.browsers import browser_type, rendition
from image_embeddings.photos.decoding import SHORT_SIDE, decode
from image_embeddings.photos.pixels import LONG_SIDE

register_heif_opener()  # for what tests save


def encoded(image, format="PNG", **options):  # noqa: A002
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def decoded(data, *, max_pixels=10_000_000):
    return decode(data, max_pixels=max_pixels, what="photo.jpg")


def colour_at(data, place=(0, 0)):
    return decoded(data).image.getpixel(place)


ALL_FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"]


@pytest.mark.parametrize("format", ALL_FORMATS)
def test_every_format_is_decoded_to_rgb_of_its_own_size(format):  # noqa: A002
    photo = decoded(encoded(Image.new("RGB", (30, 20), "red"), format))
    assert (photo.image.mode, photo.image.size, photo.width, photo.height) == ("RGB", (30, 20), 30, 20)


@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
def test_transparency_of_newer_formats_becomes_white(format):  # noqa: A002
    assert colour_at(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), format)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white(mode):
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0)).convert(mode)
    if mode == "P":
        image.info["transparency"] = image.getpixel((0, 0))
    assert colour_at(encoded(image)) == (255, 255, 255)


def test_cmyk_becomes_rgb():
    assert colour_at(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))[0] > 200


def test_sixteen_bits_are_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    assert decoded(encoded(Image.fromarray(ramp))).image.getpixel((4, 4))[0] == pytest.approx(145, abs=3)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_frame_of_an_animation_is_taken(format):  # noqa: A002
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    assert colour_at(data) == pytest.approx((255, 0, 0), abs=5)


def test_of_several_pictures_in_a_heic_file_the_primary_one_is_taken():
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("blue", "red", "lime")]
    data = encoded(pictures[0], "HEIF", save_all=True, append_images=pictures[1:], primary_index=1)
    assert colour_at(data) == pytest.approx((255, 0, 0), abs=5)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "format", ["PNG", "TIFF", "AVIF", "HEIF"]
)  # the last says it in its own way, and EXIF repeats it
def test_every_exif_orientation_becomes_upright(orientation, format):  # noqa: A002
    upright = Image.new("RGB", (40, 24), "white")
    upright.paste("red", (0, 0, 20, 12))  # red corner at the top left
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(undo) if undo is not None else upright
    photo = decoded(encoded(stored, format, exif=exif.tobytes(), quality=90))
    assert (photo.width, photo.height, photo.image.size) == (40, 24, (40, 24))
    assert photo.image.getpixel((5, 5)) == pytest.approx((255, 0, 0), abs=5)
    assert photo.image.getpixel((35, 5)) == pytest.approx((255, 255, 255), abs=5)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "AVIF", "HEIF"])
def test_a_large_photo_is_shrunk_but_keeps_its_full_size_as_data(format):  # noqa: A002
    photo = decoded(encoded(Image.new("RGB", (4000, 2000), "green"), format))
    assert (photo.width, photo.height) == (4000, 2000)
    assert SHORT_SIDE <= min(photo.image.size) < 2 * SHORT_SIDE


def test_too_many_pixels_are_refused_before_they_are_decoded():
    with pytest.raises(ImageTooLargeError, match=r"photo\.jpg has 100 × 100 .*MAX_IMAGE_PIXELS"):
        decoded(encoded(Image.new("RGB", (100, 100)))[:200], max_pixels=9_998)  # the rest of the file is missing


@pytest.mark.parametrize("format", ALL_FORMATS)
def test_too_many_pixels_are_refused_in_every_format(format):  # noqa: A002
    with pytest.raises(ImageTooLargeError, match="100 × 100"):
        decoded(encoded(Image.new("RGB", (100, 100)), format), max_pixels=9_998)


def test_a_heic_file_that_claims_to_be_small_takes_no_memory_for_more():
    data = encoded(Image.new("RGB", (2000, 1500)), "HEIF", quality=10)
    small = data.replace(struct.pack(">II", 2000, 1500), struct.pack(">II", 64, 64))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageUnreadableError, match="exceeds the maximum"):
        decoded(small)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


def test_a_tiny_file_that_claims_to_be_huge_takes_no_memory():
    screen = b"GIF89a" + b"\xff" * 4 + b"\x80\0\0" + b"\0" * 3 + b"\xff" * 3
    restored_to_background = b"!\xf9\x04\x08" + b"\0" * 4
    bomb = screen + restored_to_background + b"," + b"\0" * 4 + b"\xff" * 4 + b"\0\x02\x02D\x01\0;"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageTooLargeError):
        decoded(bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB; the picture would be 4 GB


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "I", "F", "LA", "RGBA", "CMYK"])
def test_a_large_photo_of_any_mode_is_shrunk(mode):
    ramp = Image.linear_gradient("L").resize((1400, 1000))
    if mode in ("I;16", "I", "F"):
        image = Image.fromarray(
            np.asarray(ramp).astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]) * 257
        )
    else:
        image = ramp.convert(mode)
    photo = decoded(encoded(image, "TIFF"))
    assert (photo.width, photo.height, photo.image.mode) == (1400, 1000, "RGB")
    assert min(photo.image.size) < 2 * SHORT_SIDE
    top, bottom = photo.image.getpixel((9, 5))[0], photo.image.getpixel((9, photo.image.height - 5))[0]
    assert bottom - top > 200 or mode == "1"


@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1), (20, 9_000)])
def test_a_thin_image_is_shortened(size):
    photo = decoded(encoded(Image.new("RGB", size, "red")))
    assert (photo.width, photo.height) == size
    assert max(photo.image.size) <= LONG_SIDE


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html>not a photo</html>", "no known image format"),
        (encoded(Image.effect_noise((90, 90), 50).convert("RGB"), "JPEG")[:640], "damaged"),
        (encoded(Image.effect_noise((90, 90), 50), "PNG")[:200], "damaged"),
        (encoded(Image.effect_noise((90, 90), 50), "HEIF")[:900], "damaged"),
        (encoded(Image.effect_noise((90, 90), 50), "AVIF")[:900], "it is an AVIF, and its header"),
        (encoded(Image.new("RGB", (90, 90)), "HEIF")[:99], "it is a HEIC, and its header"),
    ],
)
def test_a_file_that_is_no_image_is_an_error_with_reason_and_name(data, reason):
    with pytest.raises(ImageUnreadableError, match=rf"photo\.jpg .*{reason}"):
        decoded(data)


def test_a_format_that_is_not_listed_is_refused():
    with pytest.raises(ImageUnreadableError):
        decoded(encoded(Image.new("RGB", (8, 8)), "PPM"))


def test_damaged_exif_does_not_stop_a_sound_picture():
    data = encoded(Image.new("RGB", (8, 8), "red"), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f broken")
    assert colour_at(data)[0] > 240


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("BMP", "image/bmp"),
        ("AVIF", "image/avif"),
        ("TIFF", None),
        ("HEIF", None),
    ],
)
def test_formats_that_browsers_show_are_recognised_by_their_first_bytes(format, kind):  # noqa: A002
    assert browser_type(BytesIO(encoded(Image.new("RGB", (8, 8)), format))) == kind


def test_a_rendition_is_a_large_upright_jpeg():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (4000, 3000), "red"), "TIFF", exif=exif)
    with Image.open(BytesIO(rendition(data, max_pixels=20_000_000, what="photo.tif"))) as shown:
        assert (shown.format, shown.size) == ("JPEG", (1500, 2000))
