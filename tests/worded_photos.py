"""Photos with words in XMP and IPTC, as image programs write them."""

import struct
from collections.abc import Sequence

XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">{}</rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def xmp(*, captions: dict[str, str] | None = None, keywords: Sequence[str] = ()) -> bytes:
    """Return an XMP packet; `captions` by language."""
    texts = "".join(f'<rdf:li xml:lang="{language}">{text}</rdf:li>' for language, text in (captions or {}).items())
    words = "".join(f"<rdf:li>{word}</rdf:li>" for word in keywords)
    return XMP.format(
        f"<dc:description><rdf:Alt>{texts}</rdf:Alt></dc:description><dc:subject><rdf:Bag>{words}</rdf:Bag></dc:subject>"
    ).encode()


def iptc(*, caption: bytes = b"", keywords: Sequence[bytes] = (), utf8: bool = False) -> bytes:
    """Return IPTC records."""
    entries = [(1, 90, b"\x1b%G")] if utf8 else []
    entries += [(2, 120, caption), *((2, 25, word) for word in keywords)]
    return b"".join(b"\x1c" + struct.pack(">BBH", *kind, len(data)) + data for *kind, data in entries)


def jpeg_with_iptc(jpeg: bytes, records: bytes) -> bytes:
    """Return a JPEG with IPTC in the place that Photoshop uses."""
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records + bytes(len(records) % 2)
    segment = b"Photoshop 3.0\0" + resource
    return jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
