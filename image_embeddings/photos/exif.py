"""The facts in a photo's EXIF: when and where it was taken, and with which camera and lens."""

import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from PIL import ExifTags, Image

from image_embeddings.photos.dates import parse_date

NAME_LENGTH = 200  # characters of a camera's or lens's name
_JOINERS = "\u200c\u200d"  # invisible, but part of Persian and Indic words and of emoji

_GPS = ExifTags.GPS
_TAGS = ExifTags.Base
# What Pillow and this module raise when they read damaged EXIF.
_ERRORS = (KeyError, IndexError, TypeError, ValueError, ArithmeticError, OSError, SyntaxError, struct.error)


def location(exif: Image.Exif) -> tuple[float, float] | None:
    """Return (latitude, longitude) in degrees, north and east positive; None if absent, damaged or out of range."""
    try:
        gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
        latitude = _degrees(gps[_GPS.GPSLatitude], negative=gps[_GPS.GPSLatitudeRef] == "S")
        longitude = _degrees(gps[_GPS.GPSLongitude], negative=gps[_GPS.GPSLongitudeRef] == "W")
    except _ERRORS:
        return None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # also false for not-a-number
        return None
    return latitude, longitude


def _degrees(parts: Any, *, negative: bool) -> float:
    degrees, minutes, seconds = (float(Fraction(part)) for part in parts)
    value = degrees + minutes / 60 + seconds / 3600
    return -value if negative else value


def taken(exif: Image.Exif) -> str | None:
    """Return when the photo was taken or digitized, as ISO 8601; None if that is absent or impossible.

    It is the local time, with its offset from UTC if the camera gives one. Some programs write these tags one level too
    high, so they are looked for there too.
    """
    for tags in (_details(exif), exif):
        for date, offset, fraction in (
            (_TAGS.DateTimeOriginal, _TAGS.OffsetTimeOriginal, _TAGS.SubsecTimeOriginal),
            (_TAGS.DateTimeDigitized, _TAGS.OffsetTimeDigitized, _TAGS.SubsecTimeDigitized),
        ):
            if found := parse_date(_text(tags, date), offset=_text(tags, offset), fraction=_text(tags, fraction)):
                return found
    return None


def changed(exif: Image.Exif) -> str | None:
    """Return when the file was last changed, as ISO 8601. Simple cameras write no other date.

    Return None if it is absent or impossible, or if it is the unknown date, 1970, of the EXIF that LibRaw makes for
    previews without EXIF.
    """
    details = _details(exif)
    offset, fraction = _text(details, _TAGS.OffsetTime), _text(details, _TAGS.SubsecTime)
    found = parse_date(_text(exif, _TAGS.DateTime), offset=offset, fraction=fraction)
    by_libraw = (_text(exif, _TAGS.Software) or "").startswith("dcraw")
    return None if by_libraw and found and found.startswith("1970-01-01") else found


def camera_make(exif: Image.Exif) -> str | None:
    """Return the maker of the camera; None if it is not known."""
    return _text(exif, _TAGS.Make)


def camera_model(exif: Image.Exif) -> str | None:
    """Return the name of the camera; None if it is not known."""
    return _text(exif, _TAGS.Model)


def lens(exif: Image.Exif) -> str | None:
    """Return the name of the lens; None if it is not known."""
    return _text(_details(exif), _TAGS.LensModel)


def _details(exif: Image.Exif) -> Mapping[int, Any]:
    try:
        return exif.get_ifd(ExifTags.IFD.Exif)
    except _ERRORS:
        return {}


def _text(tags: Mapping[int, Any], tag: int) -> str | None:
    try:
        return plain(tags.get(tag), length=NAME_LENGTH)
    except _ERRORS:
        return None


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
