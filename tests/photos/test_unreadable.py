"""What people read of a file that cannot be decoded: one thing that is wrong with it, and what to do."""

from io import BytesIO

import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from image_embeddings.errors import ImageUnreadableError
from image_embeddings.photos.decoding import decode

register_heif_opener()  # for what tests save


def encoded(kind: str, **options) -> bytes:
    buffer = BytesIO()
    Image.effect_noise((90, 90), 50).convert("RGB").save(buffer, kind, **options)
    return buffer.getvalue()


def message(data: bytes) -> str:
    with pytest.raises(ImageUnreadableError) as caught:
        decode(data, max_pixels=10**6, what="a.jpg")
    return str(caught.value)


def overwritten(data: bytes, *, begin: int, end: int | None = None) -> bytes:
    end = len(data) if end is None else end
    return data[:begin] + b"\xff" * (end - begin) + data[end:]


UNKNOWN = {
    "text": b"Dear diary,\n" * 99,
    "page": b"<!doctype html><title>404</title>",
    "text that begins as BMP does": b"BMW 320, seen in Rome",
    "film": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(99),
    "program": b"\x7fELF" + bytes(999),
    "few bytes": b"\0\0\0\x18ftyp",
    "another format": encoded("PPM"),
}
BROKEN_HEADERS = {
    "a PNG": overwritten(encoded("PNG"), begin=8, end=33),
    "a GIF": encoded("GIF")[:8],
    "a WebP": encoded("WEBP")[:14],
    "a BMP": encoded("BMP")[:16],
    "a TIFF": b"II*\0" + bytes(99),
    "an AVIF": overwritten(encoded("AVIF"), begin=40, end=300),
    "a HEIC": encoded("HEIF")[:99],
}


@pytest.mark.parametrize("data", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_a_file_of_no_known_format_is_told_which_are_read(data):
    said = message(data)
    assert said.startswith("a.jpg is not an image that can be read (its content is of no known image format).")
    assert "AVIF and camera RAW can: open it" in said


@pytest.mark.parametrize(("kind", "data"), BROKEN_HEADERS.items(), ids=BROKEN_HEADERS.keys())
def test_a_damaged_header_is_not_called_an_unknown_format(kind, data):
    said = message(data)
    assert f"(damaged: it is {kind}, and its header cannot be read): copy it again" in said
    assert "camera RAW can" not in said


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_words_of_decoders_are_told_in_plain_ones(kind):
    data = encoded(kind)
    for broken in (data[: len(data) // 50 + 60], overwritten(data, begin=len(data) // 20 + 60)):
        try:
            said = decode(broken, max_pixels=10**6, what="a.jpg").damage
        except ImageUnreadableError as error:
            said = str(error)
        assert not any(words in said for words in ("decoder", "stream", "truncated", "Error", "buffer")), said


def test_a_kind_that_a_decoder_lacks_is_not_called_damaged():
    data = bytearray(encoded("BMP"))
    data[30:34] = (9).to_bytes(4, "little")  # compression
    assert "(it is a BMP of a kind that is not read: Unsupported BMP compression" in message(bytes(data))


def test_an_empty_file_is_called_empty():
    assert message(b"") == "a.jpg is empty: copy it again from where it came from."
