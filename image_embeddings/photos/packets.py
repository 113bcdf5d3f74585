"""Where a file keeps its XMP and its IPTC: the bytes of both, whatever the format of the file."""

from __future__ import annotations

import binascii
import re
import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image, PngImagePlugin

from image_embeddings.photos import iptc

_XMP, _IPTC, _RESOURCES, _IPTC_RESOURCE = 700, 33723, 34377, 0x0404
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"  # before XMP in an APP1 segment of JPEG
_EXIF_NAME = b"Exif\0\0"  # before EXIF there
_ORDERS = {b"II*\0": "<", b"MM\0*": ">", b"IIRO": "<", b"IIRS": "<", b"IIU\0": "<"}  # TIFF, ORF (two), RW2
_BIG_ORDERS = {b"II+\0": "<", b"MM\0+": ">"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}  # bytes of a value of each type
_CREATION_TIMES = ("exif:datetimeoriginal", "exif:datetimedigitized", "creation time", "creationtime")
_ENTRIES = 4096  # that are read at most
_RAW_PROFILE = re.compile(rb"\s*\S+(?: profile)?\s+(\d{1,9})\s+(.*)", re.DOTALL)  # a name, a length, and digits
_GIF_XMP = b"!\xff\x0bXMP DataXMP"  # before XMP in GIF
_GIF_XMP_END = b"\x01\xff\xfe\xfd"  # after it; the bytes that follow lead decoders which do not know XMP to its end


def xmp_of(data: bytes, info: Mapping[Any, Any]) -> bytes:
    """Return the XMP of a file; empty if it has none.

    `data` are the bytes of the file, and `info` is what Pillow says of it.
    """
    found = info.get("xmp")
    if isinstance(found, bytes) and found:
        return found
    profiles = _profiles(info)
    in_app1 = profiles.get("raw profile type app1", b"")
    return (
        profiles.get("xml:com.adobe.xmp")
        or profiles.get("raw profile type xmp")
        or (in_app1.removeprefix(_XMP_NAME) if in_app1.startswith(_XMP_NAME) else b"")
        or tag_bytes(_tiff(data, info), _XMP)
        or _xmp_of_gif(data)
    )


def _xmp_of_gif(data: bytes) -> bytes:
    if not data.startswith(b"GIF8"):
        return b""
    return data.partition(_GIF_XMP)[2].partition(_GIF_XMP_END)[0]


def iptc_of(data: bytes, info: Mapping[Any, Any]) -> bytes:
    """Return the IPTC of a file; empty if it has none. The parameters are those of `xmp_of`."""
    resources = info.get("photoshop")  # JPEG
    found = resources.get(_IPTC_RESOURCE) if isinstance(resources, dict) else None
    if isinstance(found, bytes) and found:
        return found
    for kind in ("iptc", "8bim", "app13"):
        profile = _profiles(info).get(f"raw profile type {kind}", b"").removeprefix(b"Photoshop 3.0\0")
        if profile:
            return iptc.of_resources(profile) if profile.startswith(b"8BIM") else profile
    tiff = _tiff(data, info)
    return tag_bytes(tiff, _IPTC) or iptc.of_resources(tag_bytes(tiff, _RESOURCES))


def creation_time_of(info: Mapping[Any, Any]) -> str:
    """Return the text in which a PNG says when its picture was made; empty if it does not.

    ImageMagick copies EXIF into such texts, and these go first. `date:create` and the chunk tIME are times of the file.
    """
    texts = {str(name).lower(): text for name, text in info.items() if isinstance(text, str)}
    return next((texts[name] for name in _CREATION_TIMES if name in texts), "")


def exif_profile(info: Mapping[Any, Any]) -> bytes:
    """Return the EXIF in a PNG's text by the name of JPEG's segment; empty if there is none."""
    found = _profiles(info).get("raw profile type app1", b"")
    return found if found.startswith(_EXIF_NAME) else b""


def _profiles(info: Mapping[Any, Any]) -> dict[str, bytes]:
    """Return the texts of a PNG that hold metadata, by their names in small letters."""
    found = {}
    for name, text in info.items():
        key = str(name).lower()
        if isinstance(text, str) and (key == "xml:com.adobe.xmp" or key.startswith("raw profile type ")):
            data = text.encode() if isinstance(text, PngImagePlugin.iTXt) else text.encode("latin-1", "replace")
            found[key] = data if key.startswith("xml") else _raw_profile(data)
    return found


def _raw_profile(text: bytes) -> bytes:
    """Return the bytes in a text as ImageMagick writes it: a name, a length, and then hexadecimal digits in lines."""
    found = _RAW_PROFILE.match(text)
    if found is None:
        return b""
    digits = b"".join(found[2].split())[: 2 * int(found[1])]
    try:
        return binascii.unhexlify(digits[: len(digits) // 2 * 2])
    except binascii.Error:
        return b""


def _tiff(data: bytes, info: Mapping[Any, Any]) -> bytes:
    """Return the directories of a file, in the layout of TIFF: the file itself, or its EXIF."""
    if data[:4] in _ORDERS or data[:4] in _BIG_ORDERS:
        return data
    found = info.get("exif")
    return found.removeprefix(_EXIF_NAME) if isinstance(found, bytes) else b""


def tag_bytes(tiff: bytes, tag: int) -> bytes:
    """Return the value of a tag in the first directory as the bytes in the file, of whatever type it is.

    Many programs store bytes as numbers of 32 bits. Return nothing if there is no such tag, or if it is damaged.
    """
    big = tiff[:4] in _BIG_ORDERS
    order = (_BIG_ORDERS if big else _ORDERS).get(tiff[:4])
    if order is None:
        return b""
    entry, offset, short = (
        (f"{order}HHQ", f"{order}Q", f"{order}Q") if big else (f"{order}HHI", f"{order}I", f"{order}H")
    )
    at_value, width = (12, 20) if big else (8, 12)
    try:
        (directory,) = struct.unpack_from(offset, tiff, 8 if big else 4)
        (count,) = struct.unpack_from(short, tiff, directory)
        first = directory + struct.calcsize(short)
        for at in range(first, first + width * min(count, _ENTRIES), width):
            found, kind, length = struct.unpack_from(entry, tiff, at)
            if found == tag:
                size = _SIZES.get(kind, 0) * length
                inside = size <= struct.calcsize(offset)
                start = at + at_value if inside else struct.unpack_from(offset, tiff, at + at_value)[0]
                return tiff[start : start + size]
    except (struct.error, OverflowError):
        pass
    return b""


def exif_of(image: Image.Image) -> Image.Exif:
    """Return the EXIF of an image, also that of PNGs which older programs wrote into texts."""
    exif = image.getexif()
    profile = b"" if len(exif) else exif_profile(image.info)
    if profile:
        exif = Image.Exif()
        exif.load(profile)
    return exif
