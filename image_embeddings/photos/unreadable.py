"""Why a file cannot be decoded, in whole or in part, and what to do about it."""

from __future__ import annotations

import re
import struct

from PIL import UnidentifiedImageError

from image_embeddings.photos import raw, tiff

READ = "JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC, AVIF and camera RAW"
SAVE_AGAIN = "open it in an image program and save it as JPEG"
COPY_AGAIN = "copy it again from where it came from"

_BEGINNINGS = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": tiff.BEGINNINGS,
}
_BRANDS = {"AVIF": (b"avif", b"avis"), "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")}
# What Pillow says of a picture whose data ends early, or cannot be unpacked. It means nothing to people.
_SAID_BY_PILLOW = (
    (re.compile(r"truncated|Truncated|end of file|EOF"), "its end is missing"),
    (
        re.compile(r"decoder error -?\d+|broken data stream|unrecognized data stream"),
        "the data of its picture is broken",
    ),
)
_OTHER_KIND = re.compile(r"not supported|unsupported|not implemented", re.IGNORECASE)


def describe(error: Exception, data: bytes) -> str:
    """Return what is wrong with a file and what to do, for the end of a sentence. `error` is that of its decoder."""
    if not data:
        return f"is empty: {COPY_AGAIN}"
    kind = _kind(data)
    if not kind:
        return f"is not an image that can be read (its content is of no known image format). {READ} can: {SAVE_AGAIN}"
    unread = tiff.describe_kind(data) if kind == "TIFF" and isinstance(error, UnidentifiedImageError) else ""
    if not unread and _OTHER_KIND.search(str(error)):
        unread = f"{_with_article(kind)} of a kind that is not read: {_words_of(error)}"
    if unread:
        return f"is not an image that can be read (it is {unread}): {SAVE_AGAIN}"
    return f"is not an image that can be read (damaged: {describe_damage(error, data)}): {COPY_AGAIN}, or {SAVE_AGAIN}"


def describe_damage(error: Exception, data: bytes) -> str:
    """Return what is wrong with a file of a known format of which not all can be decoded."""
    if isinstance(error, UnidentifiedImageError):
        return f"it is {_with_article(_kind(data))}, and its header cannot be read"
    if _kind(data) == "WebP" and len(data) < struct.unpack_from("<I", data, 4)[0] + 8:
        return "its end is missing"
    words = _words_of(error)
    return next((said for pattern, said in _SAID_BY_PILLOW if pattern.search(words)), words)


def _words_of(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__


def _with_article(kind: str) -> str:
    return f"{'an' if kind == 'AVIF' else 'a'} {kind}"


def _kind(data: bytes) -> str:
    """Return the format that a file has by its first bytes; empty if that is none that is read."""
    if raw.is_raw(data):
        return "camera RAW"
    for kind, beginnings in _BEGINNINGS.items():
        if data.startswith(beginnings):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[:2] == b"BM" and data[6:10] == bytes(4):
        return "BMP"
    if data[4:8] == b"ftyp" and len(data) >= 16:
        brands = struct.iter_unpack("4s", data[8 : 8 + (len(data[8:32]) // 4) * 4])
        found = [brand for (brand,) in brands]
        return next((kind for kind, names in _BRANDS.items() if not set(names).isdisjoint(found)), "")
    return ""
