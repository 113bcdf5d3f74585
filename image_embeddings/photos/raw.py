"""Camera RAW: which bytes are a RAW file, and the preview that the camera put into it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import ExifTags, Image

from image_embeddings.photos import memory

if TYPE_CHECKING:
    import numpy as np
    import rawpy
    from numpy.typing import NDArray

SUFFIXES = frozenset(
    {".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".arq", ".sr2", ".srf", ".srw", ".raf", ".orf", ".ori"}
    | {".rw2", ".rwl", ".pef", ".x3f", ".mrw", ".3fr", ".fff", ".mef", ".mos", ".erf", ".kdc", ".dcr", ".gpr"}
)

RW2 = b"IIU\0"  # the beginning of a file by Panasonic
# Formats of one maker are known by their first bytes: CR2, CR3, CRW, RAF, ORF (three), RW2, X3F, MRW.
_BEGINNINGS = (
    (8, b"CR\x02"),
    (4, b"ftypcrx "),
    (6, b"HEAPCCDR"),
    (0, b"FUJIFILMCCD-RAW"),
    (0, b"IIRO"),
    (0, b"IIRS"),
    (0, b"MMOR"),
    (0, RW2),
    (0, b"FOVb"),
    (0, b"\0MRM"),
)
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_SUB_IFDS, _PHOTOMETRIC, _DNG_VERSION = 330, 262, 50706
_SENSOR = {32803, 34892}  # colour filter array and linear raw: data of a sensor, not a picture
_DIRECTORIES, _ENTRIES = 32, 512  # that are read at most; real files have about ten directories of about fifty entries

_BYTES_A_PIXEL = 8  # of the sensor: LibRaw's copies of its data, and a quarter as many pixels in colour
MIN_PREVIEW = 224  # pixels of the shorter side; models would see less detail in a smaller preview


@dataclass(frozen=True, kw_only=True)
class RawPhoto:
    """The picture of a RAW file: its preview as JPEG, with an EXIF orientation of its own, or an upright image."""

    width: int  # pixels of the upright photo itself, not of the preview
    height: int
    picture: bytes | Image.Image


class TooManyPixelsError(Exception):
    """Raised if a RAW photo has more pixels than allowed; holds its width and height."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(f"{width} × {height} pixels")
        self.width, self.height = width, height


def is_raw(data: bytes) -> bool:
    """Return whether these are the bytes of a RAW file. NEF, ARW and DNG are TIFF files with data of a sensor."""
    if any(data.startswith(magic, at) for at, magic in _BEGINNINGS):
        return True
    return any(tag == _DNG_VERSION or (tag == _PHOTOMETRIC and value in _SENSOR) for tag, value in _short_tags(data))


