"""A small WSGI app for tests of the server. It counts the requests that it runs, and holds those for /held."""

import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter

from tests.waiting import LONG

SIZE = 30_000_000  # bytes of a large answer: more than sockets take
STARTED: Counter[str] = Counter()  # requests by path
LOCK = threading.Lock()
GATE = threading.Event()  # lets the requests for /held go on


def application(environ, start_response):
    path = environ["PATH_INFO"]
    with LOCK:
        STARTED[path] += 1
    body = ROUTES.get(path, lambda environ: path.encode())(environ)
    size = str(len(body)) if isinstance(body, bytes) else str(SIZE)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", size)])
    return [body] if isinstance(body, bytes) else body


def held(environ):
    GATE.wait()
    return b"was held"


def let_go(environ):
    GATE.set()
    return b"ok"


def started(environ):
    with LOCK:
        return str(STARTED[environ["QUERY_STRING"]]).encode()


def second(environ):
    time.sleep(1)
    return b"after a second"


def body_size(environ):
    return str(len(environ["wsgi.input"].read())).encode()


def open_file(environ):
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
    file.truncate(SIZE)
    return environ["wsgi.file_wrapper"](file)


def stop_process(environ):
    os.kill(os.getpid(), signal.SIGSTOP)
    threading.Event().wait(LONG)  # threads may run on for a moment
    return b"runs again"


# The tests ask for what is below /static/ while the usual threads are taken.
ROUTES = {
    "/held": held,
    "/static/let-go": let_go,
    "/static/started": started,
    "/static/switch-seconds": lambda environ: str(sys.getswitchinterval()).encode(),
    "/second": second,
    "/body": body_size,
    "/bytes": lambda environ: bytes(SIZE),
    "/stream": lambda environ: (bytes(10_000) for _ in range(SIZE // 10_000)),
    "/file": open_file,
    "/stop": stop_process,
}
