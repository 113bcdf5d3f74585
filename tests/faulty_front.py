"""A front before the real node that fails on order, as networks, proxies and busy servers do.

    with faulty_front(node_url) as front:
        front.url
        front.order(dropped, after=10, seconds=5)           # from the eleventh request on, for five seconds
        front.order(answer_cut, path="*/_bulk", every=3)    # each third bulk request, from the first on
        front.clear()

Requests and seconds of an order are counted from the time of the order. Requests that no order takes pass through.
"""

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from tests.tls_front import FrontHandler, FrontServer, ServerError, standing
from tests.waiting import LONG

BUSY = ServerError(429, "es_rejected_execution_exception", "rejected execution of primary operation")
NO_SHARD = ServerError(503, "unavailable_shards_exception", "primary shard is not active Timeout: [1m]")
INDEX_LOST = ServerError(503, "no_shard_available_action_exception", "no such index [photos-20240101000000-000000]")


@dataclass
class Order:
    """A fault, the requests that it takes, and how many it has taken."""

    fault: Callable[["_FaultyHandler"], None]
    path: str = "*"
    after: int = 0
    every: int = 1
    times: int | None = None
    seconds: float | None = None
    seen: int = 0
    hits: int = 0
    ends: float | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def takes(self, path: str) -> bool:
        if self.over.is_set() or not fnmatchcase(path, self.path):
            return False
        self.seen += 1
        if self.seen <= self.after or (self.seen - self.after - 1) % self.every:
            return False
        if self.seconds is not None:
            self.ends = self.ends or time.monotonic() + self.seconds
        if self.left() <= 0 or self.hits == self.times:
            self.over.set()
            return False
        self.hits += 1
        return True

    def left(self) -> float:
        """The seconds until its end."""
        return self.ends - time.monotonic() if self.ends else float("inf")


class FaultyFront:
    """The front, as tests use it."""

    def __init__(self) -> None:
        self.url = ""
        self._orders: list[Order] = []
        self._lock = threading.Lock()

    def order(self, fault: Callable[["_FaultyHandler"], None], **when: object) -> Order:
        """Let requests get that fault from now on; the arguments are the fields of Order."""
        self._orders.append(Order(fault, **when))
        return self._orders[-1]

    def clear(self) -> None:
        """End all faults; requests that got no answer never will."""
        for order in self._orders:
            order.over.set()

    def close(self) -> None:
        """End all faults, and so the requests that wait for their end."""
        self.clear()

    def taking(self, path: str) -> Order | None:
        with self._lock:
            return next((order for order in self._orders if order.takes(path)), None)


class _FaultyHandler(FrontHandler):
    server: "_FaultyServer"
    order: Order | None

    def respond(self) -> None:
        self.order = self.server.front.taking(urlsplit(self.path).path)
        self.order.fault(self) if self.order else super().respond()

    def from_node(self, body: bytes) -> tuple[int, bytes]:
        """Return the node's answer to this request with that body."""
        with closing(http.client.HTTPConnection(self.server.node, timeout=LONG)) as node:
            node.request(self.command, self.path, body, self.headers_for_node())
            answer = node.getresponse()
            return answer.status, answer.read()


class _FaultyServer(FrontServer):
    front: FaultyFront


def dropped(handler: _FaultyHandler) -> None:
    """The connection is reset without an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True


def silent(handler: _FaultyHandler) -> None:
    """No answer comes, for as long as the client waits."""
    handler.order.over.wait(max(0.0, min(handler.order.left(), 300)))
    dropped(handler)


def request_cut(handler: _FaultyHandler) -> None:
    """The node gets half of the request."""
    address, port = handler.server.node.split(":")
    with socket.create_connection((address, int(port))) as node:
        headers = {"Host": handler.server.node, "Content-Length": len(handler.body), **handler.headers_for_node()}
        head = [f"{handler.command} {handler.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        node.sendall(("\r\n".join(head) + "\r\n\r\n").encode() + handler.body[: len(handler.body) // 2])
    dropped(handler)


def answer_cut(handler: _FaultyHandler) -> None:
    """The node does what it is asked, and half of its answer comes."""
    status, answer = handler.from_node(handler.body)
    handler.send_response(status)
    handler.send_header("X-Elastic-Product", "Elasticsearch")
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(answer)))
    handler.end_headers()
    handler.wfile.write(answer[: len(answer) // 2])
    handler.close_connection = True


def answer_garbled(handler: _FaultyHandler) -> None:
    """The node does what it is asked, and half of its answer comes as if it were the whole."""
    status, answer = handler.from_node(handler.body)
    handler.reply(status, answer[: len(answer) // 2])


def answer_lost(handler: _FaultyHandler) -> None:
    """The node does what it is asked, and its answer gets lost."""
    handler.from_node(handler.body)
    dropped(handler)


def busy(handler: _FaultyHandler) -> None:
    """The whole request is rejected, as by a full thread pool."""
    raise BUSY


def no_shard(handler: _FaultyHandler) -> None:
    """The index of a search is removed meanwhile."""
    raise NO_SHARD


def index_lost(handler: _FaultyHandler) -> None:
    """The index of a request for one document is removed meanwhile."""
    raise INDEX_LOST


def bad_gateway(handler: _FaultyHandler) -> None:
    """A proxy answers that Elasticsearch does not answer."""
    _proxys_page(handler, 502, b"Bad Gateway")


def content_too_large(handler: _FaultyHandler) -> None:
    """A proxy takes no requests as large as this one."""
    _proxys_page(handler, 413, b"Request Entity Too Large")


def _proxys_page(handler: _FaultyHandler, status: int, text: bytes) -> None:
    page = b"<html><body><h1>%d %b</h1></body></html>" % (status, text)
    handler.send_response(status)
    handler.send_header("Content-Type", "text/html")
    handler.send_header("Content-Length", str(len(page)))
    handler.end_headers()
    handler.wfile.write(page)


def items_refused(error: ServerError) -> Callable[[_FaultyHandler], None]:
    """Every second item of a bulk request is refused with that error; the others go to the node."""

    def refuse(handler: _FaultyHandler) -> None:
        items = _bulk_items(handler.body)
        status, answer = handler.from_node(b"".join(lines for _, lines in items[::2]))
        answers = json.loads(answer)
        cause = {"type": error.kind, "reason": error.reason}
        for place, (action, _) in enumerate(items):
            if place % 2:
                kind, target = next(iter(action.items()))
                refused = {kind: {"_id": target["_id"], "status": error.status, "error": cause}}
                answers["items"].insert(place, refused)
        handler.reply(status, {**answers, "errors": True})

    return refuse


def _bulk_items(body: bytes) -> list[tuple[dict, bytes]]:
    """Return the action of each item of a bulk request, and its lines."""
    items, lines = [], iter(body.splitlines(keepends=True))
    for line in lines:
        action = json.loads(line)
        items.append((action, line if "delete" in action else line + next(lines)))
    return items


@contextmanager
def faulty_front(node_url: str) -> Iterator[FaultyFront]:
    """Yield a front before the node at `node_url`, without faults at first."""
    server = _FaultyServer(_FaultyHandler, node_url, secured=False)
    with standing(server, FaultyFront(), None) as front:
        yield front
