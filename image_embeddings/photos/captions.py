"""The caption and the keywords in a photo's file: in XMP, and in the older IPTC."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from image_embeddings.photos.exif import decoded, plain

CAPTION_LENGTH = 2_000  # characters
KEYWORD_LENGTH = 100
MAX_KEYWORDS = 100
MAX_BYTES = 4 * 2**20  # of XMP; a longer packet holds the history of some program, not a caption

MAX_ELEMENTS = 100_000
MAX_DEPTH = 100  # nested elements; captions are at the sixth level

_DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"
_SUBJECT = "{http://purl.org/dc/elements/1.1/}subject"
_ITEM = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

_IPTC_CHARSET, _IPTC_KEYWORD, _IPTC_CAPTION = (1, 90), (2, 25), (2, 120)
_UTF8 = b"\x1b%G"


@dataclass(frozen=True, kw_only=True)
class Words:
    """The caption and the keywords of a photo."""

    caption: str | None = None
    keywords: tuple[str, ...] = ()


def words(*, xmp: bytes = b"", iptc: bytes = b"") -> Words:
    """Return the caption and the keywords in these two packets.

    The caption is that of XMP, or that of IPTC if XMP has none. The keywords are those of both. Damaged data is left
    out.
    """
    new, old = _from_xmp(xmp), _from_iptc(iptc)
    return Words(caption=new.caption or old.caption, keywords=_distinct([*new.keywords, *old.keywords]))


def _distinct(keywords: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in keywords if word))[:MAX_KEYWORDS]


def _from_xmp(xmp: bytes) -> Words:
    root = _parse(xmp) if len(xmp) <= MAX_BYTES else None
    if root is None:
        return Words()
    items = root.findall(f".//{_DESCRIPTION}/*/{_ITEM}")
    items.sort(key=lambda item: item.get(_LANGUAGE) != "x-default")
    short = [element.get(_DESCRIPTION, "") for element in root.iter()]  # the short form of a caption in one language
    captions = (plain(text, length=CAPTION_LENGTH) for text in [*map(_text, items), *short])
    keywords = (plain(_text(item), length=KEYWORD_LENGTH) for item in root.iterfind(f".//{_SUBJECT}/*/{_ITEM}"))
    return Words(caption=next(filter(None, captions), None), keywords=_distinct(keywords))


def _text(element: Element) -> str:
    return "".join(element.itertext())


def _parse(xmp: bytes) -> Element | None:
    """Return the root of a packet, with everything before its first damage.

    Return None if there is no element, or if the packet has something that no caption needs. One such thing is a
    document type: XMP never has one, and it can make a small packet large or name other files. The other is more than
    MAX_ELEMENTS elements, or elements deeper than MAX_DEPTH, which would need much memory.
    """
    root, number, depth = None, 0, 0
    packet = BytesIO(xmp if xmp.startswith(b"\0<") else xmp.lstrip(b"\0 \r\n\t"))  # "\0<" begins UTF-16
    try:
        for event, element in iterparse(packet, events=("start", "end"), forbid_dtd=True):
            root = element if root is None else root
            number += 1
            depth += 1 if event == "start" else -1
            if number > 2 * MAX_ELEMENTS or depth > MAX_DEPTH:
                return None
    except DefusedXmlException:
        return None
    except (ParseError, ValueError, LookupError):  # the last two for unknown encodings
        pass
    return root


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
    """Yield ((record number, dataset number), data) of each entry, up to the first that is damaged."""
    at = 0
    while iptc[at : at + 1] == b"\x1c" and at + 5 <= len(iptc):
        size = int.from_bytes(iptc[at + 3 : at + 5], "big")
        if size > 0x7FFF:  # an extended dataset of more than 32 kB, which is no caption
            return
        yield (iptc[at + 1], iptc[at + 2]), iptc[at + 5 : at + 5 + size]
        at += 5 + size