def _short_tags(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield tag and first value of the entries in a TIFF's directories and subdirectories; nothing for other files."""
    order = _BYTE_ORDERS.get(data[:4])
    if order is None or len(data) < 8:
        return
    waiting, seen = list(struct.unpack_from(f"{order}I", data, 4)), set[int]()
    while waiting and len(seen) < _DIRECTORIES:
        at = waiting.pop(0)
        if at in seen or not 8 <= at <= len(data) - 2:
            continue
        seen.add(at)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        end = at + 2 + 12 * count
        for entry in range(at + 2, min(end, at + 2 + 12 * _ENTRIES, len(data) - 11), 12):
            tag, kind, length = struct.unpack_from(f"{order}HHI", data, entry)
            yield tag, struct.unpack_from(f"{order}H" if kind == 3 else f"{order}I", data, entry + 8)[0]
            if tag == _SUB_IFDS:
                waiting += _offsets(data, entry + 8, order=order, length=length)
        if end <= len(data) - 4:
            waiting += struct.unpack_from(f"{order}I", data, end)


def _offsets(data: bytes, at: int, *, order: str, length: int) -> tuple[int, ...]:
    """Return the offsets of the directories that an entry at `at` points to.

    A single offset is in the entry itself. If there are several, the entry holds the position of their list.
    """
    if length > 1:
        (at,) = struct.unpack_from(f"{order}I", data, at)
    length = min(length, _DIRECTORIES)
    return struct.unpack_from(f"{order}{length}I", data, at) if at + 4 * length <= len(data) else ()


def container_exif(data: bytes) -> Image.Exif | None:
    """Return the EXIF of a RAW file with the layout of TIFF; None for other files, or if it has no date or lens."""
    if data[:4] in (b"IIRO", b"IIRS", RW2):  # ORF and RW2 are TIFF with another beginning
        data = b"II*\0" + data[4:]
    if data[:4] not in _BYTE_ORDERS:
        return None
    exif = Image.Exif()
    exif.load(data)
    return exif if ExifTags.IFD.Exif in exif else None


def read(data: bytes, *, max_pixels: int) -> RawPhoto:
    """Return the preview in a RAW file, or the sensor's picture at half size if there is no usable preview.

    Raises:
        ValueError: if neither can be read.
        TooManyPixelsError: if it has more than `max_pixels`. This is checked before memory is taken for them.
        DecompressionBombError: if LibRaw would need more memory than it allows itself.
        MemoryError: if the system has too little.
    """
    import rawpy

    try:
        with rawpy.imread(BytesIO(data)) as raw:
            sizes = raw.sizes
            if sizes.raw_width * sizes.raw_height > max_pixels:
                raise TooManyPixelsError(sizes.raw_width, sizes.raw_height)
            width, height = _shown_size(sizes)
            return RawPhoto(width=width, height=height, picture=_preview(raw) or _developed(raw))
    except rawpy.LibRawUnsufficientMemoryError as error:
        raise MemoryError(_reason(error)) from error
    except (rawpy.LibRawTooBigError, rawpy.LibRawMemPoolOverflowError) as error:
        raise Image.DecompressionBombError(_reason(error)) from error
    except rawpy.LibRawError as error:
        raise ValueError(_reason(error)) from error


def _shown_size(sizes: rawpy.ImageSizes) -> tuple[int, int]:
    """Return width and height of the upright photo: of what the camera shows of the sensor, if the file says so."""
    width, height = sizes.width, sizes.height
    if 2 * sizes.crop_width > width and 2 * sizes.crop_height > height:  # else the file says nothing, or nonsense
        width, height = min(width, sizes.crop_width), min(height, sizes.crop_height)
    return (height, width) if sizes.flip in (5, 6) else (width, height)


def _preview(raw: rawpy.RawPy) -> bytes | Image.Image | None:
    """Return the largest preview as JPEG bytes or as an upright image; None if no preview is large enough."""
    import rawpy

    try:
        preview = raw.extract_thumb()
    except (rawpy.LibRawError, rawpy.NotSupportedError):
        return None
    enough = min(MIN_PREVIEW, raw.sizes.height // 2, raw.sizes.width // 2)
    if isinstance(preview.data, bytes):
        return preview.data if min(_jpeg_size(preview.data)) >= enough else None
    if min(preview.data.shape[:2]) < enough:
        return None
    return _turn(_image(preview.data), raw.sizes.flip)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    try:
        with Image.open(BytesIO(data), formats=("JPEG",)) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 0, 0


def _turn(image: Image.Image, flip: int) -> Image.Image:
    """Return the image turned upright; `flip` is LibRaw's number for how the camera was held."""
    turn = {3: Image.Transpose.ROTATE_180, 5: Image.Transpose.ROTATE_90, 6: Image.Transpose.ROTATE_270}.get(flip)
    return image if turn is None else image.transpose(turn)


def _developed(raw: rawpy.RawPy) -> Image.Image:
    with memory.reserve(raw.sizes.raw_width * raw.sizes.raw_height * _BYTES_A_PIXEL):
        return _image(raw.postprocess(half_size=True, use_camera_wb=True))


def _image(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)  # one channel: a monochrome camera


def _reason(error: Exception) -> str:
    said = error.args[0] if error.args else type(error).__name__
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
