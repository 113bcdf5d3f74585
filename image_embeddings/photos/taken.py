"""When a photo was taken, by all that its file says of it.

docs/readers.md has a table of the sources, in the order of their precedence.
"""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from image_embeddings.photos import exif as exif_tags
from image_embeddings.photos import iptc as iptc_sets
from image_embeddings.photos.dates import parse_date, parse_date_in_digits, parse_date_in_words
from image_embeddings.photos.iptc import Iptc
from image_embeddings.photos.xmp import Xmp

# What says when a photo was taken.
EXIF, XMP, IPTC, PNG, SIDECAR, NAME = SOURCES = ("exif", "xmp", "iptc", "png", "sidecar", "name")


def taken(*, exif: Image.Exif, xmp: Xmp, iptc: bytes = b"", creation_time: str = "") -> tuple[str | None, str | None]:
    """Return when a photo was taken, as ISO 8601, and what says so. Return (None, None) if nothing does.

    Dates of what the picture shows go first, then those of its digital form, as of a scan. The date of the last change
    of the file comes last. A date may be a year or a month alone.
    """
    return next(_dates(exif, xmp, Iptc(iptc), creation_time), (None, None))


def _dates(exif: Image.Exif, xmp: Xmp, iptc: Iptc, creation_time: str) -> Iterator[tuple[str, str]]:
    sources = (
        (exif_tags.taken(exif), EXIF),
        (_of_xmp(xmp, "exif:DateTimeOriginal", "photoshop:DateCreated"), XMP),
        (_of_iptc(iptc, iptc_sets.DATE, iptc_sets.TIME), IPTC),
        (exif_tags.digitized(exif), EXIF),
        (_of_xmp(xmp, "exif:DateTimeDigitized", "xmp:CreateDate"), XMP),
        (_of_iptc(iptc, iptc_sets.DIGITAL_DATE, iptc_sets.DIGITAL_TIME), IPTC),
        (exif_tags.changed(exif), EXIF),
        (parse_date_in_words(creation_time), PNG),
    )
    return ((found, source) for found, source in sources if found)


def _of_xmp(xmp: Xmp, *names: str) -> str | None:
    found = (parse_date(text) for name in names for text in xmp.texts(name))
    return next((date for date in found if date), None)


def _of_iptc(iptc: Iptc, date: tuple[int, int], time: tuple[int, int]) -> str | None:
    return parse_date_in_digits(iptc.text(date), iptc.text(time))
