"""The small app under gunicorn with our worker, and clients of it that are slow or rude."""

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from image_embeddings.serving.limits import Limits
from tests.browser.webapp import ROOT
from tests.waiting import LONG, wait_for

SOON = 60.0  # seconds; an answer that takes longer waits for something that does not come
WORKER = """
from image_embeddings.serving.limits import Limits
from image_embeddings.serving.worker import Worker


class LimitedWorker(Worker):
    limits = {limits}


worker_class = LimitedWorker
control_socket_disable = True
graceful_timeout = 30
"""
# Nothing is closed, however long it takes.
PATIENT = Limits(head_seconds=LONG, grace_seconds=LONG, slow_clients=900, slow_clients_of_one=900)


@dataclass
class SmallServer:
    """A server that runs."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    clients: list[socket.socket] = field(default_factory=list)

    def connect(self, data=b"", *, receive_buffer=None):
        """Return a new connection, on which the data have been sent."""
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.clients.append(client)
        client.settimeout(SOON)
        client.connect(("127.0.0.1", self.port))
        client.sendall(data)
        return client

    def get(self, path):
        """Return the body of an answer of 200."""
        answer = read_all(self.connect(request(path)))
        assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
        return answer.partition(b"\r\n\r\n")[2]

    def started(self, path):
        """Return how many requests for a path the app has begun to answer."""
        return int(self.get(f"/static/started?{path}"))

    def hold(self, number):
        """Take that many threads by requests that the app answers after `let_go`; return their connections."""
        before = self.started("/held")
        clients = [self.connect(request("/held")) for _ in range(number)]
        wait_for(lambda: self.started("/held") == before + number)
        return clients

    def let_go(self):
        self.get("/static/let-go")


def request(path, *headers, method="GET", keep=False):
    connection = "keep-alive" if keep else "close"
    lines = [f"{method} {path} HTTP/1.1", "Host: small", f"Connection: {connection}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def read_all(client):
    """Return all that comes until the server closes the connection; b"" if it resets it."""
    received = bytearray()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)  # also if it was small before
    try:
        while data := client.recv(1_000_000):
            received += data
    except ConnectionResetError:
        return bytes(received)
    finally:
        client.close()
    return bytes(received)


def is_open(client):
    """Return whether the server has neither closed the connection nor sent anything."""
    client.setblocking(False)
    try:
        client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        return False
    finally:
        client.settimeout(SOON)


@contextmanager
def small_server(folder, *options, limits=PATIENT):
    """Yield the server once it answers; it has 8 threads unless the options say otherwise."""
    config, log = folder / "gunicorn.conf.py", folder / "gunicorn.log"
    config.write_text(WORKER.format(limits=limits))
    command = [sys.executable, "-m", "gunicorn", "--config", str(config), "--threads", "8", *options]
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener, log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--bind", f"fd://{listener.fileno()}", "tests.serving.small_app:application"],
            cwd=ROOT,
            env=os.environ,
            pass_fds=[listener.fileno()],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        port = listener.getsockname()[1]
    server = SmallServer(port=port, process=process, log=log)
    try:
        wait_for(lambda: b"Booting worker" in log.read_bytes() or process.poll() is not None, what=log.read_text)
        yield server
    finally:
        for client in server.clients:
            client.close()
        process.terminate()
        process.wait(timeout=LONG)
