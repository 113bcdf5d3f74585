"""Parcels: values with large buffers that two processes hand to each other in a file without a name."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from PIL import Image

KEPT_BYTES = 2**24  # a file of this size is not shortened: making it anew takes longer than keeping it costs


def make_file() -> int:
    """Return the descriptor of an empty file without a name; on Linux it is in memory."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("photo-parcel")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def write(file: int, value: object) -> list[int]:
    """Write a value into a file, and return the sizes of its pieces in bytes, with which `read` finds them.

    Pictures, of which only mode, size and pixels are kept, and objects of pickle.PickleBuffer are pieces of their own.
    """
    buffers: list[pickle.PickleBuffer] = []
    head = BytesIO()
    _Pickler(head, protocol=5, buffer_callback=buffers.append).dump(value)
    pieces = [head.getbuffer(), *(buffer.raw() for buffer in buffers)]
    at = 0
    for piece in pieces:
        _write_all(file, piece, at)
        at += len(piece)
    return [len(piece) for piece in pieces]


def read(file: int, sizes: Sequence[int]) -> Any:
    """Return the value that `write` has written into a file. What was a pickle.PickleBuffer comes as bytes."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(_read_all(file, size, at))
        at += size
    if at > KEPT_BYTES:
        os.ftruncate(file, 0)
    return pickle.loads(pieces[0], buffers=pieces[1:])


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Image.Image):
            return _image, (value.mode, value.size, pickle.PickleBuffer(value.tobytes()))
        return NotImplemented


def _image(mode: str, size: tuple[int, int], pixels: bytes) -> Image.Image:
    return Image.frombytes(mode, size, pixels)


def _write_all(file: int, piece: memoryview, at: int) -> None:
    while piece:
        written = os.pwrite(file, piece, at)
        piece, at = piece[written:], at + written


def _read_all(file: int, size: int, at: int) -> bytes:
    """Return that many bytes; a file that is shorter than it should be raises EOFError."""
    first = os.pread(file, size, at)
    if len(first) == size:
        return first
    parts = [first]
    while (left := size - sum(map(len, parts))) > 0:  # the system reads at most two gigabytes at once
        parts.append(os.pread(file, left, at + size - left))
        if not parts[-1]:
            raise EOFError(f"{left} bytes of a parcel are missing")
    return b"".join(parts)
