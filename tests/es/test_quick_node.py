"""Requests to a node are written at once, and answers are read as urllib3 reads them, whole or not at all."""

import gzip
import socket
import threading
from contextlib import contextmanager

import pytest
from elastic_transport import ConnectionError as FailedConnectionError
from elastic_transport import ConnectionTimeout, NodeConfig, Urllib3HttpNode

from image_embeddings.es.following import FollowingNode
from image_embeddings.es.quick_node import MOST_BYTES, QuickNode
from image_embeddings.es.transport import NineOrEightNode

HEAD_END = b"\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + b"content-length: 5\r\n\r\nhello"


class Server:
    """Answers each request, whatever it is, with the next of the pieces. It closes the connection at the end."""

    def __init__(self, *pieces):
        self.requests, self.connections = [], 0
        self._pieces = list(pieces)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def run(self):
        while self._pieces:
            connection, _ = self._listener.accept()
            self.connections += 1
            with connection:
                while self._pieces and self._read(connection):
                    piece = self._pieces.pop(0)
                    if piece is not None:
                        connection.sendall(piece)
                    if piece is None or piece.startswith(b"HTTP/1.0") or not _is_framed(piece):
                        break

    def _read(self, connection):
        asked = b""
        while HEAD_END not in asked:
            if not (part := connection.recv(65536)):
                return False
            asked += part
        head, _, body = asked.partition(HEAD_END)
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(head + HEAD_END + body)
        return True


def _is_framed(piece):
    return b"content-length: 5\r\n" in piece or piece.endswith(b"0\r\n\r\n")


@contextmanager
def serving(*pieces):
    server = Server(*pieces)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server._listener.close()


def ask(server, *, kind=QuickNode, method="GET", **options):
    node = kind(NodeConfig("http", "127.0.0.1", server.port, request_timeout=10))
    try:
        return node.perform_request(method, "/photos/_search", **options)
    finally:
        node.close()


