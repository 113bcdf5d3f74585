"""What gunicorn's code takes for the socket of a request."""

import os
from typing import Any, BinaryIO

from image_embeddings.serving.arrival import Arrival
from image_embeddings.serving.outgoing import FilePart, Outgoing

_INTERIM = b"HTTP/1.1 1"  # an answer that only announces another one, RFC 9110, section 15.2


class Exchange:
    """The methods of a socket that gunicorn calls, over a request that has arrived. None waits for a slow client."""

    def __init__(self, wire: Any, arrival: Arrival, outgoing: Outgoing) -> None:
        self._wire = wire
        self._arrival = arrival
        self._outgoing = outgoing
        self.position = 0  # in the bytes of the present request

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return the next bytes of the request; none at its end."""
        begin, self.position = self.position, min(self.position + size, self._arrival.end or 0)
        return bytes(self._arrival.data[begin : self.position])

    def send(self, data: bytes) -> int:
        """Send all of the data."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Send the data, or keep what the client does not read at once. The head of an answer is sent with its body."""
        if self._outgoing.is_begun or data.startswith(_INTERIM):
            self._outgoing.put(data)
        else:
            self._outgoing.hold_head(data)

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> None:
        """Send a part of a file, or keep it open for what the client does not read at once."""
        end = os.fstat(file.fileno()).st_size if count is None else offset + count
        self._outgoing.put(FilePart(os.dup(file.fileno()), offset, end))

    def fileno(self) -> int:
        """Return the descriptor of the real socket."""
        return int(self._wire.fileno())

    def gettimeout(self) -> float:
        """Return 0: nothing here waits."""
        return 0.0

    def setblocking(self, flag: bool) -> None:
        """Ignore it: nothing here waits."""

    def settimeout(self, seconds: float | None) -> None:
        """Ignore it: nothing here waits."""

    def shutdown(self, how: int) -> None:
        """Ignore it: the worker ends the connection after the answer."""

    def close(self) -> None:
        """Ignore it: the worker ends the connection after the answer."""
