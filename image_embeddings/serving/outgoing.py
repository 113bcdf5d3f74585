"""The answer to a client: what the socket takes is sent at once, and the rest is kept for a slow reader."""

from __future__ import annotations

import errno
import os
import select
import ssl
import time
from collections import deque
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any

from image_embeddings.serving.limits import Limits
from image_embeddings.serving.pace import Pace

_SENDFILE_BYTES = 1024 * 1024
_JOINED_BYTES = 256 * 1024  # of the first part of a body that is copied behind the head
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass
class FilePart:
    """A part of an open file that is still to be sent."""

    descriptor: int
    offset: int
    end: int


class Outgoing:
    """What one client still has to read."""

    def __init__(self, wire: Any, *, limits: Limits, streams: BoundedSemaphore) -> None:
        """Send to the socket `wire`, which does not block. `streams` are the threads that may wait for slow readers."""
        self._wire = wire
        self._limits = limits
        self._streams = streams
        self._unsent: deque[memoryview | FilePart] = deque()
        self.is_begun = False
        self._head = b""  # of the answer, while its body is still to come
        self.pace = self._new_pace()

    def __bool__(self) -> bool:
        """Return whether anything is unsent."""
        return bool(self._unsent or self._head)

    @property
    def unsent_bytes(self) -> int:
        """The unsent bytes in memory."""
        return sum(len(part) for part in self._unsent if isinstance(part, memoryview))

    @property
    def has_file(self) -> bool:
        """Whether some of the rest is in a file, which may be on a slow drive."""
        return any(isinstance(part, FilePart) for part in self._unsent)

    def begin(self) -> None:
        """Begin an answer."""
        self.is_begun = False

    def hold_head(self, head: bytes) -> None:
        """Keep the head of an answer until the first part of its body is put, or until `flush`. One call sends both.

        The client, too, is then woken only once.
        """
        self._begin_pace()
        self._head = head

    def _begin_pace(self) -> None:
        if not self.is_begun:  # perhaps long after the request
            self.is_begun, self.pace = True, self._new_pace()

    def _new_pace(self) -> Pace:
        return Pace(self._limits, credit_seconds=self._limits.reader_credit_seconds)

    def put(self, part: bytes | FilePart) -> None:
        """Send what the socket takes now, and keep the rest.

        If much is kept already, wait for the client, because the answer is made faster than the client reads it. Only a
        few threads may do that. Raise BrokenPipeError if the client does not read, or if too many threads wait.
        """
        if self.unsent_bytes > self._limits.stream_bytes:
            self._wait_for_reader()
        self._begin_pace()
        if not isinstance(part, FilePart) and len(part) <= _JOINED_BYTES:
            part, self._head = self._head + part, b""
        self._queue_head()
        self._unsent.append(part if isinstance(part, FilePart) else memoryview(part))
        self.flush()

    def _queue_head(self) -> None:
        if self._head:
            self._unsent.append(memoryview(self._head))
            self._head = b""

    def flush(self) -> bool:
        """Send what the socket takes now, and return whether that was all. Raise OSError if the client has left."""
        self._queue_head()
        try:
            while self._unsent:
                self.pace.move(self._send_first())
        except WOULD_BLOCK:
            return False
        return True

    def _send_first(self) -> int:
        part = self._unsent[0]
        if isinstance(part, FilePart):
            count = min(part.end - part.offset, _SENDFILE_BYTES)
            sent = os.sendfile(self._wire.fileno(), part.descriptor, part.offset, count)
            part.offset += sent
            if not sent or part.offset >= part.end:  # a file that has become shorter ends here
                os.close(part.descriptor)
                self._unsent.popleft()
            return sent
        sent = self._wire.send(part) if part else 0
        self._unsent.popleft()
        if sent < len(part):
            self._unsent.appendleft(part[sent:])
        return int(sent)

    def _wait_for_reader(self) -> None:
        if not self._streams.acquire(blocking=False):
            raise BrokenPipeError(errno.EPIPE, "too many slow readers")
        try:
            poll = select.poll()
            poll.register(self._wire.fileno(), select.POLLOUT)
            while self.unsent_bytes > self._limits.stream_bytes:
                left = self.pace.deadline - time.monotonic()
                if left <= 0 or not poll.poll(left * 1000):
                    raise BrokenPipeError(errno.EPIPE, "the client does not read")
                self.flush()
        finally:
            self._streams.release()

    def close(self) -> None:
        """Forget what is unsent, and close its files."""
        for part in self._unsent:
            if isinstance(part, FilePart):
                os.close(part.descriptor)
        self._unsent.clear()
        self._head = b""
