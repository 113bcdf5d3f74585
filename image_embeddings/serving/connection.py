"""One connection of a client. The main loop receives its requests, and a thread answers those that are complete."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import TConn

from image_embeddings.serving.arrival import Arrival
from image_embeddings.serving.exchange import Exchange
from image_embeddings.serving.limits import Limits
from image_embeddings.serving.outgoing import WOULD_BLOCK, Outgoing
from image_embeddings.serving.pace import Pace

_RECEIVE_BYTES = 256 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(TConn):  # type: ignore[misc]
    """A client's connection. `wire` is the real socket. gunicorn's code uses `sock` in its place, an `Exchange`.

    Either the main loop uses the connection, or the one thread that answers its request.
    """

    def __init__(
        self,
        cfg: Any,
        wire: Any,
        client: Any,
        server: Any,
        *,
        arrival: Arrival,
        limits: Limits,
        streams: BoundedSemaphore,
    ) -> None:
        """Take over the socket `wire`, which does not block; `cfg` is gunicorn's configuration."""
        self.wire = wire
        self.arrival = arrival
        self.outgoing = Outgoing(wire, limits=limits, streams=streams)
        super().__init__(cfg, Exchange(wire, arrival, self.outgoing), client, server)
        self.parser = http.get_parser(cfg, self.sock, client)
        self.initialized = self.data_ready = True  # gunicorn need neither wait for data nor make a parser
        self.then: Callable[[Connection], None] | None = None  # what the main loop does when the poller reports it
        self.wait_until = 0.0  # monotonic seconds, for a thread
        self.is_kept = False  # for a further request
        self.is_lingering = False
        self.is_closed = False
        self._needs_handshake = bool(cfg.is_ssl)
        self._limits = limits
        self._body_pace: Pace | None = None
        self._give_time(limits.head_seconds)

    @property
    def deadline(self) -> float:
        """The moment (monotonic seconds) by which the client must do something."""
        pace = self._pace
        return pace.deadline if pace else self._deadline

    @property
    def since(self) -> float:
        """Since when (monotonic seconds) it waits for its client. Later, if the client goes on sending or reading."""
        pace = self._pace
        return pace.since if pace else self._since

    @property
    def _pace(self) -> Pace | None:
        if self.is_lingering:
            return None
        return self.outgoing.pace if self.outgoing else self._body_pace

    def _give_time(self, seconds: float) -> None:
        self._since = time.monotonic()
        self._deadline = self._since + seconds

    @property
    def received_bytes(self) -> int:
        """The bytes of requests that are kept."""
        return len(self.arrival.data)

    @property
    def is_idle(self) -> bool:
        """Whether no byte of a request has arrived, and all of the answer is sent."""
        return not (self.arrival.data or self.outgoing or self.is_lingering)

    def receive(self) -> bool:
        """Read what has arrived of a request, and return whether the client is still there."""
        before, body_before = self.received_bytes, self.arrival.body_received
        try:
            if not self._read():
                return False
            if self.arrival.has_head:
                self._allow_body().move(self.arrival.body_received - body_before)
            elif self.arrival.data and not before:
                self._give_time(self._limits.head_seconds)
        except OSError:
            return False
        return True

    def _read(self) -> bool:
        try:
            if self._needs_handshake:
                self.wire.do_handshake()
                self._needs_handshake = False
            while not (self.arrival.is_complete or self.arrival.is_head_too_long):
                data = self.wire.recv(_RECEIVE_BYTES)
                if not data:
                    return False
                self.arrival.feed(data)
        except WOULD_BLOCK:
            pass
        return True

    def _allow_body(self) -> Pace:
        """Return the pace of the body. Tell the client to send the body if it waits for that."""
        if self._body_pace is None:
            self._body_pace = Pace(self._limits, credit_seconds=self._limits.sender_credit_seconds)
            if self.arrival.wants_continue and not self.arrival.is_complete:
                self.sock.sendall(_CONTINUE)
        return self._body_pace

    def has_left(self) -> bool:
        """Return whether the client has closed the connection. All that it sent before has been received."""
        try:
            return not socket.socket.recv(self.wire, 1, socket.MSG_PEEK)  # one of TLS refuses flags
        except BlockingIOError:
            return False
        except OSError:
            return True

    def begin_next(self, *, idle_seconds: float) -> None:
        """Begin a further request, whose first byte must come within that time."""
        self.arrival.begin_next()
        self.sock.position = 0
        self._body_pace = None
        self._give_time(self._limits.head_seconds if self.arrival.data else idle_seconds)

    def linger(self) -> None:
        """Tell the client that the answer has ended. If the socket were closed at once, the answer could be lost.

        Raise OSError if the client has left."""
        self.is_lingering = True
        self._give_time(self._limits.linger_seconds)
        self.wire.shutdown(socket.SHUT_WR)

    def discard(self) -> bool:
        """Throw away what arrives after the last answer, and return whether the client is still there."""
        try:
            return bool(self.wire.recv(_RECEIVE_BYTES))
        except WOULD_BLOCK:
            return True
        except OSError:
            return False

    def close(self, graceful: bool = False) -> None:
        """Close the socket, and forget what is unsent."""
        self.is_closed = True
        self.outgoing.close()
        self.wire.close()
