"""When a photo was taken, by all that its file says of it.

docs/readers.md has a table of the sources, in the order of their precedence.
"""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from image_embeddings.photos import exif as exif_tags
from image_embeddings.photos import iptc as iptc_sets
from image_embeddings.photos.dates import parse_date, parse_date_in_digits, parse_date_in_words, says_no_more
from image_embeddings.photos.iptc import Iptc
from image_embeddings.photos.xmp import Xmp

# What says when a photo was taken.
EXIF, XMP, IPTC, PNG, SIDECAR, NAME = ("exif", "xmp", "iptc", "png", "sidecar", "name")


Dated = tuple[str, str]  # a date as ISO 8601, and what says so


def taken(*, exif: Image.Exif, xmp: Xmp, iptc: bytes = b"", creation_time: str = "") -> tuple[str | None, str | None]:
    """Return when a photo was taken, as ISO 8601, and what says so. Return (None, None) if nothing does.

    Dates of what the picture shows go first, then those of its digital form, as of a scan. The date of the last change
    of the file comes last. A date may be a year or a month alone.
    """
    old = Iptc(iptc)
    groups = (
        (
            (exif_tags.taken(exif), EXIF),
            *_of_xmp(xmp, "exif:DateTimeOriginal", "photoshop:DateCreated"),
            (_of_iptc(old, iptc_sets.DATE, iptc_sets.TIME), IPTC),
        ),
        (
            (exif_tags.digitized(exif), EXIF),
            *_of_xmp(xmp, "exif:DateTimeDigitized", "xmp:CreateDate"),
            (_of_iptc(old, iptc_sets.DIGITAL_DATE, iptc_sets.DIGITAL_TIME), IPTC),
        ),
        ((exif_tags.changed(exif), EXIF),),
        ((parse_date_in_words(creation_time), PNG),),
    )
    for group in groups:
        if found := [(date, source) for date, source in group if date]:
            return _finest(found)
    return None, None


def _finest(found: list[Dated]) -> Dated:
    """Return the first date, or if that is a year, a month or a day, the first one that says more of the same."""
    first, _ = found[0]
    alike = (item for item in found if says_no_more(first, item[0]))
    return max(alike, key=lambda item: len(item[0][: len("2019-08-14T17:05:06")]))


def _of_xmp(xmp: Xmp, *names: str) -> Iterator[tuple[str | None, str]]:
    return ((parse_date(text), XMP) for name in names for text in xmp.texts(name))


def _of_iptc(iptc: Iptc, date: tuple[int, int], time: tuple[int, int]) -> str | None:
    return parse_date_in_digits(iptc.text(date), iptc.text(time))
