"""gunicorn's worker with threads, for clients that are slow, many, or gone.

gunicorn's own gives each connection a thread, which waits for the request to arrive and for the answer to be read. Here
the main loop waits for both. A request takes a thread once it is complete, and gives it back once its answer is made.

gunicorn's `run` (the main loop) and `handle` (parses a request, calls the app and writes the answer) stay. `Reception`
is between them.
"""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Any

from gunicorn import sock as gunicorn_sock
from gunicorn.errors import ConfigError
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from image_embeddings.config import load_settings
from image_embeddings.serving.arrival import Arrival
from image_embeddings.serving.connection import Connection
from image_embeddings.serving.lanes import Lanes
from image_embeddings.serving.limits import Limits
from image_embeddings.serving.reception import CROWD, Reception

_LOST = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED)  # another process has accepted it, or the client has left
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


def _ignore(code: str) -> None:
    """Count nothing."""


class Worker(ThreadWorker):  # type: ignore[misc]
    """A worker process: a main loop that receives and sends, and lanes of threads that answer."""

    limits = Limits()
    # The app puts its own counter here. It is called with the code of each error that the server itself answers with.
    on_refusal: Callable[[str], object] = staticmethod(_ignore)

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Raise ConfigError for what only gunicorn's own workers can do."""
        super().check_config(cfg, log)
        if cfg.http_protocols != ["h1"] or cfg.protocol != "http" or cfg.proxy_protocol != "off":
            raise ConfigError("This server speaks HTTP/1.1 only. Let a reverse proxy speak other protocols.")

    def run(self) -> None:
        """Serve until the worker has to stop."""
        sys.setswitchinterval(self.limits.switch_seconds)
        self._body_bytes = load_settings().max_content_length
        self._streams = BoundedSemaphore(max(1, self.cfg.threads // 2))
        self._idle_until: float | None = None  # when idle connections are closed, because the worker stops
        self.reception = Reception(
            poller=self.poller,
            lanes=Lanes(threads=self.cfg.threads, queue_bytes=max(self.limits.queued_bytes, self._body_bytes)),
            limits=self.limits,
            idle_seconds=self.cfg.keepalive,
            handle=self.handle,
            defer=self.method_queue.defer,
            on_close=self._on_close,
            on_refusal=self.on_refusal,
            log=self.log,
        )
        try:
            super().run()
        finally:
            self.reception.close_all()  # also if a signal ends the main loop: threads that wait would keep the process

    def accept(self, listener: Any) -> None:
        """Take over a new connection, and receive what has arrived of its first request."""
        try:
            wire, client = listener.accept()
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS and (victim := self.reception.slow_clients.to_close()):
                self.reception.close(victim, CROWD)
            elif error.errno not in _LOST:
                raise
            return
        try:
            wire.setblocking(False)
            if self.cfg.is_ssl:
                wire = gunicorn_sock.ssl_wrap_socket(wire, self.cfg)
            server = listener.getsockname()
        except OSError:  # the client has left
            wire.close()
            return
        self.nr_conns += 1
        arrival = Arrival(self.cfg, body_bytes=self._body_bytes)
        conn = Connection(self.cfg, wire, client, server, arrival=arrival, limits=self.limits, streams=self._streams)
        self.reception.step(conn, self.reception.receive)

    def _on_close(self) -> None:
        self.nr_conns -= 1

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """Answer a request, in a thread. Close the connection after it if the rest of its body was not received."""
        if conn.arrival.is_cut_off:
            req.force_close()
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Close connections that are overdue. The main loop calls this in every turn."""
        self.reception.tick()
        if not self.alive:
            self._idle_until = self._idle_until or time.monotonic() + STOP_KEEPALIVE_LINGER
            if time.monotonic() >= self._idle_until:
                self.reception.close_idle()

    def murder_keepalived(self, force: bool = False) -> None:
        """Close all connections that have no thread if `force`, at the end of the worker. Do nothing otherwise."""
        if force:
            self.reception.close_all()
