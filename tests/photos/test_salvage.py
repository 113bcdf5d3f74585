"""Files that are broken in part."""

import struct
import threading
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from image_embeddings.errors import ImageUnreadableError
from image_embeddings.photos.decoding import decode

NOISE = np.random.default_rng(5).integers(0, 255, (30, 40, 3)).astype(np.uint8)
PICTURE = Image.fromarray(NOISE).resize((200, 150), Image.Resampling.BICUBIC)


def saved(format, **options):  # noqa: A002
    buffer = BytesIO()
    PICTURE.convert("P" if format == "GIF" else "RGB").save(buffer, format, **options)
    return buffer.getvalue()


def decoded(data):
    return decode(data, max_pixels=10**6, what="photo.jpg")


def row_difference(one, other, row):
    return np.abs(np.asarray(one, np.int16)[row] - np.asarray(other, np.int16)[row]).mean()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def after_header(kind, *parts):
    """Return the picture as PNG or JPEG with these parts after its header."""
    data = saved(kind)
    at = 33 if kind == "PNG" else 2
    return data[:at] + b"".join(parts) + data[at:]


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_a_truncated_picture_is_shown_as_far_as_it_goes_and_named_as_damaged(format, options):  # noqa: A002
    data = saved(format, **options)
    whole = decoded(data)
    assert whole.damage == ""
    photo = decoded(data[: len(data) * 7 // 10])
    assert photo.damage == "its end is missing"
    row = 140 if format == "BMP" else 10  # BMP begins at the bottom
    assert row_difference(photo.image, whole.image, row) < (25 if options.get("progressive") else 2)


def test_a_jpeg_that_lacks_only_its_end_is_whole():
    data = saved("JPEG")
    for cut in (data[:-2], data[:-2] + bytes(15)):
        photo = decoded(cut)
        assert photo.damage == "its end is missing"
        assert np.array_equal(np.asarray(photo.image), np.asarray(decoded(data).image))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_picture_of_which_nearly_nothing_is_left_is_refused(format):  # noqa: A002
    data = saved(format)
    start = {"JPEG": data.index(b"\xff\xda") + 14 if format == "JPEG" else 0, "GIF": 13 + 768 + 10}.get(format, 60)
    with pytest.raises(ImageUnreadableError, match="damaged"):
        decoded(data[: start + 30])


def test_tolerance_is_not_for_other_threads():
    data, results, stop = saved("JPEG")[:-2], [], threading.Event()

    def salvage_on():
        while not stop.is_set():
            decoded(data)

    other = threading.Thread(target=salvage_on)
    other.start()
    for _ in range(30):
        with Image.open(BytesIO(data)) as image:
            try:
                image.load()
            except OSError:
                results.append("truncated")
    stop.set()
    other.join()
    assert results == ["truncated"] * 30


def test_damaged_metadata_does_not_cost_the_picture():
    files = {
        "an empty JFIF segment": after_header("JPEG", b"\xff\xe0\0\x02").replace(
            b"\xff\xe0\0\x10JFIF", b"\xff\xe1\0\x10JFIF"
        ),
        "megabytes of text": after_header("PNG", chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**21)))),
        "a profile that is too large": after_header("PNG", chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**21)))),
        "short chromaticities": after_header("PNG", chunk(b"cHRM", b"")),
        "short gamma": after_header("PNG", chunk(b"gAMA", b"\0")),
        "text by an unknown method": after_header("PNG", chunk(b"zTXt", b"a\0\x09abc")),
    }
    for what, data in files.items():
        photo = decoded(data)
        assert (photo.image.size, photo.damage) == ((200, 150), ""), what
        assert row_difference(photo.image, PICTURE, 70) < 25, what


def test_an_empty_exif_item_does_not_cost_an_avif():
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"
    data = saved("AVIF", exif=exif)
    at = data.rindex(exif[6:])
    photo = decoded(data[: at - 4] + b"\xff" * 4 + data[at:])  # the TIFF begins after the end of the item
    assert (photo.image.size, photo.damage) == ((200, 150), "")


def test_exif_is_kept_if_other_metadata_is_damaged():
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    data = saved("PNG", exif=exif)
    assert decoded(data[:33] + chunk(b"cHRM", b"") + data[33:]).exif[0x010F] == "Maker"


def text(keyword, content):
    return chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(content))


DAMAGED_CHUNKS = {
    "a profile that is too large": chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**21))),
    "a text that is too large": text(b"a", bytes(2**21)),
    "an international text that is too large": chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(2**21))),
    "a text by an unknown method": chunk(b"zTXt", b"a\0\x09abc"),
    "a wrong checksum": chunk(b"tEXt", b"a\0b")[:-1] + b"?",
    "short chromaticities": chunk(b"cHRM", b""),
}


@pytest.mark.parametrize("damaged", DAMAGED_CHUNKS.values(), ids=DAMAGED_CHUNKS.keys())
def test_sound_texts_of_a_png_are_kept_if_another_chunk_is_damaged(damaged):
    iptc = b"\x1c\2\x78\0\3sea"
    profile = text(b"Raw profile type iptc", f"\niptc\n{len(iptc):8}\n{iptc.hex()}\n".encode())
    plain = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"<x:xmpmeta/>")
    for parts in ((damaged, profile, plain), (profile, plain, damaged)):
        photo = decoded(after_header("PNG", *parts))
        assert (photo.iptc, photo.xmp, photo.damage) == (iptc, b"<x:xmpmeta/>", "")


def test_only_so_many_chunks_of_a_damaged_png_are_looked_at():
    bomb = text(b"a", bytes(2**20))
    profile = text(b"Raw profile type iptc", b"\niptc\n 8\n1c02780003736561\n")
    for before, iptc in ((63, b"\x1c\2\x78\0\3sea"), (64, b"")):  # bombs before the profile
        assert decoded(after_header("PNG", *[bomb] * before, profile, chunk(b"cHRM", b""))).iptc == iptc


def test_the_canvas_around_the_first_frame_of_a_gif_is_white():
    screen = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + b"\0\0\0" + b"\xff\0\0"
    frame = b"," + struct.pack("<HHHHB", 2, 2, 2, 2, 0) + b"\x02\x03\x4c\x12\x05\0" + b";"
    picture = decoded(screen + frame).image
    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.getpixel((3, 3)) != (255, 255, 255)
