"""Which photos browsers show as we do, and how photos are turned."""

import struct
from io import BytesIO

import pytest
from PIL import Image

from image_embeddings.photos.browsers import browser_type
from image_embeddings.photos.decoding import decode

SHORT, LONG, BYTE = 3, 4, 1
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" %s/></rdf:RDF></x:xmpmeta>'
)


def picture():
    """Return a picture that orientation 6 turns upright: its top is red then."""
    image = Image.new("RGB", (60, 40), "blue")
    image.paste("red", (0, 0, 20, 40))
    return image


def saved(format="JPEG", image=None, **options):  # noqa: A002
    buffer = BytesIO()
    (image or picture()).save(buffer, format, **options)
    return buffer.getvalue()


def exif(value, kind=SHORT):
    content = {SHORT: struct.pack("<HH", value, 0), LONG: struct.pack("<I", value), BYTE: bytes([value, 0, 0, 0])}[kind]
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI", 0x0112, kind, 1) + content + bytes(4)


def xmp(text):
    return XMP % text


def is_upright(data):
    photo = decode(data, max_pixels=10**6, what="photo.jpg")
    size = (photo.width, photo.height) == photo.image.size == (40, 60)
    return size and photo.image.getpixel((20, 5))[0] > 200


def test_an_orientation_of_any_type_or_in_xmp_is_obeyed():
    files = {
        "SHORT": saved(exif=exif(6)),
        "LONG": saved(exif=exif(6, LONG)),
        "BYTE": saved(exif=exif(6, BYTE)),
        "XMP attribute": saved(xmp=xmp(b'tiff:Orientation="6"')),
        "XMP with blanks": saved(xmp=xmp(b"tiff:Orientation = '6'")),
        "WebP": saved("WEBP", exif=exif(6)),
        "PNG LONG": saved("PNG", exif=exif(6, LONG)),
        "TIFF": saved("TIFF", tiffinfo={0x0112: 6}),
        "TIFF BYTE": saved("TIFF", tiffinfo={0x0112: 6}).replace(
            struct.pack("<HHIHH", 0x0112, SHORT, 1, 6, 0), struct.pack("<HHIHH", 0x0112, BYTE, 1, 6, 0)
        ),
    }
    wrong = [name for name, data in files.items() if not is_upright(data)]
    assert wrong == []


def test_exif_counts_before_xmp():
    assert is_upright(saved(exif=exif(6), xmp=xmp(b'tiff:Orientation="3"')))


@pytest.mark.parametrize("value", [0, 9, 200])
def test_an_orientation_that_does_not_exist_turns_nothing(value):
    photo = decode(saved(exif=exif(value)), max_pixels=10**6, what="photo.jpg")
    assert photo.image.size == (60, 40)


def test_files_that_browsers_turn_or_colour_otherwise_get_a_rendition():
    as_they_are = {
        "plain JPEG": saved(),
        "JPEG SHORT": saved(exif=exif(6)),
        "JPEG with both": saved(exif=exif(6), xmp=xmp(b'tiff:Orientation="6"')),
        "PNG SHORT": saved("PNG", exif=exif(6)),
        "plain WebP": saved("WEBP"),
        "WebP that is upright": saved("WEBP", exif=exif(1)),
        "AVIF": saved("AVIF", exif=exif(6)),
        "truncated JPEG": saved()[:-2],
        "PNG of too many pixels": saved("PNG").replace(struct.pack(">II", 60, 40), struct.pack(">II", 90_000, 90_000)),
        "JPEG without a picture": b"\xff\xd8\xff\xe0" + bytes(50),
    }
    otherwise = {
        "JPEG LONG": saved(exif=exif(6, LONG)),
        "JPEG XMP": saved(xmp=xmp(b'tiff:Orientation="6"')),
        "PNG BYTE": saved("PNG", exif=exif(6, BYTE)),
        "WebP": saved("WEBP", exif=exif(6)),
        "CMYK": saved(image=picture().convert("CMYK")),
    }
    assert [name for name, data in as_they_are.items() if browser_type(BytesIO(data)) is None] == []
    assert [name for name, data in otherwise.items() if browser_type(BytesIO(data)) is not None] == []
