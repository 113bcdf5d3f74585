"""A stand-in for the security of a real cluster, which the embedded node lacks.

It offers TLS, basic auth, API keys and `GET /` in front of the real node. All other requests pass through.
tests.ml_front builds on it.
"""

import base64
import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trustme

from tests.waiting import LONG

USER, PASSWORD, API_KEY = "elastic", "pässword", "a2V5LWlkOmtleS1zZWNyZXQ="
UPLOADER = ("uploader", "only-ascii")  # for eland: its client fails on any other character in a password
READER = ("reader", "reads-only")  # may do nothing but `GET /`


class ServerError(Exception):
    """An answer in the form of Elasticsearch's errors; `more` is added beside type and reason."""

    def __init__(self, status: int, kind: str, reason: str, **more: Any) -> None:
        super().__init__(reason)
        self.status, self.kind, self.reason, self.more = status, kind, reason, more

    @property
    def body(self) -> dict[str, Any]:
        at_root = {key: value for key, value in self.more.items() if key != "caused_by"}
        cause = {"type": self.kind, "reason": self.reason, **at_root}
        return {"error": {"root_cause": [cause], **cause, **self.more}, "status": self.status}


class FrontHandler(BaseHTTPRequestHandler):
    """Refuses requests without credentials, answers `GET /`, and passes all others on to the node."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet; with two, each answer would wait 40 ms for an acknowledgement
    server: "FrontServer"
    body: bytes

    def answer(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self.admit()
            self.respond()
        except ServerError as error:
            self.reply(error.status, error.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def admit(self) -> None:
        """Raise the ServerError if the user may not do this; everybody may if the server has no security."""
        sent = self.headers.get("Authorization", "")
        if not self.server.secured:
            return
        if sent not in (_basic(USER, PASSWORD), _basic(*UPLOADER), _basic(*READER), f"ApiKey {API_KEY}"):
            raise ServerError(401, "security_exception", "missing authentication credentials")
        if f"compatible-with={self.server.refuses}" in self.headers.get("Accept", ""):
            raise ServerError(400, "media_type_header_exception", "Accept version must be either 8 or 7")
        if sent == _basic(*READER) and not self.asks_for_root:
            raise ServerError(403, "security_exception", "action is unauthorized for user [reader]")

    def respond(self) -> None:
        """Answer a request that was admitted."""
        if self.asks_for_root:
            self.reply(200, self.server.root)
        else:
            self.pass_on(self.body)

    @property
    def asks_for_root(self) -> bool:
        return self.path == "/" and self.command == "GET"

    def pass_on(self, body: bytes) -> None:
        node = http.client.HTTPConnection(self.server.node, timeout=LONG)
        node.request(self.command, self.path, body, self.headers_for_node())
        answer = node.getresponse()
        self.reply(answer.status, answer.read(), content_type=answer.getheader("Content-Type"))
        node.close()

    def headers_for_node(self) -> dict[str, str]:
        """Return the headers of this request that the node gets, with the secret that it demands."""
        headers = {name: self.headers[name] for name in ("Accept", "Content-Type") if name in self.headers}
        return {**headers, **self.server.credentials}

    def reply(self, status: int, body: Any, *, content_type: str | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if self.server.product:
            self.send_header("X-Elastic-Product", self.server.product)
        self.send_header("Content-Type", content_type or "application/vnd.elasticsearch+json;compatible-with=9")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""


class FrontServer(ThreadingHTTPServer):
    """The server of a front, with the data for its handlers."""

    front: Any
    daemon_threads = True

    def __init__(
        self,
        handler: type[FrontHandler],
        node_url: str,
        *,
        port: int = 0,
        version: str = "9.5.3",
        product: str | None = "Elasticsearch",
        refuses: int | None = None,
        secured: bool = True,
    ) -> None:
        super().__init__(("127.0.0.1", port), handler)
        place = urlsplit(node_url)
        self.node = f"{place.hostname}:{place.port}"
        self.credentials = {"Authorization": _basic(place.username, place.password)} if place.username else {}
        self.product, self.refuses, self.secured = product, refuses, secured
        self.root = {"cluster_name": "front", "version": {"number": version}, "tagline": "You Know, for Search"}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that goes away, for example at a wrong certificate."""


@contextmanager
def serving(server: FrontServer, ca: trustme.CA | None) -> Iterator[str]:
    """Yield the address of the server, which answers: https with a certificate of `ca`, or http without one."""
    if ca:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        # The thread of each connection does the handshake, so a failed one stops no other.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"{'https' if ca else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def standing(server: FrontServer, front: Any, ca: trustme.CA | None) -> Iterator[Any]:
    """Yield the front, whose server answers at `front.url`; close it afterwards."""
    server.front = front
    with serving(server, ca) as front.url:
        try:
            yield front
        finally:
            front.close()


@contextmanager
def tls_front(
    node_url: str,
    ca: trustme.CA,
    *,
    version: str = "9.5.3",
    product: str | None = "Elasticsearch",
    refuses: int | None = None,
) -> Iterator[str]:
    """Yield the https address of a front before the node at `node_url`, with a certificate of `ca`.

    `refuses` is the form of requests (9, for example) that a server of the version before does not accept.
    """
    server = FrontServer(FrontHandler, node_url, version=version, product=product, refuses=refuses)
    with serving(server, ca) as url:
        yield url


def ca_file(ca: trustme.CA, folder: Path) -> Path:
    """Write the CA's certificate as a PEM file in `folder` and return its path."""
    path = folder / "ca.crt"
    ca.cert_pem.write_to_path(str(path))
    return path


def cloud_id(url: str) -> str:
    """Return a Cloud ID that leads to an address 127.0.0.1, whose first part is in the place of the cluster's id."""
    port = urlsplit(url).port
    return "test:" + base64.b64encode(f"0.0.1:{port}$127$kibana".encode()).decode()


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
