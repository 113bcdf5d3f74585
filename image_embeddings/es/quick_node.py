"""Connections to a node of Elasticsearch whose requests cost little processor time.

urllib3 makes, checks and keeps the connections. Requests are written here, and httptools reads the answers. This takes
a fifth of the time that urllib3 takes for it. Head and body of a request are sent by one write: after the head alone,
Elasticsearch would read twice, and begin to work only after the second read.
"""

from __future__ import annotations

import ssl
import zlib
from contextlib import suppress
from typing import Any

import httptools
from elastic_transport import HttpHeaders, NodeConfig, Urllib3HttpNode
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import ProtocolError, ReadTimeoutError, SSLError
from urllib3.util.ssl_match_hostname import CertificateError

MOST_BYTES = 64 * 1024  # of a body that is copied behind its head. A larger one takes several writes anyway.
_RECEIVE_BYTES = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_CUT_OFF = "The connection was closed before the answer was whole."


class QuickNode(Urllib3HttpNode):
    """A node that is asked as `Urllib3HttpNode` asks it, and that fails with the same errors, but costs less time."""

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self.connections = self.pool
        self.pool: Any = QuickPool(self.connections, seconds=config.request_timeout)


class QuickPool:
    """Stands for a pool of urllib3, whose connections it uses. Several threads may use it at the same time."""

    def __init__(self, connections: HTTPConnectionPool, *, seconds: float | None) -> None:
        """Wait for an answer, and for each further part of it, for that many seconds."""
        self._connections = connections
        self._seconds = seconds
        name = f"[{connections.host}]" if ":" in connections.host else connections.host
        self._host = f"{name}:{connections.port}"

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def urlopen(self, method: str, url: str, *, headers: HttpHeaders, body: bytes | None, **options: Any) -> Answer:
        """Return the answer to a request.

        `options` may have another `timeout` in seconds. Raise errors of urllib3 if there is no whole answer, and
        ValueError if the request cannot be written.
        """
        head = self._head(method, url, headers, body)
        connection = self._connections._get_conn()
        answer: Answer | None = None
        try:
            answer = self._ask(connection, head, body, url, options.get("timeout", self._seconds))
        except (ssl.SSLError, CertificateError) as error:
            raise SSLError(error) from error
        except OSError as error:
            raise ProtocolError("Connection aborted.", error) from error
        finally:
            if not (answer and answer.keeps_connection):
                connection.close()  # it is opened again for the next request
            self._connections._put_conn(connection)
        return answer

    def _head(self, method: str, url: str, headers: HttpHeaders, body: bytes | None) -> bytes:
        """Return the first line and the headers of a request."""
        lines = [f"{method} {url} HTTP/1.1", f"host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None or method in ("POST", "PUT"):
            lines.append(f"content-length: {len(body or b'')}")
        if "accept-encoding" not in headers:
            lines.append("accept-encoding: identity")
        head = "\r\n".join((*lines, "\r\n"))
        # A line break in a header would begin another header, and a blank in an address would end it.
        if head.count("\n") != len(lines) + 1 or head.count("\r") != len(lines) + 1 or " " in url:
            raise ValueError(f"The headers or the address of a request to Elasticsearch have a line break: {url!r}.")
        return head.encode("latin-1")

    def _ask(self, connection: Any, head: bytes, body: bytes | None, url: str, seconds: float | None) -> Answer:
        try:
            if connection.is_closed:
                connection.timeout = seconds
                self._connections._validate_conn(connection)  # opens those with TLS
                if connection.is_closed:
                    connection.connect()
            connection.sock.settimeout(seconds)
        except TimeoutError as error:
            raise ReadTimeoutError(self._connections, url, "The connection was not made in time.") from error
        with suppress(BrokenPipeError, ConnectionResetError):  # a node may answer before it has read the whole request
            if body and len(body) > MOST_BYTES:
                connection.sock.sendall(head)
                connection.sock.sendall(body)
            else:
                connection.sock.sendall(head + body if body else head)
        try:
            return Answer(connection.sock, has_body=not head.startswith(b"HEAD "))
        except TimeoutError as error:
            raise ReadTimeoutError(self._connections, url, "There was no answer in time.") from error


class Answer:
    """The answer to one request: its `status`, `headers` and `data`, which is the body."""

    def __init__(self, sock: Any, *, has_body: bool) -> None:
        """Read an answer. Raise ProtocolError if it is no whole HTTP, and OSError if the connection fails."""
        self.headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._has_body = has_body
        self._has_head = self._is_whole = self.keeps_connection = False
        self._parser = httptools.HttpResponseParser(self)
        try:
            while not self._is_whole and (received := sock.recv(_RECEIVE_BYTES)):
                self._parser.feed_data(received)
            if not (self._is_whole or self._ends_with_connection()):
                raise ProtocolError(_CUT_OFF)
            self.status: int = self._parser.get_status_code()
            self.data = b"".join(self._parts)
            if self.headers.get("content-encoding") == "gzip":
                self.data = zlib.decompress(self.data, _GZIP)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, zlib.error) as error:
            raise ProtocolError(f"The answer is no HTTP: {error}") from error

    def _ends_with_connection(self) -> bool:
        return self._has_head and not ("content-length" in self.headers or "transfer-encoding" in self.headers)

    # httptools calls these.

    def on_message_begin(self) -> None:
        """Refuse a second answer."""
        if self._is_whole:
            raise ValueError("There is more than one answer.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header of the head. Several of one name are one with commas, RFC 9110, section 5.3."""
        if self._has_head:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        """Note the end of the head. An answer to HEAD ends with it, whatever its headers say of a body."""
        self._has_head = True
        self._is_whole = not self._has_body

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """Note the end of the answer. Begin again after one that only announces another one, RFC 9110, section 15.2."""
        if self._parser.get_status_code() >= 200:
            self._is_whole = True
            self.keeps_connection = self._has_body and self._parser.should_keep_alive()
        else:
            self.headers, self._has_head = {}, False
