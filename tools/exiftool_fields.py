"""What exiftool says of photos, in the fields of our documents.

The order of the sources is that of docs/readers.md, and all values are exiftool's own. `Tags` are those of one photo,
by the names of group and tag.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from image_embeddings.photos.default_texts import is_default

Tags = Mapping[str, Any]

MISSING = "exiftool is missing. On Debian: apt-get install libimage-exiftool-perl"
_COMMAND = ("exiftool", "-json", "-n", "-G1", "-a", "-struct", "-charset", "filename=utf8", "-q", "-q", "-@", "-")

_DESCRIPTION = ("XMP-dc:Description", "IPTC:Caption-Abstract", "IFD0:ImageDescription", "XMP-tiff:ImageDescription")
_HEADLINE = ("XMP-photoshop:Headline", "IPTC:Headline")
_TITLE = ("XMP-dc:Title", "IPTC:ObjectName")
_COMMENT = ("IFD0:XPTitle", "IFD0:XPSubject", "IFD0:XPComment", "ExifIFD:UserComment", "XMP-exif:UserComment")
_TAKEN = (
    ("ExifIFD:DateTimeOriginal",),
    ("IFD0:DateTimeOriginal",),
    ("XMP-exif:DateTimeOriginal",),
    ("XMP-photoshop:DateCreated",),
    ("IPTC:DateCreated", "IPTC:TimeCreated"),
    ("ExifIFD:CreateDate",),
    ("IFD0:CreateDate",),
    ("XMP-exif:DateTimeDigitized",),
    ("XMP-xmp:CreateDate",),
    ("IPTC:DigitalCreationDate", "IPTC:DigitalCreationTime"),
    ("IFD0:ModifyDate",),
    ("PNG:ExifDateTimeOriginal",),
    ("PNG:CreationTime",),
)
_DATE = re.compile(r"(\d{4})(?:\D(\d\d)(?:\D(\d\d)(?:\D+(\d\d)\D(\d\d)(?:[:;.](\d\d))?)?)?)?")
_MOST = (12, 31, 24, 59, 60)  # month, day, hour, minute, second
_DAY = 3  # numbers of a whole date
_NO_LENS = re.compile(r"(?:[\W_0]|mm|f|n/?a|none|null|unknown)*", re.IGNORECASE)
_NO_FIX = 1e-6  # degrees


def ask_exiftool(files: Sequence[Path]) -> dict[Path, Tags]:
    """Return what exiftool says of each of the files, asked once for all of them. Numbers are texts.

    Raise SystemExit if there is no exiftool.
    """
    names = "\n".join(map(str, files))
    try:
        done = subprocess.run(_COMMAND, input=names.encode(), capture_output=True, check=False)
    except FileNotFoundError:
        raise SystemExit(MISSING) from None
    entries = json.loads(done.stdout.decode(errors="replace") or "[]", parse_float=str, parse_int=str)
    return {Path(entry["SourceFile"]): entry for entry in entries}


def text_on_one_line(value: Any) -> str:
    """Return a value as text without control characters and double blanks, up to the first NUL."""
    text = str(value).partition("\0")[0]
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _texts(tags: Tags, names: Iterable[str]) -> Iterator[str]:
    """Yield the texts under these names that say something: all entries of lists, and the default language first."""
    for name in names:
        languages = [key for key in tags if key.startswith(f"{name}-")]
        for key in (name, *languages):
            value = tags.get(key, [])
            for entry in value if isinstance(value, list) else [value]:
                if text := text_on_one_line(entry):
                    yield text


def _words(tags: Tags, names: Iterable[str]) -> str | None:
    """Return the first text that is none of the default texts of cameras and programs."""
    return next((text for text in _texts(tags, names) if not is_default(text)), None)


def taken(tags: Tags) -> tuple[int, ...] | None:
    """Return year, month, day, hour, minute and second, as far as they are known."""
    dates = (numbers_of_date(" ".join(str(tags.get(name, "")) for name in names)) for names in _TAKEN)
    return next((date for date in dates if date), None)


def numbers_of_date(text: str) -> tuple[int, ...]:
    """Return the numbers of a date, from the year to the second, as far as they are known; none if it is impossible."""
    found = _DATE.match(text)
    numbers = [int(part) for part in found.groups() if part] if found else []
    while len(numbers) <= _DAY and numbers and not numbers[-1]:  # zeros stand for an unknown month or day
        numbers.pop()
    is_possible = all(number <= most for number, most in zip(numbers[1:], _MOST, strict=False))
    return tuple(numbers) if all(numbers[:_DAY]) and is_possible else ()


def place(tags: Tags) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees, of EXIF or else of XMP. Zeros and void fixes are no place."""
    return _place(tags, "GPS") or _place(tags, "XMP-exif")


def _place(tags: Tags, group: str) -> tuple[float, float] | None:
    found = [_degrees(tags, f"{group}:GPS{name}") for name in ("Latitude", "Longitude")]
    if None in found or str(tags.get(f"{group}:GPSStatus", "")).upper().startswith("V"):
        return None
    latitude, longitude = (value or 0.0 for value in found)
    is_possible = abs(latitude) <= 90 and abs(longitude) <= 180 and max(abs(latitude), abs(longitude)) >= _NO_FIX
    return (latitude, longitude) if is_possible else None


