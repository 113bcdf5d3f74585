"""How much of an HTTP request has arrived. gunicorn's parser says what is a request, here and once it is complete."""

import re
from typing import Any

from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.errors import ParseException
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

HEAD_BYTES = 64 * 1024  # the longest head: request line and headers
_SPARE_BYTES = 64 * 1024  # of a chunked body beyond what the app accepts, so that the app sees that it is too large
_CHUNK_LINE_BYTES = 8190

_HEAD_END = b"\r\n\r\n"
_MAY_HAVE_BODY = re.compile(rb"[\r\n](?:content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
_CONTINUE = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")
_START = re.compile(rb"(?:\r\n)?([A-Z]+) ([^ ?\r\n]*)")


class Arrival:
    """The bytes of one connection, up to the end of the request that is arriving.

    A request is also complete if gunicorn refuses what is there of it, whatever may still come, or if its body is
    larger than the app accepts. Then `is_cut_off` is true: what follows on the connection is not a request.
    """

    def __init__(self, cfg: Any, *, body_bytes: int) -> None:
        """Expect a body of at most `body_bytes`; `cfg` is gunicorn's configuration."""
        self.data = bytearray()
        self._cfg = cfg
        self._line_bytes = cfg.limit_request_line or HEAD_BYTES
        self._body_bytes = body_bytes
        self._forget()

    def _forget(self) -> None:
        self.end: int | None = None  # of the request; None while some of it is missing
        self.is_cut_off = False
        self.is_head_too_long = False
        self.wants_continue = False
        self._body_begin: int | None = None
        self._body_end: int | None = None  # None if it is chunked
        self._first_chunk = 0
        self._chunk_begin = 0  # of the first chunk that is not known to be there

    @property
    def is_complete(self) -> bool:
        """Whether the request can be given to gunicorn."""
        return self.end is not None

    @property
    def has_head(self) -> bool:
        """Whether the head has arrived."""
        return self._body_begin is not None

    @property
    def body_received(self) -> int:
        """The number of bytes of the body that have arrived."""
        return 0 if self._body_begin is None else len(self.data) - self._body_begin

    @property
    def method_and_path(self) -> tuple[str, str]:
        """Method and path of the request, without the query; two empty texts if it does not begin with them."""
        found = _START.match(self.data)
        return (found[1].decode("ascii"), found[2].decode("latin-1")) if found else ("", "")

    def feed(self, data: bytes) -> None:
        """Add bytes that have arrived."""
        before = len(self.data)
        self.data += data
        self._look(before)

    def begin_next(self) -> None:
        """Drop the request, and begin the next one with the bytes that came after it."""
        del self.data[: self.end]
        self._forget()
        if self.data:
            self._look(0)

    def _look(self, before: int) -> None:
        """Find out how much of the request has arrived. The first `before` bytes were examined earlier."""
        if self._body_begin is None:
            self._look_for_head(before)
        if self._body_begin is not None and self.end is None:
            self._look_for_body()

    def _look_for_head(self, before: int) -> None:
        found = self.data.find(_HEAD_END, max(0, before - 3))
        if (len(self.data) if found < 0 else found) > HEAD_BYTES:
            self.is_head_too_long = True
        elif found >= 0:
            self._body_begin = found + len(_HEAD_END)
            self._measure(bytes(self.data[: self._body_begin]))
        elif self._has_bare_newline(before) or self._has_long_line():
            self._cut_off()

    def _has_bare_newline(self, before: int) -> bool:
        return self.data.count(b"\n", before) != self.data.count(b"\r\n", max(0, before - 1))

    def _has_long_line(self) -> bool:
        """Return whether gunicorn finds the request line too long. It ignores one empty line before it."""
        return len(self.data) > self._line_bytes + 4 and self.data.find(b"\r\n", 2, self._line_bytes + 4) < 0

    def _measure(self, head: bytes) -> None:
        """Find out where the body ends."""
        self.wants_continue = _CONTINUE.search(head) is not None
        self._first_chunk = self._chunk_begin = len(head)
        length = 0
        if _MAY_HAVE_BODY.search(head):
            try:
                reader = Request(self._cfg, IterUnreader([head]), ("", 0)).body.reader
            except ParseException:  # gunicorn will say so to the client
                self._cut_off()
                return
            if isinstance(reader, ChunkedReader):
                return
            length = reader.length if isinstance(reader, LengthReader) else 0
        if length > self._body_bytes:
            self._cut_off()
        self._body_end = len(head) + length

    def _look_for_body(self) -> None:
        if self._body_end is None:
            self._look_for_chunks()
        elif len(self.data) >= self._body_end:
            self.end = self._body_end

    def _look_for_chunks(self) -> None:
        """Find the end of a chunked body, RFC 9112, section 7.1."""
        while self.end is None and self._chunk_begin <= len(self.data):
            if (
                self._chunk_begin > self._first_chunk
                and self.data[self._chunk_begin - 2 : self._chunk_begin] != b"\r\n"
            ):
                self._cut_off()  # the chunk before is longer than it says
                break
            line_end = self.data.find(b"\r\n", self._chunk_begin)
            if line_end < 0:
                if len(self.data) - self._chunk_begin > _CHUNK_LINE_BYTES:
                    self._cut_off()
                break
            found = _CHUNK_SIZE.fullmatch(self.data, self._chunk_begin, line_end)
            if not found:
                self._cut_off()
                break
            size = int(found[1], 16)
            if size == 0:
                self._look_for_trailers(line_end)
                break
            self._chunk_begin = line_end + 2 + size + 2
        if self.end is None and self.body_received > self._body_bytes + _SPARE_BYTES:
            self._cut_off()

    def _look_for_trailers(self, line_end: int) -> None:
        """Look for the empty line after the last chunk, which `line_end` ends, and after its trailers."""
        found = self.data.find(_HEAD_END, line_end)
        if found >= 0:
            self.end = found + len(_HEAD_END)
        elif len(self.data) - line_end > _CHUNK_LINE_BYTES:
            self._cut_off()

    def _cut_off(self) -> None:
        self.is_cut_off = True
        self.end = len(self.data)
