"""The facts in a photo's EXIF: when it was taken, with which camera and lens, and how many stars it has.

Cameras and programs write the values in types that the standard does not name, with other letters, blanks and zeros.
All readers here take a value by what it says, not by its type.
"""

import math
import re
import struct
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

from image_embeddings.photos.dates import parse_date

NAME_LENGTH = 200  # characters of a camera's or lens's name
_JOINERS = "\u200c\u200d"  # invisible, but part of Persian and Indic words and of emoji

_TAGS = ExifTags.Base
_RATING = 0x4746
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?|[+-]?\.\d+")
_NUMBER_LENGTH = 100  # characters of a text that holds a number
_NO_LENS = re.compile(r"(?:[\W_0]|mm|f|n/?a|none|null|unknown)*", re.IGNORECASE)
# What Pillow and this module raise when they read damaged EXIF.
ERRORS = (KeyError, IndexError, TypeError, ValueError, ArithmeticError, OSError, SyntaxError, struct.error)


def taken(exif: Image.Exif) -> str | None:
    """Return when the photo was taken, as ISO 8601; None if that is absent or impossible.

    It is the local time, with its offset from UTC if the camera gives one. Some programs write these tags one level too
    high, so they are looked for there too.
    """
    return _date(exif, _TAGS.DateTimeOriginal, offset=_TAGS.OffsetTimeOriginal, fraction=_TAGS.SubsecTimeOriginal)


def digitized(exif: Image.Exif) -> str | None:
    """Return when the photo was digitized, as `taken` does. A scanner writes this date of a print."""
    return _date(exif, _TAGS.DateTimeDigitized, offset=_TAGS.OffsetTimeDigitized, fraction=_TAGS.SubsecTimeDigitized)


def _date(exif: Image.Exif, tag: int, *, offset: int, fraction: int) -> str | None:
    for tags in (photo_tags(exif), exif):
        if found := parse_date(text(tags, tag), offset=text(tags, offset), fraction=text(tags, fraction)):
            return found
    return None


def changed(exif: Image.Exif) -> str | None:
    """Return when the file was last changed, as ISO 8601. Simple cameras write no other date.

    Return None if it is absent or impossible, or if it is the unknown date, 1970, of the EXIF that LibRaw makes for
    previews without EXIF.
    """
    details = photo_tags(exif)
    offset, fraction = text(details, _TAGS.OffsetTime), text(details, _TAGS.SubsecTime)
    found = parse_date(text(exif, _TAGS.DateTime), offset=offset, fraction=fraction)
    by_libraw = (text(exif, _TAGS.Software) or "").startswith("dcraw")
    return None if by_libraw and found and found.startswith("1970-01-01") else found


def rating(exif: Image.Exif) -> float | None:
    """Return the stars that Windows wrote, or another number that stands in their place; None if there is none."""
    return number(exif.get(_RATING))


def camera_make(exif: Image.Exif) -> str | None:
    """Return the maker of the camera; None if it is not known."""
    return text(exif, _TAGS.Make)


def camera_model(exif: Image.Exif) -> str | None:
    """Return the name of the camera; None if it is not known."""
    return text(exif, _TAGS.Model)


def lens(exif: Image.Exif) -> str | None:
    """Return the name of the lens; None if it is not known."""
    return lens_name(text(photo_tags(exif), _TAGS.LensModel) or text(exif, _TAGS.LensModel))


def lens_name(name: str | None) -> str | None:
    """Return a text on one line as the name of a lens; None if it is one of the fillers, as `----` and `0.0 mm f/0.0`.

    They have no digits but zeros, and no words but those of units.
    """
    name = plain(name, length=NAME_LENGTH)
    return None if _NO_LENS.fullmatch(name or "") else name


def photo_tags(exif: Image.Exif) -> Mapping[int, Any]:
    """Return the tags of the photo itself, which are in a directory of their own; nothing if it is damaged."""
    return directory(exif, ExifTags.IFD.Exif)


def directory(exif: Image.Exif, tag: int) -> Mapping[int, Any]:
    """Return the tags of the directory that a tag points to; nothing if there is none, or if it is damaged."""
    try:
        return exif.get_ifd(tag)
    except ERRORS:
        return {}


def text(tags: Mapping[int, Any], tag: int, *, length: int = NAME_LENGTH) -> str | None:
    """Return the text of a tag on one line, of at most `length` characters; None if there is none."""
    try:
        return plain(raw_bytes(tags.get(tag)), length=length)
    except ERRORS:
        return None


def raw_bytes(value: Any) -> bytes:
    """Return the bytes of a text that was stored in any type: as text, as bytes or as small numbers; else nothing.

    Pillow reads texts as Latin-1, although many programs write UTF-8. So the bytes are needed.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            return value.encode(errors="replace")
    numbers = value if isinstance(value, tuple) else (value,)
    if all(isinstance(part, int) and -128 <= part <= 255 for part in numbers):
        return bytes(part & 0xFF for part in numbers)
    return b""


def number(value: Any) -> float | None:
    """Return a number that was stored in any type: as a number, as a byte, or as text; None if there is none.

    Of several numbers it is the first. A fraction of 0/0, infinity and not-a-number are no numbers.
    """
    if isinstance(value, tuple):
        value = value[0] if value else None
    if isinstance(value, (bytes, str)):
        letters = raw_bytes(value)[:_NUMBER_LENGTH]
        if len(letters.rstrip(b"\0")) <= 1 and letters[:1] < b" ":
            value = letters[0] if letters else None
        else:
            found = _NUMBER.search(decoded(letters))
            value = found and found.group()
    try:
        found_number = float(value)
    except ERRORS:
        return None
    return found_number if math.isfinite(found_number) else None


def plain(value: Any, *, length: int) -> str | None:
    """Return a text that can be shown: up to the first NUL, on one line, and of at most `length` characters.

    Return None if the value is empty, or neither text nor bytes.
    """
    if isinstance(value, bytes):
        value = decoded(value[: 8 * length])
    if not isinstance(value, str):
        return None
    value = value[: 8 * length].partition("\0")[0]
    printable = "".join(letter if letter.isprintable() or letter in _JOINERS else " " for letter in value)
    return " ".join(printable.split())[:length].rstrip() or None


def decoded(data: bytes) -> str:
    """Return bytes of unknown encoding as text: as UTF-8 if that is possible, else as Western European (cp1252)."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