def _degrees(tags: Tags, name: str) -> float | None:
    """Return a coordinate with its sign; None if there is none, or if it has no reference."""
    try:
        size = float(tags.get(name, ""))
    except ValueError:
        return None
    if name.startswith("XMP"):
        return size
    reference = text_on_one_line(tags.get(f"{name}Ref", ""))[:1].upper()
    return {"N": abs(size), "E": abs(size), "S": -abs(size), "W": -abs(size)}.get(reference)


def altitude(tags: Tags) -> float | None:
    """Return the height in metres from the group that has the place; None without a place, and if it is impossible."""
    if place(tags) is None:
        return None
    group = "GPS" if _place(tags, "GPS") else "XMP-exif"
    try:
        height = float(tags.get(f"{group}:GPSAltitude", ""))
    except ValueError:
        return None
    height = -abs(height) if str(tags.get(f"{group}:GPSAltitudeRef", "0")) in ("1", "3") else height
    return height if -12_000 <= height <= 1_000_000 else None


def is_of_boxes(tags: Tags) -> bool:
    """Return whether the file is HEIF or AVIF, which have properties of their own for turns and crops."""
    return "QuickTime:ImageSpatialExtent" in tags


def turn(tags: Tags) -> int:
    """Return how the picture is to be turned, as an EXIF orientation: by a rotation in HEIF and AVIF, else by EXIF."""
    if is_of_boxes(tags):
        return {"90": 8, "180": 3, "270": 6}.get(str(tags.get("QuickTime:Rotation")), 1)
    orientation = str(tags.get("IFD0:Orientation", tags.get("XMP-tiff:Orientation", "1")))
    return int(orientation) if orientation in "12345678" else 1


def size(tags: Tags) -> tuple[int, int] | None:
    """Return width and height in pixels of the upright picture, the first one in a TIFF."""
    if tags.get("File:FileType") == "TIFF":
        parts = [str(tags.get(f"IFD0:Image{side}", "")) for side in ("Width", "Height")]
    else:
        parts = str(tags.get("Composite:ImageSize", "")).split()
    if not all(part.isdigit() for part in parts) or len(parts) != 2:
        return None
    width, height = (int(part) for part in parts)
    return (height, width) if turn(tags) >= 5 else (width, height)


def make(tags: Tags) -> str | None:
    """Return the maker of the camera."""
    return next(_texts(tags, ("IFD0:Make",)), None)


def model(tags: Tags) -> str | None:
    """Return the name of the camera."""
    return next(_texts(tags, ("IFD0:Model",)), None)


def lens(tags: Tags) -> str | None:
    """Return the name of the lens that is no filler."""
    names = ("ExifIFD:LensModel", "IFD0:LensModel", "XMP-exifEX:LensModel", "XMP-aux:Lens")
    return next((text for text in _texts(tags, names) if not _NO_LENS.fullmatch(text)), None)


def caption(tags: Tags) -> str | None:
    """Return the description, or else another text that says something."""
    return _words(tags, (*_DESCRIPTION, *_HEADLINE, *_TITLE, *_COMMENT))


def title(tags: Tags) -> str | None:
    """Return the title."""
    return _words(tags, _TITLE)


def headline(tags: Tags) -> str | None:
    """Return the headline."""
    return _words(tags, _HEADLINE)


def city(tags: Tags) -> str | None:
    """Return the name of the city."""
    return _words(tags, ("XMP-photoshop:City", "IPTC:City"))


def country(tags: Tags) -> str | None:
    """Return the name of the country."""
    return _words(tags, ("XMP-photoshop:Country", "IPTC:Country-PrimaryLocationName"))


def keywords(tags: Tags) -> frozenset[str]:
    """Return the keywords of XMP, IPTC and Windows together."""
    windows = {
        word for text in _texts(tags, ("IFD0:XPKeywords",)) for part in text.split(";") if (word := part.strip())
    }
    return frozenset(_texts(tags, ("XMP-dc:Subject", "IPTC:Keywords"))) | {
        word for word in windows if len(word) > 1 or not word.isascii()
    }


def persons(tags: Tags) -> frozenset[str]:
    """Return the names of persons, listed or marked in the picture."""
    faces = [
        region.get("Name", "")
        for region in _structures(tags.get("XMP-mwg-rs:RegionInfo"), "RegionList")
        if region.get("Type", "Face") not in ("Focus", "BarCode")
    ]
    tagged = [region.get("PersonDisplayName", "") for region in _structures(tags.get("XMP-MP:RegionInfoMP"), "Regions")]
    found = (text_on_one_line(name) for name in [*faces, *tagged])
    return frozenset(name for name in [*_texts(tags, ("XMP-iptcExt:PersonInImage",)), *found] if name)


def _structures(value: Any, name: str) -> list[dict[str, Any]]:
    listed = value.get(name) if isinstance(value, dict) else None
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
