"""Caption and keywords that an image program wrote into a photo: XMP, and the older IPTC."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from image_embeddings.photos.exif import decoded, plain

CAPTION_LENGTH = 2_000  # characters
KEYWORD_LENGTH = 100
MAX_KEYWORDS = 100
MAX_BYTES = 4 * 2**20  # of XMP; what has more is some program's history, not a caption

# Names as expat gives them: namespace, blank, name.
_DESCRIPTION = "http://purl.org/dc/elements/1.1/ description"
_SUBJECT = "http://purl.org/dc/elements/1.1/ subject"
_ITEM = "http://www.w3.org/1999/02/22-rdf-syntax-ns# li"
_LANGUAGE = "http://www.w3.org/XML/1998/namespace lang"

_IPTC_CHARSET, _IPTC_KEYWORD, _IPTC_CAPTION = (1, 90), (2, 25), (2, 120)
_UTF8 = b"\x1b%G"


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a photo's author says of it."""

    caption: str | None = None
    keywords: tuple[str, ...] = ()


def words(*, xmp: bytes = b"", iptc: bytes = b"") -> Words:
    """Caption and keywords: XMP's caption if it has one, and the keywords of both. What is damaged is left out."""
    new, old = _from_xmp(xmp), _from_iptc(iptc)
    return Words(caption=new.caption or old.caption, keywords=_distinct([*new.keywords, *old.keywords]))


def _distinct(keywords: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in keywords if word))[:MAX_KEYWORDS]


class _DoctypeError(Exception):
    """XML with a document type: XMP has none, and entities are a way to make little XML large."""


@dataclass
class _Reader:
    """Takes expat's events and keeps the items of dc:description and dc:subject."""

    captions: dict[str, str] = field(default_factory=dict)  # language -> text
    keywords: list[str] = field(default_factory=list)
    inside: str | None = None  # one of the two
    language: str = ""
    text: list[str] | None = None  # of the item that is open

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if _DESCRIPTION in attributes:  # the short form of a text in one language
            self.captions.setdefault("", attributes[_DESCRIPTION])
        if name in (_DESCRIPTION, _SUBJECT):
            self.inside = name
        elif self.inside and name == _ITEM:
            self.language, self.text = attributes.get(_LANGUAGE, ""), []

    def data(self, text: str) -> None:
        if self.text is not None:
            self.text.append(text)

    def end(self, name: str) -> None:
        if name == self.inside:
            self.inside = None
        elif name == _ITEM and self.text is not None:
            text, self.text = "".join(self.text), None
            if self.inside == _SUBJECT:
                self.keywords.append(text)
            else:
                self.captions.setdefault(self.language, text)

    def doctype(self, *_: object) -> None:
        raise _DoctypeError


def _from_xmp(xmp: bytes) -> Words:
    if not xmp or len(xmp) > MAX_BYTES:
        return Words()
    reader, parser = _Reader(), expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.data
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(xmp.strip(b"\0 \r\n\t"), True)
    except _DoctypeError:
        return Words()
    except (expat.ExpatError, ValueError, LookupError):
        pass  # what came before the damage counts
    captions = [reader.captions.get("x-default"), *reader.captions.values()]
    return Words(
        caption=next((text for text in (plain(text, length=CAPTION_LENGTH) for text in captions) if text), None),
        keywords=_distinct(plain(word, length=KEYWORD_LENGTH) for word in reader.keywords),
    )


def _from_iptc(iptc: bytes) -> Words:
    records = list(_records(iptc))
    utf8 = (_IPTC_CHARSET, _UTF8) in records

    def texts(wanted: tuple[int, int], length: int) -> Iterator[str | None]:
        for kind, data in records:
            if kind == wanted:
                yield plain(data.decode(errors="replace") if utf8 else decoded(data), length=length)

    return Words(
        caption=next((text for text in texts(_IPTC_CAPTION, CAPTION_LENGTH) if text), None),
        keywords=_distinct(texts(_IPTC_KEYWORD, KEYWORD_LENGTH)),
    )


def _records(iptc: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Record and dataset number, and the data, of each entry up to the first that is damaged."""
    at = 0
    while iptc[at : at + 1] == b"\x1c" and at + 5 <= len(iptc):
        size = int.from_bytes(iptc[at + 3 : at + 5], "big")
        if size > 0x7FFF:  # an extended one, of more than 32 kB: no caption
            return
        yield (iptc[at + 1], iptc[at + 2]), iptc[at + 5 : at + 5 + size]
        at += 5 + size
