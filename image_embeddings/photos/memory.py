"""The memory that pictures take while they are decoded: one budget for all, and how a lack of it is told."""

from __future__ import annotations

import ctypes
import mmap
import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol

from PIL import Image

from image_embeddings.errors import ImageMemoryError
from image_embeddings.photos import jpeg_scans

BUDGET_BYTES = 2**30
SMALL_BYTES = 2**26  # less than this is always to be had
LARGE_BYTES = 2**28  # so much is returned to the system at once

# Most bytes for each pixel of a whole picture: what the decoder has of its own, and Pillow's picture with a copy if its
# mode cannot be shrunk. Pillow takes four bytes for the three of RGB.
_DECODER_BYTES = {"HEIF": 3, "AVIF": 8, "WEBP": 11, "TIFF": 4}
_OTHER_DECODER_BYTES = 1
_PILLOW_BYTES = {"1": 2, "L": 1, "P": 2, "I;16": 6, "I;16B": 6}
_OTHER_PILLOW_BYTES = 5
_COEFFICIENT_BYTES = 2  # of a progressive JPEG, which is held whole, however small it is decoded
_LACKS = ("memory allocation", "out of memory", "insufficient memory", "not enough memory", "cannot allocate memory")
_LIMITS = ("security limit", "maximum")  # decoders say so too if a picture is larger than they allow


class MemoryBudget:
    """A number of bytes that several threads share. Whoever comes first is served first."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._taken = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def take(self, wanted: int, *, patience: float | None = None) -> Iterator[None]:
        """Hold `wanted` bytes during the block; wait until they are free. More than the total are held alone.

        Raise TimeoutError if they are not free within `patience` seconds. None waits for as long as it takes.
        """
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            try:
                if not self._changed.wait_for(lambda: self._waiting[0] is turn and self._has(wanted), patience):
                    raise TimeoutError
                self._taken += wanted
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()

    def _has(self, wanted: int) -> bool:
        return not self._taken or self._taken + wanted <= self.total


class Budget(Protocol):
    """Lends memory for decoding; MemoryBudget fits."""

    def take(self, wanted: int, /) -> AbstractContextManager[None]:
        """Hold `wanted` bytes during the block."""


_budget: Budget = MemoryBudget(BUDGET_BYTES)


def use_budget(budget: Budget) -> None:
    """Let all decoding in this process take its memory from `budget`."""
    global _budget
    _budget = budget


@contextmanager
def reserve(wanted: int) -> Iterator[None]:
    """Hold `wanted` bytes of this process's budget during the block. It must not be entered twice by one thread.

    Raise MemoryError if the system does not have them. Decoders that find this out themselves may call it damage.
    """
    with _budget.take(wanted):
        if wanted >= SMALL_BYTES:
            _check_available(wanted)
        try:
            yield
        finally:
            if wanted >= LARGE_BYTES:
                _return_free_memory()


def _check_available(wanted: int) -> None:
    try:
        mmap.mmap(-1, wanted, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()  # no page of it is touched
    except (OSError, MemoryError) as error:
        raise MemoryError(f"{wanted:,} bytes are not to be had") from error


def _return_free_memory() -> None:
    """Return to the system what is free. The C library of Linux keeps it for each thread, and HEIC leaves it much."""
    with suppress(AttributeError):  # other C libraries do not have this
        ctypes.CDLL(None).malloc_trim(0)


def bytes_of_pixels(size: tuple[int, int], *, kind: str, mode: str = "RGB") -> int:
    """Return the most memory that decoding takes for a picture of this size; for a JPEG, of its draft size.

    `kind` and `mode` are Pillow's names of its format and of its pixels.
    """
    bytes_a_pixel = _DECODER_BYTES.get(kind, _OTHER_DECODER_BYTES) + _PILLOW_BYTES.get(mode, _OTHER_PILLOW_BYTES)
    return size[0] * size[1] * bytes_a_pixel


def bytes_of_coefficients(image: Image.Image, data: bytes) -> int:
    """Return the memory that the coefficients of a JPEG in several scans take, or 0 for other pictures.

    Such are progressive JPEGs, and those with a scan for each colour. The draft size must not be set yet.
    """
    bands = len(image.getbands())
    if image.format not in ("JPEG", "MPO") or not (
        image.info.get("progressive") or jpeg_scans.count_bands_of_first_scan(data) < bands
    ):
        return 0
    return image.width * image.height * bands * _COEFFICIENT_BYTES


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a WebP; None for other files. Pillow takes the memory of a WebP when it opens it."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def lack_error(what: str, reason: str) -> ImageMemoryError:
    """Return the error of a picture for which the system has too little memory now. `what` names the picture."""
    return ImageMemoryError(
        f"{what} needs more memory to be decoded than there is now ({reason}). "
        "End other programs, or raise the limit of the container, and try again."
    )


def is_lack(error: Exception) -> bool:
    """Return whether a decoder's error says that it got no memory, and not that the file is damaged or too large."""
    said = str(error).lower()
    return any(lack in said for lack in _LACKS) and not any(limit in said for limit in _LIMITS)
