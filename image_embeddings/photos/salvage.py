"""Files that are broken in part: how to decode them without their damaged metadata, or as far as they go."""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageFile, PngImagePlugin

from image_embeddings.photos import boxes

LEAST_SHOWN = 0.05  # share of a picture: with less, a photo is not worth showing

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PICTURE = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"})
_CHECKED = 64  # chunks of metadata that are unpacked at most, to find the damaged ones
_PNG_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_JPEG_METADATA = frozenset({0xE1, 0xE2, 0xED})  # EXIF and XMP, ICC profile, IPTC
_ADOBE = 0xEE  # says how the colours of the picture are stored
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
_JPEG_FILL = (127, 128)  # the levels of what is missing


class _Tolerance(threading.local):
    """A switch that is on for one thread only. Pillow asks whether it is true."""

    is_on = False

    def __bool__(self) -> bool:
        return self.is_on


# Pillow has one switch for the whole process. Other threads must not miss that their photos are damaged.
_tolerance = _Tolerance()
ImageFile.LOAD_TRUNCATED_IMAGES = _tolerance  # type: ignore[assignment]


@contextmanager
def tolerating_truncation() -> Iterator[None]:
    """Let Pillow decode truncated pictures as far as they go, in this thread."""
    _tolerance.is_on = True
    try:
        yield
    finally:
        _tolerance.is_on = False


def without_metadata(data: bytes) -> list[bytes]:
    """Return the file with less and less metadata; the last variant has none. Variants that are alike come once."""
    if data.startswith(b"\xff\xd8"):
        variants = [_keep_segments(data, _JPEG_METADATA | {_ADOBE}), _keep_segments(data, {_ADOBE})]
    elif data.startswith(_PNG):
        sound = _keep_chunks(data, _PNG_PICTURE | _PNG_TEXTS | {b"eXIf", b"iCCP"}, sound_alone=True)
        variants = [_keep_chunks(data, _PNG_PICTURE | kinds) for kinds in ({b"eXIf", b"iCCP"}, {b"eXIf"}, set())]
        variants.insert(0, sound)
    elif data[4:8] == b"ftyp":
        variants = [boxes.without_exif(data)]
    else:
        variants = []
    return [variant for variant in dict.fromkeys(variants) if variant != data]


def completed(data: bytes) -> bytes:
    """Return a truncated file with what its decoder insists on: an end mark for JPEG, the full length for WebP."""
    if data.startswith(b"\xff\xd8"):
        return data + _JPEG_END
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return data
    length = struct.unpack_from("<I", data, 4)[0] + 8
    return data.ljust(length, b"\0") if len(data) < length <= len(data) / LEAST_SHOWN else data


def lacks_end(data: bytes) -> bool:
    """Return whether the file is a JPEG without an end mark, though decoders may not have missed it."""
    return data.startswith(b"\xff\xd8") and data.find(_JPEG_SCAN, max(0, data.rfind(_JPEG_END))) >= 0


def check_not_empty(image: Image.Image) -> None:
    """Raise ValueError if nearly nothing of a picture was decoded; check this only while truncation is tolerated."""
    if _tolerance and _shown_share(image) < LEAST_SHOWN:
        raise ValueError("nearly nothing of the picture is left")


def _shown_share(image: Image.Image) -> float:
    """Return the share of a decoded picture that holds something: of the pixels of a JPEG, else of the rows."""
    if image.format in ("JPEG", "MPO"):
        levels = np.asarray(image).reshape(image.width * image.height, -1)
        return float(((levels < _JPEG_FILL[0]) | (levels > _JPEG_FILL[1])).any(axis=1).mean())
    box = image.getbbox(alpha_only=False)
    return (box[3] - box[1]) / image.height if box else 0.0


def _keep_segments(data: bytes, kept: frozenset[int] | set[int]) -> bytes:
    """Return a JPEG without the application segments (APP0 to APP15) and comments that are not in `kept`."""
    parts, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a byte that fills
            at += 1
            continue
        if marker == 0xDA:
            break
        end = at + 2 + max(2, int(struct.unpack_from(">H", data, at + 2)[0]))
        if marker in kept or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            parts.append(data[at:end])
        at = end
    return b"".join([*parts, data[at:]])


def _keep_chunks(data: bytes, kept: frozenset[bytes] | set[bytes], *, sound_alone: bool = False) -> bytes:
    """Return a PNG without the chunks that are not in `kept`; if `sound_alone`, without damaged metadata as well."""
    parts, at, checked = [data[:8]], 8, 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        is_kept = kind in kept
        if is_kept and sound_alone and kind not in _PNG_PICTURE:
            checked += 1
            is_kept = checked <= _CHECKED and _is_sound(data[at:end])
        if is_kept:
            parts.append(data[at:end])
        at = end
    return b"".join(parts)


def _is_sound(chunk: bytes) -> bool:
    """Return whether a chunk of metadata has its right checksum, and whether Pillow unpacks it."""
    kind, content, checksum = chunk[4:8], chunk[8:-4], chunk[-4:]
    if checksum != struct.pack(">I", zlib.crc32(kind + content)):
        return False
    _, _, rest = content.partition(b"\0")
    if kind == b"iTXt":
        is_packed, method = rest[:1] != b"\0", rest[1:2]
        rest = rest[2:].split(b"\0", 2)[-1]
    else:
        is_packed, method, rest = kind in (b"zTXt", b"iCCP"), rest[:1], rest[1:]
    return not is_packed or (method == b"\0" and _is_unpacked(rest))


def _is_unpacked(packed: bytes) -> bool:
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(packed, PngImagePlugin.MAX_TEXT_CHUNK)
    except zlib.error:
        return False
    return not unpacking.unconsumed_tail
