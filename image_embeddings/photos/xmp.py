"""The properties in a packet of XMP: only those of the photo itself, not those of pictures that were pasted into it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

MAX_BYTES = 4 * 2**20  # a longer packet holds the history of some program, not a caption
MAX_ELEMENTS = 100_000
MAX_DEPTH = 100  # nested elements; captions are at the sixth level

_NAMESPACES = {
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "xml": "http://www.w3.org/XML/1998/namespace",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}


# What XML does not allow, and programs write: control characters, and an "&" that is no entity.
_CONTROLS = bytes.maketrans(bytes(set(range(32)) - {*b"\t\n\r"}), b" " * 29)
_DECIMAL = rb"#0*(?:9|1[03]|3[2-9]|[4-9]\d|[1-9]\d{2,6})"
_HEXADECIMAL = rb"#x0*(?:[9aAdD]|[2-9a-fA-F][\da-fA-F]|[1-9a-fA-F][\da-fA-F]{2,5})"
_NO_ENTITY = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|" + _DECIMAL + rb"|" + _HEXADECIMAL + rb");)")
_OTHER_ENCODING = re.compile(rb"""<\?xml[^>]{0,99}encoding\s*=\s*["'](?!utf-?8["'])""", re.IGNORECASE)


def _full(name: str) -> str:
    """Return the name that the parser gives to `prefix:name`."""
    prefix, _, local = name.partition(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}"


_RDF, _VALUE, _LANGUAGE = _full("rdf:RDF"), _full("rdf:value"), _full("xml:lang")
_LISTS = {_full("rdf:Alt"), _full("rdf:Bag"), _full("rdf:Seq")}
_NODE = _full("rdf:Description")


class Xmp:
    """The properties of one packet. A property has a name like `dc:title`, whichever prefix the packet uses."""

    def __init__(self, nodes: Sequence[Element] = ()) -> None:
        self._nodes = nodes

    def texts(self, name: str) -> list[str]:
        """Return the values of a property: of each entry of a list, and of each language, the default one first."""
        items = [item for element in self._elements(name) for item in _items(element)]
        items.sort(key=lambda item: item.get(_LANGUAGE) != "x-default")
        attributes = [text for node in self._nodes if (text := node.get(_full(name))) is not None]
        return [*map(_text, items), *attributes]

    def text(self, name: str) -> str | None:
        """Return the first value of a property that is not empty; None if there is none."""
        return next((text for text in self.texts(name) if text.strip()), None)

    def structures(self, name: str) -> Iterator[dict[str, str]]:
        """Yield the fields of all structures inside a property, by their names as the parser gives them."""
        for element in self._elements(name):
            for part in element.iter():
                fields = dict(part.attrib) | {child.tag: _text(child) for child in part}
                if fields:
                    yield fields

    def people(self) -> list[str]:
        """Return the names of persons: those that are listed, and those of faces that are marked in the picture."""
        name, kind, display = _full("mwg-rs:Name"), _full("mwg-rs:Type"), _full("MPReg:PersonDisplayName")
        faces = [
            region[name]
            for region in self.structures("mwg-rs:Regions")
            if name in region and region.get(kind, "Face") not in ("Focus", "BarCode")
        ]
        tagged = [region[display] for region in self.structures("MP:RegionInfo") if display in region]
        return [*self.texts("Iptc4xmpExt:PersonInImage"), *faces, *tagged]

    def _elements(self, name: str) -> Iterator[Element]:
        return (child for node in self._nodes for child in node if child.tag == _full(name))


def read(packet: bytes) -> Xmp:
    """Return the properties of a packet. What is damaged is left out."""
    return read_with_fault(packet)[0]


def read_with_fault(packet: bytes) -> tuple[Xmp, str]:
    """Return the properties of a packet, as far as they can be read, and what is wrong with it, empty for nothing.

    Only what stands directly in a description at the top counts. Deeper ones describe other pictures: the parts of a
    composition (xmpMM:Pantry), or its history.
    """
    if len(packet) > MAX_BYTES:
        return Xmp(), f"it has more than {MAX_BYTES:,} bytes"
    root, fault = _parse(packet)
    if root is None:
        return Xmp(), fault or "it is no XML"
    tops = [root] if root.tag == _RDF else [child for child in root if child.tag == _RDF]
    return Xmp([node for top in tops for node in top]), fault or ("" if tops else "it is no XMP: it has no rdf:RDF")


def _items(element: Element) -> list[Element]:
    """Return the entries of a property's list, or the property itself if it is no list."""
    lists = [child for child in element if child.tag in _LISTS]
    return [item for found in lists for item in found] if lists else [element]


def _text(element: Element) -> str:
    """Return the value of an element without that of structures in it; of a value with qualifiers, the value."""
    for holder in (element, *(child for child in element if child.tag == _NODE)):
        value = holder.find(_VALUE)
        if value is not None:
            return value.text or ""
        if _VALUE in holder.attrib:
            return holder.attrib[_VALUE]
    return element.text or ""


def _allowed(packet: bytes) -> bytes:
    """Return a packet in UTF-8 without what XML does not allow; a packet in another encoding as it is."""
    if packet[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in packet[:2] or _OTHER_ENCODING.match(packet):
        return packet
    text = _NO_ENTITY.sub(b"&amp;", packet.translate(_CONTROLS))
    return text.decode(errors="replace").encode()


def _parse(xmp: bytes) -> tuple[Element | None, str]:
    """Return the root of a packet, with everything before its first damage, and what is wrong with the packet.

    The root is None if there is no element, or if the packet has something that no caption needs. One such thing is a
    document type: XMP never has one, and it can make a small packet large or name other files. The other is more than
    MAX_ELEMENTS elements, or elements deeper than MAX_DEPTH, which would need much memory.
    """
    root, number, depth = None, 0, 0
    packet = BytesIO(_allowed(xmp if xmp.startswith(b"\0<") else xmp.lstrip(b"\0 \r\n\t")))  # "\0<" begins UTF-16
    try:
        for event, element in iterparse(packet, events=("start", "end"), forbid_dtd=True):
            root = element if root is None else root
            number += 1
            depth += 1 if event == "start" else -1
            if number > 2 * MAX_ELEMENTS or depth > MAX_DEPTH:
                return None, f"it has more than {MAX_ELEMENTS:,} elements, or some nested deeper than {MAX_DEPTH}"
    except DefusedXmlException:
        return None, "it has a document type, which XMP never has"
    except (ParseError, ValueError, LookupError) as error:  # the last two for unknown encodings
        return root, f"it is damaged: {error}"
    return root, ""
