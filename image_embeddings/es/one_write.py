"""Connections that send the head of a request and its body at once.

urllib3 sends the one after the other. Elasticsearch then reads twice, and begins to work only after the second read.
"""

from __future__ import annotations

from typing import Any

from urllib3.connection import HTTPConnection

MOST_BYTES = 64 * 1024  # of a body that is copied behind its head. A larger one takes several writes anyway.


class OneWrite(HTTPConnection):
    """A connection that keeps the head of a request until the first part of its body is there."""

    _holds_head = False
    _head = b""

    def request(self, *args: Any, **options: Any) -> None:
        """Send a request, as `HTTPConnection.request` does."""
        self._holds_head = True
        try:
            super().request(*args, **options)
            self._send_head()  # there is no body
        finally:
            self._holds_head, self._head = False, b""

    def send(self, data: Any) -> None:
        """Send a part of a request, or keep it if it is the head."""
        if self._holds_head and not self._head:
            self._head = data
        elif self._head and isinstance(data, bytes) and len(data) <= MOST_BYTES:
            self._send_head(data)
        else:
            self._send_head()
            super().send(data)

    def _send_head(self, body: bytes = b"") -> None:
        """Send the head that is kept, if any, with a body behind it."""
        head, self._holds_head, self._head = self._head, False, b""
        if head:
            super().send(head + body)


def one_write(connection: type[HTTPConnection]) -> type[HTTPConnection]:
    """Return a class of connections that are like those given, but send the head and the body of a request at once."""
    return type("OneWriteConnection", (OneWrite, connection), {})
