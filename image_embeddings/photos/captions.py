"""What a photo says in words: caption, title, keywords, places and persons, in its XMP, IPTC and EXIF.

docs/readers.md has a table of the sources, in the order of their precedence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import ExifTags, Image

from image_embeddings.photos import exif as exif_tags
from image_embeddings.photos import iptc as iptc_sets
from image_embeddings.photos.default_texts import is_default
from image_embeddings.photos.exif import plain, raw_bytes
from image_embeddings.photos.iptc import Iptc
from image_embeddings.photos.xmp import Xmp

CAPTION_LENGTH = 2_000  # characters
TITLE_LENGTH = 500  # characters of a title or a headline
KEYWORD_LENGTH = 100
NAME_LENGTH = 100  # characters of the name of a city, a country or a person
MAX_KEYWORDS = 100
MAX_PERSONS = 100

_TAGS = ExifTags.Base
_XP_TITLE, _XP_COMMENT, _XP_KEYWORDS, _XP_SUBJECT = 0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F  # written by Windows, in UTF-16
_JUDGED = 500  # characters at each end of a long text
_MAX_BYTES = 2**20  # of a text of Windows or a comment that are looked at


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words of a photo. `caption` is the title or another text if the photo has no `description`."""

    caption: str | None = None
    description: str | None = field(default=None, compare=False)
    title: str | None = None
    headline: str | None = None
    keywords: tuple[str, ...] = ()
    city: str | None = None
    country: str | None = None
    persons: tuple[str, ...] = ()

    def over(self, other: Words) -> Words:
        """Return the words of two sources: these, and those of `other` for what these say nothing of."""
        description = self.description or other.description
        headline, title = self.headline or other.headline, self.title or other.title
        return Words(
            caption=description or headline or title or self.caption or other.caption,
            description=description,
            title=title,
            headline=headline,
            keywords=self.keywords or other.keywords,
            city=self.city or other.city,
            country=self.country or other.country,
            persons=self.persons or other.persons,
        )


def words(*, xmp: Xmp, iptc: bytes = b"", exif: Image.Exif | None = None) -> Words:
    """Return what a photo says in words. Damaged data is left out, and so are default texts of cameras and programs.

    XMP goes before IPTC, and IPTC before EXIF. The keywords are those of all three, each once.
    """
    tags = Image.Exif() if exif is None else exif
    old = Iptc(iptc, software=f"{exif_tags.text(tags, _TAGS.Software)} {xmp.text('xmp:CreatorTool')}")
    title = first_text(TITLE_LENGTH, xmp.texts("dc:title"), old.texts(iptc_sets.TITLE))
    headline = first_text(TITLE_LENGTH, xmp.texts("photoshop:Headline"), old.texts(iptc_sets.HEADLINE))
    description = first_text(
        CAPTION_LENGTH,
        xmp.texts("dc:description"),
        old.texts(iptc_sets.CAPTION),
        [_text(tags, _TAGS.ImageDescription)],
        xmp.texts("tiff:ImageDescription"),
    )
    comment = first_text(
        CAPTION_LENGTH,
        [_windows_text(tags, tag) for tag in (_XP_TITLE, _XP_SUBJECT, _XP_COMMENT)],
        [_user_comment(tags)],
        xmp.texts("exif:UserComment"),
    )
    subjects = distinct_texts(xmp.texts("dc:subject"), length=KEYWORD_LENGTH, most=MAX_KEYWORDS)
    older = [*old.other_texts(iptc_sets.KEYWORD, subjects), *_windows_keywords(tags)]
    return Words(
        caption=description or headline or title or comment,
        description=description,
        title=title,
        headline=headline,
        keywords=distinct_texts([*subjects, *older], length=KEYWORD_LENGTH, most=MAX_KEYWORDS),
        city=first_text(NAME_LENGTH, xmp.texts("photoshop:City"), old.texts(iptc_sets.CITY)),
        country=first_text(NAME_LENGTH, xmp.texts("photoshop:Country"), old.texts(iptc_sets.COUNTRY)),
        persons=distinct_texts(xmp.people(), length=NAME_LENGTH, most=MAX_PERSONS),
    )


