"""Clients that disturb others: slow ones, and ones that ask again and again. A process of its own plays them."""

import heapq
import multiprocessing
import re
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

ADDRESSES = 4  # of the slow clients
BYTE_SECONDS = 0.5  # between two bytes of a slow client
HEAD = b"GET /image_search?q=bird HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"x" * 4_000
BODY = b"POST /similar_image HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
LONG = 60.0  # seconds


class Got(NamedTuple):
    """What a client got."""

    status: int  # 0 if there was no answer
    retry_after: str
    milliseconds: float


@dataclass
class SlowClient:
    """A connection on which a request arrives byte by byte, and never completely."""

    app: str
    number: int
    sent: int = 0
    came_again: int = 0
    wire: socket.socket = field(init=False)

    def connect(self) -> None:
        """Begin a request."""
        at = urlsplit(self.app)
        source = f"127.0.0.{2 + self.number % ADDRESSES}"
        self.wire = socket.create_connection(
            (at.hostname or "", at.port or 0), timeout=LONG, source_address=(source, 0)
        )
        self.wire.setblocking(False)
        self.sent = 0
        if self.number % 2:
            self.wire.sendall(BODY)

    def send(self) -> None:
        """Send one more byte."""
        self.wire.send(b"x" if self.number % 2 else HEAD[self.sent : self.sent + 1])
        self.sent += 1


def play_slow_clients(app: str, count: int, pipe: Connection) -> None:
    """Hold connections until something comes through the pipe, and tell how often one was opened again."""
    poller = selectors.DefaultSelector()
    clients = [SlowClient(app, number) for number in range(count)]
    for client in clients:
        client.connect()
        poller.register(client.wire, selectors.EVENT_READ, client)
    pipe.send(None)
    waits = cycle(clients)
    while not pipe.poll():
        begin = time.monotonic()
        for key, _ in poller.select(0):  # an answer, or the end: the server has enough of it
            _come_again(key.data, poller)
        client = next(waits)
        try:
            client.send()
        except OSError:
            _come_again(client, poller)
        time.sleep(max(0.0, begin + BYTE_SECONDS / count - time.monotonic()))
    pipe.send(sum(client.came_again for client in clients))
    for client in clients:
        client.wire.close()


def _come_again(client: SlowClient, poller: selectors.BaseSelector) -> None:
    poller.unregister(client.wire)
    client.wire.close()
    client.connect()
    client.came_again += 1
    poller.register(client.wire, selectors.EVENT_READ, client)


@dataclass(eq=False)
class ManyClient:
    """One of many clients that ask for pages. It takes little of the processor's time."""

    app: str
    path: str
    data: bytearray = field(init=False)
    begin: float = field(init=False)
    wire: socket.socket = field(init=False)

    def connect(self) -> None:
        """Ask."""
        at = urlsplit(self.app)
        self.begin, self.data = time.perf_counter(), bytearray()
        self.wire = socket.create_connection((at.hostname or "", at.port or 0), timeout=LONG)
        self.wire.setblocking(False)
        self.wire.sendall(f"GET {self.path} HTTP/1.1\r\nHost: {at.netloc}\r\nConnection: close\r\n\r\n".encode())

    def read(self) -> Got | None:
        """Return status, Retry-After and milliseconds once all of the answer is there, with status 0 if it was lost."""
        try:
            data = self.wire.recv(1_000_000)
        except ConnectionError:
            data = b""
        self.data += data
        if data:
            return None
        status = int(self.data[9:12] or 0)
        retry = re.search(rb"\r\nretry-after: *(\d+)", self.data, re.IGNORECASE)
        return Got(status, retry[1].decode() if retry else "", (time.perf_counter() - self.begin) * 1000)


def play_many_clients(app: str, count: int, paths: Sequence[str], are_patient: bool, pipe: Connection) -> None:
    """Let clients ask for pages until something comes through the pipe, and tell what they got.

    Patient ones wait for as long as Retry-After says.
    """
    poller = selectors.DefaultSelector()
    got: list[Got] = []
    clients = [ManyClient(app, paths[number % len(paths)]) for number in range(count)]
    waiting = [(0.0, number) for number in range(count)]  # a heap: when each asks (again)
    is_told = False
    while not pipe.poll():
        while waiting and waiting[0][0] <= time.monotonic():
            client = clients[heapq.heappop(waiting)[1]]
            client.connect()
            poller.register(client.wire, selectors.EVENT_READ, client)
        if not is_told:
            pipe.send(None)
            is_told = True
        for key, _ in poller.select(0.02):
            if answer := key.data.read():
                got.append(answer)
                poller.unregister(key.fileobj)
                key.data.wire.close()
                pause = float(answer.retry_after or 0) if are_patient else 0.0
                heapq.heappush(waiting, (time.monotonic() + pause, clients.index(key.data)))
    pipe.send(got)
    for key in list(poller.get_map().values()):
        key.data.wire.close()


@contextmanager
def played(play: Callable[..., None], *args: object, told: list[Any]) -> Iterator[None]:
    """Let another process play clients meanwhile, and add to `told` what it tells at the end."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=play, args=(*args, theirs), daemon=True)
    process.start()
    try:
        ours.recv()
        yield
        ours.send(None)
        told.append(ours.recv())
        process.join(LONG)
    finally:
        process.kill()
