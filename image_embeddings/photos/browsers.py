"""Which photos browsers show as they are, and the renditions that they get of the others."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import BinaryIO

from PIL import Image

from image_embeddings.photos import boxes
from image_embeddings.photos.decoding import DECODE_ERRORS, decode
from image_embeddings.photos.orientation import browser_orientation, orientation

# Position and bytes at the beginning of a file -> content type by which browsers show it.
_SHOWN_BY_BROWSERS = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (8, b"WEBP", "image/webp"),
    (0, b"GIF8", "image/gif"),
    (0, b"BM", "image/bmp"),
    (4, b"ftypavif", "image/avif"),
)
_BOXES_BYTES = 2**20  # of an AVIF file, which begins with what is said of its picture

RENDITION_SHORT_SIDE = 1440  # pixels; the shorter side of a rendition may have up to twice as many
RENDITION_TYPE = "image/jpeg"
RENDITION_QUALITY = 88


def browser_type(file: BinaryIO) -> str | None:
    """Return the content type by which all browsers show an open file as `decode` does; None if there is none.

    Browsers turn and cut some files otherwise: WebP with an EXIF orientation, an orientation in XMP or of an odd type,
    AVIF with a crop. They do not agree on the colours of CMYK.
    """
    beginning = file.read(16)
    kind = next((kind for at, magic, kind in _SHOWN_BY_BROWSERS if beginning.startswith(magic, at)), None)
    if kind not in _CHECKS:
        return kind
    file.seek(0)
    try:
        return kind if _CHECKS[kind](file) else None
    except (*DECODE_ERRORS, Image.DecompressionBombError):  # browsers are often less strict than Pillow
        return kind


def _is_turned_alike(file: BinaryIO) -> bool:
    """Return whether browsers turn a JPEG or PNG as we do, and agree on its colours."""
    with Image.open(file, formats=("JPEG", "PNG")) as image:
        exif, xmp = image.info.get("exif", b""), image.info.get("xmp", b"")
        return image.mode != "CMYK" and browser_orientation(exif) == _our_orientation(exif, xmp)


def _is_not_turned(file: BinaryIO) -> bool:
    with Image.open(file, formats=("WEBP",)) as image:
        return _our_orientation(image.info.get("exif", b""), image.info.get("xmp", b"")) == 1


def _is_not_cut(file: BinaryIO) -> bool:
    return not boxes.has_crop(file.read(_BOXES_BYTES))


def _our_orientation(exif: bytes, xmp: bytes) -> int:
    tags = Image.Exif()
    tags.load(exif)
    return orientation(tags, xmp=xmp)


# Content type -> whether browsers show such a file as we do. They show files of all other types alike.
_CHECKS: dict[str | None, Callable[[BinaryIO], bool]] = {
    "image/jpeg": _is_turned_alike,
    "image/png": _is_turned_alike,
    "image/webp": _is_not_turned,
    "image/avif": _is_not_cut,
}


def rendition(data: bytes, *, max_pixels: int, what: str) -> bytes:
    """Return the photo as a JPEG (RENDITION_TYPE) that fills a screen, for browsers that cannot show the original.

    Raises:
        ImageError: as in `decode`.
    """
    decoded = decode(data, max_pixels=max_pixels, what=what, short_side=RENDITION_SHORT_SIDE)
    buffer = BytesIO()
    decoded.image.save(buffer, "JPEG", quality=RENDITION_QUALITY)
    return buffer.getvalue()
