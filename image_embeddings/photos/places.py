"""Where a photo was taken: the place and the height in its EXIF, or else in its XMP."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

from image_embeddings.photos.exif import ERRORS, decoded, directory, number, raw_bytes
from image_embeddings.photos.xmp import Xmp

_TAGS = ExifTags.GPS
_NO_FIX = 1e-6  # degrees; a receiver that has not found its place writes zeros
_LOWEST, _HIGHEST = -12_000, 1_000_000  # metres
_NUMBER = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(?:\s*/\s*(\d+))?")
_WORDS = {"N": "N(?:orth)?", "S": "S(?:outh)?", "E": "E(?:ast)?", "W": "W(?:est)?"}
_FRACTION = re.compile(r"\s*([+-]?\d+)\s*/\s*(\d+)\s*")
_SIGNED = re.compile(r"\s*([+-]?)(?:\d+(?:\.\d*)?|\.\d+)\s*°?\s*")
_TEXT_LENGTH = 100  # characters of a text that holds a coordinate
_BELOW = (1, 3)  # references of a height that is below the sea, or below the ellipsoid


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place on earth. North and east are positive."""

    latitude: float  # degrees
    longitude: float
    altitude: float | None = None  # metres; negative below the sea


def place(exif: Image.Exif, xmp: Xmp) -> Place | None:
    """Return where the photo was taken; None if that is not known.

    Both coordinates need their reference: N or S, E or W. 0°, 0° is no place, and neither is what a receiver calls
    void, nor what is out of range or damaged.
    """
    return _of_exif(exif) or _of_xmp(xmp)


def _of_exif(exif: Image.Exif) -> Place | None:
    gps = directory(exif, ExifTags.IFD.GPSInfo)
    try:
        return checked_place(
            _degrees(gps.get(_TAGS.GPSLatitude), gps.get(_TAGS.GPSLatitudeRef), "NS"),
            _degrees(gps.get(_TAGS.GPSLongitude), gps.get(_TAGS.GPSLongitudeRef), "EW"),
            altitude=_metres(gps.get(_TAGS.GPSAltitude), gps.get(_TAGS.GPSAltitudeRef)),
            status=gps.get(_TAGS.GPSStatus),
        )
    except ERRORS:
        return None


def _of_xmp(xmp: Xmp) -> Place | None:
    def value(name: str) -> str | None:
        return xmp.text(f"exif:GPS{name}")

    return checked_place(
        _degrees(value("Latitude"), value("LatitudeRef"), "NS", signed=True),
        _degrees(value("Longitude"), value("LongitudeRef"), "EW", signed=True),
        altitude=_metres(value("Altitude"), value("AltitudeRef")),
        status=value("Status"),
    )


def checked_place(
    latitude: float | None, longitude: float | None, *, altitude: float | None = None, status: Any = None
) -> Place | None:
    """Return a place with these coordinates in degrees, and this height in metres if it is possible.

    Return None for what is no place: one coordinate alone, 0°, 0°, what is out of range, and a fix whose `status` is V
    (void).
    """
    if latitude is None or longitude is None or _letter(status) == "V":
        return None
    if abs(latitude) > 90 or abs(longitude) > 180 or max(abs(latitude), abs(longitude)) < _NO_FIX:
        return None
    if altitude is not None and not _LOWEST <= altitude <= _HIGHEST:
        altitude = None
    return Place(latitude=latitude, longitude=longitude, altitude=altitude)


def _degrees(value: Any, reference: Any, letters: str, *, signed: bool = False) -> float | None:
    """Return a coordinate in degrees, negative towards the second of `letters`; None if it is not known.

    `value` is one to three numbers, of degrees, minutes and seconds, or a text of them, which may have its letter
    itself. Only if `signed` is true, a single number in decimal degrees needs no letter: its sign says the same.
    """
    letter = _letter(reference)
    if isinstance(value, (bytes, str)):
        text = _line(value)
        parts = [_quotient(*found) for found in _NUMBER.findall(text)]
        if letter not in (*letters,):
            letter = _direction(text, letters)
        if signed and not letter and (sign := _SIGNED.fullmatch(text)):
            letter = letters[sign[1] == "-"]
    else:
        parts = [number(part) for part in (value if isinstance(value, tuple) else (value,))]
    if letter not in (*letters,) or not parts or parts[0] is None:
        return None
    degrees, minutes, seconds = (*(part or 0.0 for part in parts[:3]), 0.0, 0.0)[:3]  # unknown parts, 0/0, are none
    size = abs(degrees + minutes / 60 + seconds / 3600)
    return -size if letter == letters[1] else size


def _quotient(numerator: str, denominator: str) -> float | None:
    if not denominator:
        return float(numerator)
    return float(numerator) / int(denominator) if int(denominator) else None


def _letter(value: Any) -> str:
    """Return the first letter of a reference that was stored in any type, as a capital; empty if there is none."""
    return _line(value)[:1].upper()


def _direction(text: str, letters: str) -> str:
    """Return the letter before or after a coordinate: of `48,51.5N`, `n 48.85` and `48.85 north`; empty if none."""
    words = "|".join(_WORDS[letter] for letter in letters)
    found = re.match(rf"({words})(?![a-z])", text, re.IGNORECASE) or re.search(
        rf"(?<![a-z])({words})$", text, re.IGNORECASE
    )
    return found[1][0].upper() if found else ""


def _line(value: Any) -> str:
    text = value if isinstance(value, str) else decoded(raw_bytes(value))
    return text[:_TEXT_LENGTH].lstrip("\0 \t\r\n").partition("\0")[0].strip()


def _metres(value: Any, reference: Any) -> float | None:
    """Return a height in metres, negative below the sea; None if it is not known."""
    found = _FRACTION.fullmatch(value) if isinstance(value, str) else None
    height = _quotient(*found.groups()) if found else number(value)
    if height is None:
        return None
    return -abs(height) if number(reference) in _BELOW else height
