"""A few processes that decode photos, so that no file can take memory, time or life of the process that asks.

A crash of a decoder costs one photo. What a picture takes is reckoned from its header, before it is decoded, and all
processes together share a budget of memory.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from PIL import Image

from image_embeddings.errors import (
    DecodersBusyError,
    ImageSlowError,
    ImageTooLargeError,
    ImageUnreadableError,
)
from image_embeddings.photos.decoder import (
    Decoder,
    DecoderCrashedError,
    DecoderEndedError,
    DecoderKilledError,
    DecoderSlowError,
    DecoderStartError,
)
from image_embeddings.photos.decoding import SHORT_SIDE
from image_embeddings.photos.memory import BUDGET_BYTES, MemoryBudget, lack_error
from image_embeddings.photos.photo import Photo, PhotoBytes
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.photos.unreadable import COPY_AGAIN, SAVE_AGAIN

# The bytes of a file, or what reads them. It is called once a process is free, so those who wait hold no bytes.
Data = bytes | Callable[[], bytes]
UPLOAD_BYTES = 512_000_000  # of memory that an uploaded picture may take
_SERVED_AT_ONCE = 2
_TRIES = 5  # if processes end before they take a task; a decoder that ends its process in silence seems to do so, too


@dataclass(frozen=True, kw_only=True)
class DecodingLimits:
    """What decoding may cost."""

    budget_bytes: int  # of memory that all pictures take together; a picture that takes more is decoded alone
    seconds: float  # for one file
    cpu_seconds: float
    patience: float | None = None  # seconds to wait for a process and for memory; None: for as long as it takes
    niceness: int = 0
    idle_seconds: float | None = None  # after which a process that has nothing to do ends


SERVING = DecodingLimits(budget_bytes=UPLOAD_BYTES, seconds=60, cpu_seconds=30, patience=2, niceness=5)
INDEXING = DecodingLimits(budget_bytes=BUDGET_BYTES, seconds=600, cpu_seconds=300, idle_seconds=60)


class Decoders:
    """Up to `count` processes that decode photos. They start when they are needed; any thread may use them."""

    def __init__(self, count: int, *, limits: DecodingLimits, modules: tuple[str, ...] = ()) -> None:
        """Start nothing yet. `modules` are loaded into the processes; they are for tests."""
        self._count, self._limits, self._modules = count, limits, modules
        self._begin()

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._places = threading.BoundedSemaphore(self._count)
        self._budget = MemoryBudget(self._limits.budget_bytes)
        self._idle: list[Decoder] = []
        self._all: set[Decoder] = set()
        self._end = weakref.finalize(self, _close_all, self._all, self._owner)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process needs to make such processes of its own."""
        return _make, (self._count, self._limits, self._modules)

    def decode(
        self, data: Data, *, max_pixels: int, what: str, short_side: int = SHORT_SIDE, max_bytes: int | None = None
    ) -> Image.Image:
        """Return the upright RGB image in `data`, as `decoding.decode` does.

        Raises:
            Exception: what `data` raises.
            ImageError: as in `decoding.decode`. ImageTooLargeError too if the picture takes more than `max_bytes`, and
                ImageUnreadableError if its decoder crashes.
            ImageSlowError: if it takes too long.
            DecodersBusyError: if no process or too little memory is free within the patience of the limits.
        """
        options = {"max_pixels": max_pixels, "what": what, "short_side": short_side}
        image: Image.Image = self._run("decode", data, options, what=what, max_bytes=max_bytes)
        return image

    def decode_photo(
        self,
        photo: PhotoBytes,
        *,
        max_pixels: int,
        with_location: bool = True,
        keep_unmanaged: bool = True,
        thumbnails: Thumbnails | None = None,
    ) -> Photo:
        """Return the photo in these bytes, as `photo.decode_photo` does, and make its thumbnail.

        Without `keep_unmanaged`, the photo lacks its `unmanaged` image.

        Raises:
            ImageError: as in `decode`.
            DataDirError: as in `Thumbnails.make`.
        """
        options = {
            "photo": replace(photo, data=b""),
            "max_pixels": max_pixels,
            "with_location": with_location,
            "keep_unmanaged": keep_unmanaged,
            "thumbnails": thumbnails,
        }
        decoded: Photo = self._run("decode_photo", photo.data, options, what=photo.image_id)
        return decoded

    def rendition(self, data: Data, *, max_pixels: int, what: str) -> bytes:
        """Return the photo as a JPEG for browsers, as `browsers.rendition` does.

        Raises:
            Exception: what `data` raises.
            ImageError: as in `decode`.
        """
        made: bytes = self._run("rendition", data, {"max_pixels": max_pixels, "what": what}, what=what)
        return made

    def pids(self) -> list[int]:
        """Return the numbers of the processes."""
        return [decoder.pid for decoder in list(self._all)]

    def close(self) -> None:
        """End the processes, also those that work. Further calls start new ones."""
        self._end()
        self._begin()

    def _run(self, task: str, data: Data, options: dict[str, Any], *, what: str, max_bytes: int | None = None) -> Any:
        """Do a task; if the system has ended its process, once more while no other picture takes memory."""
        if self._owner != os.getpid():  # this process is a fork: the processes belong to the other one
            self._begin()
        try:
            try:
                return self._run_once(task, data, options, what=what, max_bytes=max_bytes)
            except DecoderKilledError:
                return self._run_once(task, data, options, what=what, max_bytes=max_bytes, alone=True)
        except DecoderCrashedError:
            raise ImageUnreadableError(
                f"{what} is not an image that can be read (its decoder crashed): {COPY_AGAIN}, or {SAVE_AGAIN}."
            ) from None
        except DecoderSlowError:
            raise ImageSlowError(
                f"{what} takes more than {self._limits.cpu_seconds:.0f} s to be decoded: {SAVE_AGAIN}."
            ) from None
        except (DecoderStartError, DecoderKilledError, MemoryError) as error:
            reason = {
                DecoderStartError: f"no process can decode it: {error}",
                DecoderKilledError: "the system has ended its decoder twice",
            }.get(type(error), str(error) or "none is left")
            raise lack_error(what, reason) from error

    def _run_once(
        self,
        task: str,
        data: Data,
        options: dict[str, Any],
        *,
        what: str,
        max_bytes: int | None,
        alone: bool = False,
    ) -> Any:
        def lend(wanted: int) -> AbstractContextManager[None]:
            if max_bytes is not None and wanted > max_bytes:
                raise ImageTooLargeError(
                    f"{what} takes {wanted // 10**6:,} MB of memory to be decoded; at most {max_bytes // 10**6:,} MB "
                    "are used for it. Make it smaller, or save it as a plain JPEG."
                )
            return self._lend_memory(max(wanted, self._budget.total) if alone else wanted)

        for _ in range(_TRIES):
            with self._borrow() as decoder:
                try:
                    return decoder.run(
                        task,
                        data() if callable(data) else data,
                        options,
                        lend=lend,
                        seconds=self._limits.seconds,
                        cpu_seconds=self._limits.cpu_seconds,
                    )
                except DecoderEndedError:
                    continue
        raise DecoderCrashedError

    @contextmanager
    def _lend_memory(self, wanted: int) -> Iterator[None]:
        try:
            with self._budget.take(wanted, patience=self._limits.patience):
                yield
        except TimeoutError:
            raise _busy() from None

    @contextmanager
    def _borrow(self) -> Iterator[Decoder]:
        """Hold an idle process during the block; another one takes the place of one that is of no more use."""
        places = self._places  # `close` gives this object others
        if not places.acquire(timeout=self._limits.patience):
            raise _busy()
        try:
            decoder = self._take_idle() or self._start()
            try:
                yield decoder
            finally:
                if decoder.is_idle:
                    self._idle.append(decoder)
                else:
                    self._all.discard(decoder)
                    decoder.close()
        finally:
            places.release()

    def _take_idle(self) -> Decoder | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _start(self) -> Decoder:
        limits = self._limits
        decoder = Decoder(niceness=limits.niceness, idle_seconds=limits.idle_seconds, modules=self._modules)
        self._all.add(decoder)
        return decoder


def serving_decoders() -> Decoders:
    """Return the processes that decode for the web app."""
    return _make(_SERVED_AT_ONCE, SERVING, ())


def indexing_decoders(count: int) -> Decoders:
    """Return `count` processes that decode for indexing runs; all runs of this process use the same ones."""
    return _make(count, INDEXING, ())


@cache
def _make(count: int, limits: DecodingLimits, modules: tuple[str, ...]) -> Decoders:
    return Decoders(count, limits=limits, modules=modules)


def _busy() -> DecodersBusyError:
    return DecodersBusyError("Too many photos are decoded now. Try again in a few seconds.")


def _close_all(decoders: set[Decoder], owner: int) -> None:
    if os.getpid() == owner:
        while decoders:
            decoders.pop().close()
