"""A file on another machine as an open file: what is read is fetched, in ranges."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol, cast

WINDOW = 8 * 2**20  # bytes of one request at most; a whole photo in most cases
BUFFER = 256 * 2**10  # bytes, so that the header of a photo, and then the photo, are fetched by one request


class Body(Protocol):
    """The content of an answer, read as it comes."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""

    def close(self) -> None:
        """Give the connection back, or close it if something is left."""


def open_ranges(fetch: Callable[[int, int], Body], *, size: int) -> BinaryIO:
    """Return an open file of `size` bytes. `fetch` returns the content from its first to before its second argument."""
    return cast(BinaryIO, io.BufferedReader(_Ranges(fetch, size=size), BUFFER))


class _Ranges(io.RawIOBase):
    """Reads on in one answer as long as nobody seeks elsewhere."""

    def __init__(self, fetch: Callable[[int, int], Body], *, size: int) -> None:
        self._fetch, self._size = fetch, size
        self._at = 0  # where the next byte is read
        self._body: Body | None = None  # which begins at `_at`
        self._end = 0  # of the body

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        place = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        if place < 0:
            raise ValueError(f"negative place in a file: {place}")
        if place != self._at:
            self._drop()
        self._at = place
        return place

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        if self._body is None or self._at >= self._end:
            self._drop()
            self._end = min(self._size, self._at + WINDOW)
            self._body = self._fetch(self._at, self._end)
        data = self._body.read(min(wanted, self._end - self._at))
        if not data:
            raise OSError(f"the content ended after {self._at:,} of {self._size:,} bytes")
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
        self._body = None