def first_text(length: int, *sources: Iterable[str | None]) -> str | None:
    """Return the first text that says something, on one line; None if there is none."""
    for source in sources:
        for text in source:
            if not _is_default(text or "") and (found := plain(text, length=length)):
                return found
    return None


def _is_default(text: str) -> bool:
    """Return whether a text says nothing. A long one is judged by its beginning and its end."""
    text = text.partition("\0")[0]
    judged = text if len(text) <= CAPTION_LENGTH else f"{text[:_JUDGED]} {text.rstrip()[-_JUDGED:]}"
    return is_default(plain(judged, length=len(judged)) or "")


def distinct_texts(found: Iterable[str], *, length: int, most: int) -> tuple[str, ...]:
    """Return the first `most` texts, each once, on one line, and of at most `length` characters."""
    return tuple(dict.fromkeys(word for text in found if (word := plain(text, length=length))))[:most]


def _text(tags: Mapping[int, Any], tag: int) -> str:
    """Return the whole text of a tag; empty if there is none."""
    try:
        return exif_tags.decoded(raw_bytes(tags.get(tag)))
    except exif_tags.ERRORS:
        return ""


def _windows_text(tags: Mapping[int, Any], tag: int) -> str:
    """Return a text that Windows wrote, in UTF-16 whatever the type."""
    try:
        data = raw_bytes(tags.get(tag))[:_MAX_BYTES]
    except exif_tags.ERRORS:
        return ""
    return data[: len(data) // 2 * 2].decode("utf-16-le", errors="replace").lstrip("\ufeff").partition("\0")[0]


def _windows_keywords(tags: Mapping[int, Any]) -> list[str]:
    """Return the keywords that Windows wrote. A single letter is no keyword but a drone's setting."""
    parts = (part.strip() for part in _windows_text(tags, _XP_KEYWORDS).split(";"))
    return [part for part in parts if part and not (len(part) == 1 and part.isascii())]


def _user_comment(tags: Image.Exif) -> str:
    """Return the comment of a photo. Its first eight bytes name its encoding."""
    try:
        data = raw_bytes(exif_tags.photo_tags(tags).get(_TAGS.UserComment))[:_MAX_BYTES]
    except exif_tags.ERRORS:
        return ""
    name, comment = data[:8].rstrip(b"\0 ").upper(), data[8:]
    if name == b"UNICODE":
        return _utf16(comment, big=tags.endian == ">")
    if name == b"JIS":
        return comment.decode("iso2022_jp", errors="ignore")
    if name not in (b"ASCII", b""):
        comment = data  # there is no such name: a program wrote the text alone
    return _printable(comment)


def _printable(comment: bytes) -> str:
    """Return the text in bytes of unknown encoding; empty if they hold something else, with control characters."""
    comment = comment.strip(b"\0 \r\n\t")
    is_binary = any(byte < 32 and byte not in b"\r\n\t" for byte in comment.partition(b"\0")[0])
    return "" if is_binary else exif_tags.decoded(comment)


def _utf16(data: bytes, *, big: bool) -> str:
    """Return a text in UTF-16, in the byte order that its mark says, or in which more of it are common letters.

    Programs write it in an order of their own, whatever that of the file, which is `big` or not. Some write UTF-8.
    """
    data = data[: len(data) // 2 * 2]
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace").partition("\0")[0]
    if data and b"\0" not in data.rstrip(b"\0 ") and all(32 <= byte < 127 or byte in b"\r\n\t" for byte in data):
        return data.decode("ascii")
    readings = [data.decode(f"utf-16-{order}", errors="replace").partition("\0")[0] for order in ("le", "be")]
    if big:
        readings.reverse()
    return max(readings, key=lambda text: sum(letter < "\u0250" for letter in text) - 2 * text.count("\ufffd"))
