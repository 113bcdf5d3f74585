"""How a picture is to be turned: what its metadata says, and what browsers make of it."""

from __future__ import annotations

import re
import struct

from PIL import ExifTags, Image

from image_embeddings.photos.exif import ERRORS, number

# EXIF orientation -> the operation that turns the stored picture upright
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SHORT = 3  # the type of the tag in EXIF's standard
_IN_XMP = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([1-8])\b""")


def orientation(exif: Image.Exif, *, xmp: bytes = b"") -> int:
    """Return the EXIF orientation, 1 to 8; 1 if there is none. The tag may have any type. XMP counts if EXIF is silent.

    Raise no error if the metadata is damaged.
    """
    try:
        value = exif.get(ExifTags.Base.Orientation)
        found_number = number(value)
    except ERRORS:
        return 1
    if found_number is not None and found_number in range(1, 9):
        return int(found_number)
    found = _IN_XMP.search(xmp) if value is None else None
    return int(found[1]) if found else 1


def browser_orientation(exif: bytes) -> int:
    """Return the orientation that browsers find in these bytes of EXIF: only that of a tag of type SHORT."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    try:
        if order is None:
            return 1
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, at)
        for entry in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, at + 2 + 12 * entry)
            if tag == ExifTags.Base.Orientation:
                return int(value) if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def turn_upright(image: Image.Image, turned: int) -> Image.Image:
    """Return the image turned upright, if `turned` is its EXIF orientation."""
    method = _TRANSPOSE.get(turned)
    return image if method is None else image.transpose(method)
