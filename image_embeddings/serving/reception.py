"""What happens to a connection between its request and its answer. Only the worker's main loop calls this."""

from __future__ import annotations

import selectors
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from logging import Logger
from typing import Any

from image_embeddings.serving.connection import Connection
from image_embeddings.serving.lanes import Lane, Lanes
from image_embeddings.serving.limits import Limits
from image_embeddings.serving.refusals import BUSY, LONG_HEAD, SLOW, Refusal, answer
from image_embeddings.serving.slow_clients import SlowClients

_TICK_SECONDS = 0.1
_REPORT_SECONDS = 10.0
_SENDERS = 4  # threads that send files which clients read slowly
LEFT = "left before their turn"
CROWD = "too many connections"


class Reception:
    """The connections of one worker process."""

    def __init__(
        self,
        *,
        poller: selectors.BaseSelector,
        lanes: Lanes,
        limits: Limits,
        idle_seconds: float,
        handle: Callable[[Connection], bool],
        defer: Callable[..., None],
        on_close: Callable[[], None],
        on_refusal: Callable[[str], object],
        log: Logger,
    ) -> None:
        """Let threads call `handle`, which answers a request and returns whether the connection may have another one.

        `defer` lets the main loop call a function. A connection may be idle for `idle_seconds` after a request.
        `on_refusal` is called with the code of each error that the server answers with by itself.
        """
        self.slow_clients = SlowClients(limits)
        self._poller = poller
        self._lanes = lanes
        self._limits = limits
        self._idle_seconds = idle_seconds
        self._handle = handle
        self._defer = defer
        self._on_close = on_close
        self._on_refusal = on_refusal
        self._log = log
        self._senders = ThreadPoolExecutor(_SENDERS, thread_name_prefix="senders")
        self._unserved: Counter[str] = Counter()  # what the next line of the log reports
        self._next_report = self._next_tick = 0.0

    # A request arrives

    def receive(self, conn: Connection) -> None:
        """Receive what has arrived of a request. Look for a thread once it is complete."""
        if not conn.receive():
            self.close(conn)
        elif conn.arrival.is_head_too_long:
            self._refuse(conn, LONG_HEAD)
        elif conn.arrival.is_complete:
            self._leave_alone(conn)
            self._admit(conn)
        else:
            self._wait_for_client(conn, selectors.EVENT_READ, self.receive)

    def step(self, conn: Connection, action: Callable[..., None], *args: Any) -> None:
        """Do the next thing for a connection. A fault in it must not end the worker, and with it all connections."""
        try:
            action(conn, *args)
        except Exception:  # noqa: BLE001
            self._log.exception("A connection is closed because of a fault.")
            self.close(conn)

    def _wait_for_client(self, conn: Connection, event: int, then: Callable[[Connection], None]) -> None:
        """Call `then` when there is something to read, or room to write. Close a connection if there are too many."""
        self._watch(conn, event, then)
        self.slow_clients.add(conn)
        if victim := self.slow_clients.surplus(conn):
            self.close(victim, CROWD)

    def _watch(self, conn: Connection, event: int, then: Callable[[Connection], None]) -> None:
        change = self._poller.modify if conn.then else self._poller.register
        change(conn.wire, event, partial(self._on_event, conn))
        conn.then = then

    def _on_event(self, conn: Connection, _wire: Any) -> None:
        if conn.then:  # otherwise another event of the same moment has closed it, or given it a thread
            self.step(conn, conn.then)

    def _leave_alone(self, conn: Connection) -> None:
        """Stop watching a connection."""
        if conn.then:
            self._poller.unregister(conn.wire)
            conn.then = None
        self.slow_clients.remove(conn)

    # A request is answered

    def _admit(self, conn: Connection) -> None:
        """Give a complete request a thread, let it wait for one, or refuse it."""
        lane = self._lanes.of(*conn.arrival.method_and_path)
        if lane.take_thread():
            self._serve(lane, conn)
        elif lane.queue_up(conn, until=time.monotonic() + self._limits.wait_seconds):
            self._watch(conn, selectors.EVENT_READ, partial(self._look_after, lane))
        else:
            self._refuse(conn, BUSY)

    def _look_after(self, lane: Lane, conn: Connection) -> None:
        """Drop a waiting request if its client has left. Otherwise the client has sent a further request in advance."""
        if conn.has_left():
            lane.waiting.remove(conn)
            self.close(conn, LEFT)
        else:
            self._leave_alone(conn)

    def _serve(self, lane: Lane, conn: Connection) -> None:
        conn.outgoing.begin()
        lane.threads.run(partial(self._handle, conn), then=partial(self._defer, self._finish, lane, conn))

    def _finish(self, lane: Lane, conn: Connection, may_be_kept: bool) -> None:
        """Give the thread to the next request, and send what is left of the answer."""
        lane.give_thread_back()
        self._serve_next(lane)
        # gunicorn must have read the same request as we. If not, nobody knows where the next one begins.
        is_read = not conn.arrival.is_cut_off and not conn.parser.unreader.buf.getvalue()
        conn.is_kept = bool(may_be_kept) and is_read
        self.step(conn, self._send)

    def _serve_next(self, lane: Lane) -> None:
        while lane.waiting and lane.take_thread():
            conn = lane.waiting.popleft()
            self._leave_alone(conn)
            if conn.has_left():
                lane.give_thread_back()
                self.close(conn, LEFT)
            else:
                self._serve(lane, conn)

    def _refuse(self, conn: Connection, refusal: Refusal) -> None:
        """Answer without the app, and close the connection."""
        self._unserved[refusal.code] += 1
        self._on_refusal(refusal.code)
        self._leave_alone(conn)
        method, path = conn.arrival.method_and_path
        conn.is_kept = False
        conn.outgoing.begin()
        try:
            conn.sock.sendall(answer(refusal, method=method, path=path))
        except OSError:
            self.close(conn)
        else:
            self._send(conn)

    # An answer is sent

    def _send(self, conn: Connection) -> None:
        """Send what is left of an answer. Threads send files, because their drive may be slow."""
        if conn.outgoing.has_file:
            self._leave_alone(conn)
            future = self._senders.submit(conn.outgoing.flush)
            future.add_done_callback(lambda done: self._defer(self.step, conn, self._after_sending, done.result))
        else:
            self._after_sending(conn, conn.outgoing.flush)

    def _after_sending(self, conn: Connection, flush: Callable[[], bool]) -> None:
        """Wait until the client reads more, go on to its next request, or end the connection."""
        try:
            is_sent = flush()
            if is_sent and not conn.is_kept:
                conn.linger()
        except OSError:
            self.close(conn)
            return
        if not is_sent:
            self._wait_for_client(conn, selectors.EVENT_WRITE, self._send)
        elif conn.is_kept:
            conn.begin_next(idle_seconds=self._idle_seconds)
            self.receive(conn)
        else:
            self._wait_for_client(conn, selectors.EVENT_READ, self._discard)

    def _discard(self, conn: Connection) -> None:
        if not conn.discard():
            self.close(conn)

    def close(self, conn: Connection, reason: str = "") -> None:
        """Close a connection. The next report counts the reason."""
        if reason:
            self._unserved[reason] += 1
        self._leave_alone(conn)
        if not conn.is_closed:
            conn.close()
            self._on_close()

    # Time passes

    def tick(self) -> None:
        """Close connections that are overdue, and report. The main loop calls this often."""
        now = time.monotonic()
        if now < self._next_tick:
            return
        self._next_tick = now + _TICK_SECONDS
        for lane in self._lanes:
            for conn in lane.pop_overdue(now):
                self.step(conn, self._refuse, BUSY)
        for conn in self.slow_clients.overdue(now):
            self.step(conn, self._end)
        for conn in self.slow_clients.too_large():
            self.close(conn, "too much memory")
        if self._unserved and now >= self._next_report:
            self._next_report = now + _REPORT_SECONDS
            self._report()

    def _end(self, conn: Connection) -> None:
        """End a connection whose deadline has passed. A client that is still sending gets an answer."""
        if conn.outgoing:
            self.close(conn, "read too slowly")
        elif conn.is_idle or conn.is_lingering:
            self.close(conn)
        else:
            self._refuse(conn, SLOW)

    def _report(self) -> None:
        """Write one line about the clients that were not served, however many they were."""
        counts = ", ".join(f"{reason}: {count}" for reason, count in sorted(self._unserved.items()))
        self._log.warning("Clients that were not served since the last such line: %s", counts)
        self._unserved.clear()

    def close_idle(self) -> None:
        """Close the connections on which no request has begun."""
        for conn in self.slow_clients:
            if conn.is_idle:
                self.close(conn)

    def close_all(self) -> None:
        """Close all connections that have no thread, and let the threads end."""
        for conn in (*self.slow_clients, *(conn for lane in self._lanes for conn in lane.waiting)):
            self.close(conn)
        for lane in self._lanes:
            lane.threads.close()
        self._senders.shutdown(wait=False)
