"""A stand-in for the security of a real cluster, which the embedded node lacks: TLS, basic auth, API keys and `GET /`
before the real node. All else is passed through."""

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

USER, PASSWORD, API_KEY = "elastic", "pässword", "a2V5LWlkOmtleS1zZWNyZXQ="
READER = ("reader", "reads-only")  # may do nothing but `GET /`


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = self.headers.get("Authorization", "")
        if sent not in (_basic(USER, PASSWORD), _basic(*READER), f"ApiKey {API_KEY}"):
            self._reply(401, _error("security_exception", "missing authentication credentials", 401))
        elif f"compatible-with={self.server.refuses}" in self.headers.get("Accept", ""):
            self._reply(400, _error("media_type_header_exception", "Accept version must be either 8 or 7", 400))
        elif self.path == "/" and self.command == "GET":
            self._reply(200, self.server.root)
        elif sent == _basic(*READER):
            self._reply(403, _error("security_exception", "action is unauthorized for user [reader]", 403))
        else:
            self._pass_on(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def _pass_on(self, body: bytes) -> None:
        node = http.client.HTTPConnection(self.server.node, timeout=60)
        headers = {name: self.headers[name] for name in ("Accept", "Content-Type") if name in self.headers}
        node.request(self.command, self.path, body, headers)
        answer = node.getresponse()
        self._reply(answer.status, answer.read(), content_type=answer.getheader("Content-Type"))
        node.close()

    def _reply(self, status: int, body: Any, *, content_type: str | None = None) -> None:
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
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    node: str
    product: str | None
    refuses: int | None
    root: dict[str, Any]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, at a wrong certificate say, is no news."""


@contextmanager
def tls_front(
    node_url: str,
    ca: trustme.CA,
    *,
    version: str = "9.5.3",
    product: str | None = "Elasticsearch",
    refuses: int | None = None,
) -> Iterator[str]:
    """The https address of a front before the node at `node_url`, with a certificate of `ca`.

    `refuses` is the form of requests (9, say) that a server of the version before does not take.
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    server.node, server.product, server.refuses = urlsplit(node_url).netloc, product, refuses
    server.root = {"cluster_name": "front", "version": {"number": version}, "tagline": "You Know, for Search"}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    # The handshake is left to the thread of each connection, so that one that fails stops no other.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ca_file(ca: trustme.CA, folder: Path) -> Path:
    """The CA's certificate as a PEM file in `folder`."""
    path = folder / "ca.crt"
    ca.cert_pem.write_to_path(str(path))
    return path


def cloud_id(url: str) -> str:
    """A Cloud ID that leads to an address 127.0.0.1 (whose first part stands where Elastic puts the cluster's)."""
    port = urlsplit(url).port
    return "test:" + base64.b64encode(f"0.0.1:{port}$127$kibana".encode()).decode()


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _error(kind: str, reason: str, status: int) -> dict[str, Any]:
    cause = {"type": kind, "reason": reason}
    return {"error": {"root_cause": [cause], **cause}, "status": status}