ANSWERS = {
    "with its length": PLAIN,
    "in chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=1\r\nlo\r\n0\r\n\r\n",
    "with trailers": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n",
    "up to the end of the connection": OK + b"x: y\r\n\r\nhello",
    "of HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "compressed": OK + b"content-encoding: gzip\r\n\r\n" + gzip.compress(b"hello"),
    "refused": b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhello",
    "with headers of one name": OK + b"warning: 299 a\r\nWarning: 299 b\r\ncontent-length: 5\r\n\r\nhello",
    "without a reason": b"HTTP/1.1 200 \r\ncontent-length: 5\r\n\r\nhello",
    "after an announcement": b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_read_as_urllib3_reads_it(answer):
    with serving(answer, answer) as server:
        read, expected = (ask(server, kind=kind) for kind in (QuickNode, Urllib3HttpNode))
    assert (read.meta.status, read.body, dict(read.meta.headers)) == (
        expected.meta.status,
        expected.body,
        dict(expected.meta.headers),
    )
    assert read.body == b"hello"


NOT_WHOLE = {
    "nothing": None,
    "a part of the head": OK + b"content-le",
    "less than its length": OK + b"content-length: 6\r\n\r\nhello",
    "no last chunk": OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "a part of a chunk": OK + b"transfer-encoding: chunked\r\n\r\n6\r\nhello",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "a part of what is compressed": OK + b"content-encoding: gzip\r\n\r\n" + gzip.compress(b"hello")[:-9],
}


@pytest.mark.parametrize("answer", NOT_WHOLE.values(), ids=NOT_WHOLE)
def test_an_answer_that_is_not_whole_is_an_error(answer):
    with serving(answer) as server, pytest.raises(FailedConnectionError):
        ask(server)


def test_two_answers_to_one_request_are_an_error():
    with serving(PLAIN + PLAIN) as server, pytest.raises(FailedConnectionError):
        ask(server)


@pytest.mark.parametrize("kind", [QuickNode, Urllib3HttpNode])
def test_an_answer_that_does_not_come_in_time_is_an_error(kind):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        node = kind(NodeConfig("http", "127.0.0.1", listener.getsockname()[1]))
        with pytest.raises(ConnectionTimeout):
            node.perform_request("GET", "/", request_timeout=0.05)
        node.close()


@pytest.mark.parametrize("kind", [QuickNode, Urllib3HttpNode])
def test_a_node_that_is_away_is_an_error(kind):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(FailedConnectionError, match="refused"):
        kind(NodeConfig("http", "127.0.0.1", port)).perform_request("GET", "/")


def test_a_connection_is_used_again_unless_the_node_closes_it():
    closing = OK + b"connection: close\r\ncontent-length: 5\r\n\r\nhello"
    with serving(PLAIN, PLAIN, closing, PLAIN) as server:
        node = QuickNode(NodeConfig("http", "127.0.0.1", server.port, request_timeout=10))
        for _ in range(4):
            assert node.perform_request("GET", "/").body == b"hello"
        assert server.connections == 2
        node.close()


def test_an_answer_to_head_has_no_body_whatever_its_headers_say():
    with serving(OK + b"content-length: 5\r\n\r\n", PLAIN) as server:
        node = QuickNode(NodeConfig("http", "127.0.0.1", server.port, request_timeout=10))
        answer = node.perform_request("HEAD", "/photos")
        assert (answer.meta.status, answer.body) == (200, b"")
        assert node.perform_request("GET", "/").body == b"hello"
        node.close()


class Recorder:
    """A socket that keeps what is written, and fails after that."""

    def __init__(self):
        self.writes = []
        self._ends = socket.socketpair()

    def fileno(self):
        return self._ends[0].fileno()

    def sendall(self, data):
        self.writes.append(data)

    def recv(self, size):
        raise ConnectionResetError

    def settimeout(self, seconds):
        pass

    def close(self):
        for end in self._ends:
            end.close()


@pytest.fixture(params=["embedded", "another", "TLS"])
def written(request):
    """Return what a node writes for a request."""
    scheme = "https" if request.param == "TLS" else "http"
    config = NodeConfig(scheme, "127.0.0.1", 9, verify_certs=False, ssl_show_warn=False)
    followed = request.param == "embedded"
    node = FollowingNode(config, locate=lambda: None)._place if followed else NineOrEightNode(config)

    def written(*request, **options):
        connection = node.connections._get_conn()
        connection.sock = recorder = Recorder()
        connection.is_verified = True
        node.connections._put_conn(connection)
        with pytest.raises(FailedConnectionError):
            node.perform_request(*request, **options)
        return recorder.writes

    return written


def test_head_and_body_are_written_at_once(written):
    (whole,) = written("POST", "/photos/_search", body=b'{"size": 1}')
    assert whole.startswith(b"POST /photos/_search HTTP/1.1\r\nhost: 127.0.0.1:9\r\n")
    assert b"\r\ncontent-length: 11\r\n" in whole
    assert whole.endswith(HEAD_END + b'{"size": 1}')


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_request_without_a_body_is_its_head(written, method):
    (head,) = written(method, "/photos")
    assert head.startswith(f"{method} /photos HTTP/1.1\r\n".encode())
    assert (head.count(HEAD_END), head.endswith(HEAD_END)) == (1, True)
    assert (b"\r\ncontent-length: 0\r\n" in head) == (method == "POST")


def test_a_large_body_is_not_copied(written):
    body = bytes(MOST_BYTES + 1)
    head, large = written("POST", "/_bulk", body=body)
    assert head.endswith(HEAD_END)
    assert large is body


@pytest.mark.parametrize("wrong", ["/photos HTTP/1.1", "/photos\r\nx: y", "/photos\n", "/ph\rotos"])
def test_an_address_that_would_be_another_request_is_not_sent(wrong):
    with serving() as server, pytest.raises(ValueError, match="line break"):
        QuickNode(NodeConfig("http", "127.0.0.1", server.port)).perform_request("GET", wrong)
    assert server.requests == []


def test_a_header_that_would_be_two_is_not_sent():
    with serving() as server, pytest.raises(ValueError, match="line break"):
        ask(server, body=b"{}", headers={"x-opaque-id": "a\nb"})
    assert server.requests == []
