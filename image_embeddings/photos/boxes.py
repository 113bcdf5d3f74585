"""The boxes of AVIF and HEIF files (ISO 14496-12): what they say of the main picture, and what can be left out."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from image_embeddings.photos.colour import CodePoints

_BOXES = 4096  # of one level that are read at most
_ASSOCIATIONS = 65_536


@dataclass(frozen=True)
class Box:
    """A box: its kind, and where its content is in the file."""

    kind: bytes
    begin: int
    end: int


@dataclass(frozen=True, kw_only=True)
class PictureProperties:
    """Properties of the main picture that Pillow's decoders do not apply."""

    code_points: CodePoints | None = None
    crop: tuple[int, int, int, int] | None = None  # left, top, right, bottom in pixels of the stored picture


def read_properties(data: bytes, *, size: tuple[int, int]) -> PictureProperties:
    """Return the properties of the main picture, which has `size` pixels; damaged ones are left out."""
    points, crop = None, None
    try:
        for box in _main_properties(data):
            if box.kind == b"colr" and data[box.begin : box.begin + 4] == b"nclx":
                points = CodePoints(*struct.unpack_from(">HH", data, box.begin + 4))
            elif box.kind == b"clap":
                crop = _crop(struct.unpack_from(">IIIIiIiI", data, box.begin), size=size)
    except (struct.error, IndexError, ZeroDivisionError):
        return PictureProperties(code_points=points)
    return PictureProperties(code_points=points, crop=crop)


def has_crop(data: bytes) -> bool:
    """Return whether the main picture has a crop, of whatever size."""
    try:
        return any(box.kind == b"clap" for box in _main_properties(data))
    except (struct.error, IndexError):
        return False


def without_exif(data: bytes) -> bytes:
    """Return the file with its Exif items named otherwise, so that decoders pass over them."""
    changed = bytearray(data)
    for entry in _find(data, b"meta", b"iinf", b"infe"):
        at = data.find(b"Exif", entry.begin, min(entry.end, entry.begin + 12))
        if at != -1:
            changed[at : at + 4] = b"none"
    return bytes(changed)


def _boxes(data: bytes, begin: int, end: int) -> Iterator[Box]:
    """Yield the boxes that lie between two positions, until the first one that is damaged."""
    for _ in range(_BOXES):
        if begin + 8 > end:
            return
        length, kind, header = *struct.unpack_from(">I4s", data, begin), 8
        if length == 1 and begin + 16 <= end:
            length, header = struct.unpack_from(">Q", data, begin + 8)[0], 16
        stop = end if length == 0 else begin + length
        if not begin + header <= stop <= end:
            return
        yield Box(kind, begin + header, stop)
        begin = stop


def _find(data: bytes, *path: bytes) -> list[Box]:
    """Return the boxes at the end of a path of kinds."""
    found = [Box(b"", 0, len(data))]
    for kind in path:
        found = [
            inner
            for outer in found
            for inner in _boxes(data, outer.begin + _fields(data, outer), outer.end)
            if inner.kind == kind
        ]
    return found


def _fields(data: bytes, box: Box) -> int:
    """Return the bytes between the beginning of a box's content and the first box inside."""
    if box.kind == b"iinf":
        return 6 if data[box.begin] == 0 else 8
    return 4 if box.kind == b"meta" else 0


def _main_properties(data: bytes) -> Iterator[Box]:
    """Yield the properties of the main picture in their order. Raise struct.error if the boxes are damaged."""
    main = [_number(data, box.begin + 4, wide=data[box.begin] > 0) for box in _find(data, b"meta", b"pitm")]
    properties = [inner for box in _find(data, b"meta", b"iprp", b"ipco") for inner in _boxes(data, box.begin, box.end)]
    for box in _find(data, b"meta", b"iprp", b"ipma"):
        for item, position in _associations(data, box):
            if main[:1] == [item] and 0 < position <= len(properties):
                yield properties[position - 1]


def _associations(data: bytes, box: Box) -> Iterator[tuple[int, int]]:
    """Yield items with the positions, from 1, of their properties."""
    if box.end - box.begin < 8:
        return
    wide_item, wide_position = data[box.begin] > 0, data[box.begin + 3] & 1
    (entries,) = struct.unpack_from(">I", data, box.begin + 4)
    at = box.begin + 8
    for _ in range(min(entries, _ASSOCIATIONS)):
        item, at = _number(data, at, wide=wide_item), at + (4 if wide_item else 2)
        (count,) = struct.unpack_from(">B", data, at)
        for place in range(count):
            if wide_position:
                yield item, _number(data, at + 1 + 2 * place, wide=False) & 0x7FFF
            else:
                yield item, struct.unpack_from(">B", data, at + 1 + place)[0] & 0x7F
        at += 1 + count * (2 if wide_position else 1)


def _number(data: bytes, at: int, *, wide: bool) -> int:
    return int(struct.unpack_from(">I" if wide else ">H", data, at)[0])


def _crop(fields: tuple[int, ...], *, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return the crop of a `clap` box: fractions of width, height, and the way of its centre from the picture's."""
    numbers = [fields[place] / fields[place + 1] for place in range(0, 8, 2)]
    left = round((size[0] - numbers[0]) / 2 + numbers[2])
    top = round((size[1] - numbers[1]) / 2 + numbers[3])
    crop = left, top, left + round(numbers[0]), top + round(numbers[1])
    is_inside = 0 <= left < crop[2] <= size[0] and 0 <= top < crop[3] <= size[1]
    return crop if is_inside and crop != (0, 0, *size) else None
