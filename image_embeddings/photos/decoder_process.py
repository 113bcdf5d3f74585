"""A process that decodes photos for another one: `python -m image_embeddings.photos.decoder_process`.

It answers one task after the other, and ends when the other process does, when nothing is asked for a while, or when it
has kept too much memory. `Decoder` in decoder.py is its counterpart.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from PIL import AvifImagePlugin, Image

from image_embeddings.errors import ImageSearchError
from image_embeddings.photos import browsers, decoder_limits, decoding, memory, parcels
from image_embeddings.photos.decoder import DONE, FAILED, GIVES_BACK, NO_ROOM, READY, REFUSED, WANTS
from image_embeddings.photos.photo import Photo, PhotoBytes, decode_photo
from image_embeddings.photos.thumbnails import Thumbnails

THREADS = 2  # of the decoder of AVIF, which would start one for each core, and each takes memory
KEPT_BYTES = 2**27  # of memory more than at the beginning; a process that keeps more ends, and another begins


def main(arguments: list[str]) -> None:
    """Serve tasks.

    The arguments are two descriptors, niceness, the seconds without a task after which it ends (0: never), the working
    folder, and modules that tests load.
    """
    connection, file, niceness, idle_seconds, folder, *modules = arguments
    decoder_limits.isolate(niceness=int(niceness))
    AvifImagePlugin.DEFAULT_MAX_THREADS = THREADS
    with suppress(OSError):
        os.chdir(folder)
    for name in modules:
        importlib.import_module(name)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the other process has ended
        _serve(Connection(int(connection)), int(file), idle_seconds=float(idle_seconds) or None)


def _serve(connection: Connection, file: int, *, idle_seconds: float | None) -> None:
    memory.use_budget(_LentMemory(connection))
    _, at_first = decoder_limits.memory_in_use()
    connection.send((READY,))
    while connection.poll(idle_seconds):
        connection.send(_answer(file, *connection.recv()))
        if decoder_limits.memory_in_use()[1] > at_first + KEPT_BYTES:
            break


def _answer(file: int, sizes: list[int], cpu_seconds: float) -> tuple[str, list[int]]:
    """Do the task that is in the file, write what comes of it into the file, and return a word and sizes for it."""
    try:
        name, data, options = parcels.read(file, sizes)
        with decoder_limits.limit_task(file_bytes=len(data), cpu_seconds=cpu_seconds):
            word, value = DONE, TASKS[name](data, **options)
    except Exception as error:  # noqa: BLE001 it is raised again in the other process
        word, value = FAILED, _portable(error)
    try:
        return word, parcels.write(file, value)
    except OSError:  # no memory is left for it, which is no fault of the photo
        sys.exit(NO_ROOM)


class _LentMemory:
    """The budget of the other process, which lends memory for each picture."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def take(self, wanted: int, /) -> Iterator[None]:
        """Hold `wanted` bytes during the block. Raise what the other process says if it refuses them."""
        self._connection.send((WANTS, wanted))
        answer, *reason = self._connection.recv()
        if answer == REFUSED:
            raise reason[0]
        with decoder_limits.limit_memory(wanted):
            try:
                yield
            finally:
                self._connection.send((GIVES_BACK,))


def _decode(data: bytes, **options: Any) -> Image.Image:
    return decoding.decode(data, **options).image


def _decode_photo(
    data: bytes, *, photo: PhotoBytes, thumbnails: Thumbnails | None, keep_unmanaged: bool, **options: Any
) -> Photo:
    """Return the photo, after its thumbnail is made. `photo` comes without its data, which is in the parcel anyway."""
    decoded = decode_photo(replace(photo, data=data), **options)
    if thumbnails:
        thumbnails.make(decoded.image, content_hash=photo.content_hash)
    return decoded if keep_unmanaged else replace(decoded, unmanaged=None)


# Name of a task -> its function, which gets the bytes of a file and the options of the task.
TASKS: dict[str, Callable[..., Any]] = {
    "decode": _decode,
    "decode_photo": _decode_photo,
    "rendition": browsers.rendition,
}


def _portable(error: Exception) -> tuple[Exception, str]:
    """Return an error that another process can raise, and the traceback; it is empty if people can do without it."""
    if isinstance(error, ImageSearchError):
        return error, ""
    said = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 an error of a library may be anything
        return RuntimeError(f"{type(error).__name__}: {error}"), said
    return error, said


if __name__ == "__main__":
    main(sys.argv[1:])
