"""Camera RAW files made by tests: DNG, the one format with a public layout, as small as LibRaw accepts."""

import struct
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

Entry = tuple[int, str, Sequence]  # tag, kind, values
_KINDS = {"B": 1, "s": 2, "H": 3, "I": 4, "R": 5}  # struct's letters, and s for text, R for fractions -> TIFF's numbers
_ONE, _NONE = (1, 1), (0, 1)


def dng(
    image: Image.Image,
    *,
    preview: bytes | np.ndarray | None = None,
    orientation: int = 1,
    entries: Sequence[Entry] = (),
    details: Sequence[Entry] = (),
    sensor: Sequence[Entry] = (),
) -> bytes:
    """Return a DNG file: `image` as a sensor with a Bayer filter sees it, and a preview as JPEG or pixels (h, w, 3).

    `entries` are added to its first directory, `sensor` to that of the sensor, and `details` are its EXIF.
    """
    blob = bytearray(b"II*\0" + bytes(4))
    directories = [_append(blob, [*_sensor(image, at=_append(blob, _bayer(image).tobytes())), *sensor])]
    if preview is not None:
        data = preview if isinstance(preview, bytes) else preview.tobytes()
        directories.append(_append(blob, _preview(preview, at=_append(blob, data), length=len(data))))
    first = [
        (254, "I", [1]),
        (271, "s", b"Maker"),
        (272, "s", b"Camera"),
        (274, "H", [orientation]),
        (330, "I", directories),
        (50706, "B", [1, 4, 0, 0]),  # DNGVersion
        (50708, "s", b"Maker Camera"),
        (50721, "R", [_ONE, _NONE, _NONE, _NONE, _ONE, _NONE, _NONE, _NONE, _ONE]),  # ColorMatrix1
        (50728, "R", [_ONE, _ONE, _ONE]),  # AsShotNeutral
        (50778, "H", [21]),  # daylight
        *entries,
    ]
    if details:
        first.append((34665, "I", [_append(blob, list(details))]))
    struct.pack_into("<I", blob, 4, _append(blob, first))
    return bytes(blob)


def _append(blob: bytearray, what: bytes | list[Entry]) -> int:
    """Append to `blob` and return the place where the appended bytes begin."""
    blob += bytes(len(blob) % 2)
    at = len(blob)
    blob += what if isinstance(what, bytes) else _directory(what, at=at)
    return at


def _directory(entries: list[Entry], *, at: int) -> bytes:
    fields, beyond = b"", b""
    start = at + 2 + 12 * len(entries) + 4
    for tag, kind, values in sorted(entries):
        value, count = _value(kind, values)
        if len(value) > 4:
            place = start + len(beyond)
            beyond += value + bytes(len(value) % 2)
            value = struct.pack("<I", place)
        fields += struct.pack("<HHI", tag, _KINDS[kind], count) + value.ljust(4, b"\0")
    return struct.pack("<H", len(entries)) + fields + bytes(4) + beyond


def _value(kind: str, values: Sequence) -> tuple[bytes, int]:
    if kind == "s":
        return bytes(values) + b"\0", len(values) + 1
    if kind == "R":
        return b"".join(struct.pack("<II", *value) for value in values), len(values)
    return struct.pack(f"<{len(values)}{kind}", *values), len(values)


def _bayer(image: Image.Image) -> np.ndarray:
    """Return one colour for each pixel, in sixteen bits: red and green, below them green and blue."""
    pixels = np.asarray(image.convert("RGB"), np.uint16) * 257
    seen = pixels[..., 1].copy()
    seen[0::2, 0::2] = pixels[0::2, 0::2, 0]
    seen[1::2, 1::2] = pixels[1::2, 1::2, 2]
    return seen


def _sensor(image: Image.Image, *, at: int) -> list[Entry]:
    length = 2 * image.width * image.height
    return [
        *_layout(image.size, bits=[16], compression=1, photometric=32803, at=at, length=length),
        (254, "I", [0]),
        (33421, "H", [2, 2]),  # CFARepeatPatternDim
        (33422, "B", [0, 1, 1, 2]),  # CFAPattern
    ]


def _preview(preview: bytes | np.ndarray, *, at: int, length: int) -> list[Entry]:
    if isinstance(preview, bytes):
        size, compression, photometric = Image.open(BytesIO(preview)).size, 7, 6
    else:
        size, compression, photometric = (preview.shape[1], preview.shape[0]), 1, 2
    layout = _layout(size, bits=[8, 8, 8], compression=compression, photometric=photometric, at=at, length=length)
    return [*layout, (254, "I", [1])]


def _layout(
    size: tuple[int, int], *, bits: list[int], compression: int, photometric: int, at: int, length: int
) -> list[Entry]:
    return [
        (256, "I", [size[0]]),
        (257, "I", [size[1]]),
        (258, "H", bits),
        (259, "H", [compression]),
        (262, "H", [photometric]),
        (273, "I", [at]),
        (277, "H", [len(bits)]),
        (278, "I", [size[1]]),
        (279, "I", [length]),
    ]
