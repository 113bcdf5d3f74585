"""Which threads answer a request. Requests of one kind never wait for those of another kind."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from image_embeddings.serving.connection import Connection
from image_embeddings.serving.threads import Threads


class Lane:
    """A few threads, and a bounded queue of requests that wait for them. Only the worker's main loop uses it."""

    def __init__(self, name: str, *, threads: int, queue: int, queue_bytes: int) -> None:
        """Make a lane of that many threads. At most `queue` requests of `queue_bytes` together may wait."""
        self.threads = Threads(name)
        self.waiting: deque[Connection] = deque()
        self._free = threads
        self._queue = queue
        self._queue_bytes = queue_bytes

    def take_thread(self) -> bool:
        """Take a thread, and return whether one was free."""
        if not self._free:
            return False
        self._free -= 1
        return True

    def give_thread_back(self) -> None:
        """Give back a thread that has answered its request."""
        self._free += 1

    def queue_up(self, request: Connection, *, until: float) -> bool:
        """Let a request wait until that moment, and return whether there was room for it."""
        held = sum(other.received_bytes for other in self.waiting)
        if len(self.waiting) >= self._queue or (held and held + request.received_bytes > self._queue_bytes):
            return False
        request.wait_until = until
        self.waiting.append(request)
        return True

    def pop_overdue(self, now: float) -> Iterator[Connection]:
        """Take out the requests that have waited for too long."""
        while self.waiting and self.waiting[0].wait_until <= now:
            yield self.waiting.popleft()


class Lanes:
    """All lanes of a worker."""

    def __init__(self, *, threads: int, queue_bytes: int) -> None:
        """Make the lanes; `threads` is the number of searches, uploads and photos that are answered at a time."""

        def lane(name: str, threads: int, queue: int) -> Lane:
            return Lane(name, threads=threads, queue=queue, queue_bytes=queue_bytes)

        self.usual = lane("requests", threads, 4 * threads)
        # A page has twenty thumbnails and more. Browsers ask for six at a time, and only once for each.
        self.small_files = lane("files", max(2, threads // 2), 32 * threads)
        # A password costs a core for a tenth of a second, and passwords are compared one after the other.
        self.logins = lane("logins", 1, 2 * threads)
        self.health = lane("health", 2, 64)
        self.readiness = lane("readiness", 2, 16)

    def __iter__(self) -> Iterator[Lane]:
        """Yield all lanes."""
        return iter((self.usual, self.small_files, self.logins, self.health, self.readiness))

    def of(self, method: str, path: str) -> Lane:
        """Return the lane for the method and the path of a request."""
        if path in ("/healthz", "/metrics"):
            return self.health
        if path == "/readyz":
            return self.readiness
        if (method, path) == ("POST", "/login"):
            return self.logins
        return self.small_files if path.startswith(("/static/", "/thumbnail/")) else self.usual
