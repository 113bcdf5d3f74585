"""A request to Elasticsearch reaches it in one piece, also after a connection that failed."""

import pytest
from elastic_transport import NodeConfig

from image_embeddings.es.following import FollowingNode
from image_embeddings.es.one_write import MOST_BYTES
from image_embeddings.es.transport import NineOrEightNode

HEAD_END = b"\r\n\r\n"


class Recorder:
    """A socket that keeps what is written, and fails as often as `failures` says."""

    def __init__(self):
        self.writes, self.failures = [], 0

    def sendall(self, data):
        if self.failures:
            self.failures -= 1
            raise BrokenPipeError
        self.writes.append(data)

    def settimeout(self, seconds):
        pass

    def close(self):
        pass


def pool_of(kind):
    config = NodeConfig("https" if kind == "TLS" else "http", "127.0.0.1", 9, verify_certs=False, ssl_show_warn=False)
    node = FollowingNode(config, locate=lambda: None)._place if kind == "embedded" else NineOrEightNode(config)
    return node.pool


@pytest.fixture(params=["embedded", "another", "TLS"])
def connection(request):
    connection = pool_of(request.param)._new_conn()
    connection.sock = Recorder()
    return connection


def test_head_and_body_are_written_at_once(connection):
    connection.request("POST", "/photos/_search", body=b'{"size": 1}')
    (written,) = connection.sock.writes
    assert written.startswith(b"POST /photos/_search HTTP/1.1\r\n")
    assert written.endswith(HEAD_END + b'{"size": 1}')


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_request_without_a_body_is_its_head(connection, method):
    connection.request(method, "/photos")
    (head,) = connection.sock.writes
    assert head.startswith(f"{method} /photos HTTP/1.1\r\n".encode())
    assert head.count(HEAD_END) == 1
    assert head.endswith(HEAD_END)


def test_a_large_body_is_not_copied(connection):
    body = bytes(MOST_BYTES + 1)
    connection.request("POST", "/_bulk", body=body)
    head, written = connection.sock.writes
    assert head.endswith(HEAD_END)
    assert written is body


def test_parts_of_a_body_are_written_in_their_order(connection):
    connection.request("POST", "/_bulk", body=iter([b"one", b"two"]))
    head, _, body = b"".join(connection.sock.writes).partition(HEAD_END)
    assert b"Transfer-Encoding: chunked" in head
    assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


def test_a_request_that_failed_leaves_nothing_for_the_next_one(connection):
    connection.sock.failures = 1
    with pytest.raises(BrokenPipeError):
        connection.request("POST", "/_bulk", body=b"old")
    connection.close()
    connection.sock = Recorder()
    connection.request("GET", "/photos")
    (head,) = connection.sock.writes
    assert head.startswith(b"GET /photos HTTP/1.1\r\n")


def test_a_request_that_cannot_be_written_sends_nothing(connection):
    with pytest.raises(ValueError, match="Invalid header value"):
        connection.request("POST", "/_bulk", body=b"{}", headers={"X-Opaque-Id": "a\nb"})
    assert connection.sock.writes == []
