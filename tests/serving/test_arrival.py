"""When a request is complete. gunicorn's own parser, which waits for no byte more than it needs, is the judge."""

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from image_embeddings.serving.arrival import HEAD_BYTES, Arrival

BODY_BYTES = 100_000
CONFIG = Config()
CHUNKED = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
COMPLETE = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    b"POST / HTTP/1.1\r\nCONTENT-LENGTH:\t5 \r\nHost: a\r\n\r\na\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1\r\nX-Content-Length: 9\r\n\r\n",
    CHUNKED + b"0\r\n\r\n",
    CHUNKED + b"3\r\nabc\r\nA;x=y\r\n0\r\n\r\n67890\r\n0\r\n\r\n",
    CHUNKED + b"3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n0\r\n\r\n",
]
REFUSED = [
    b"GET / HTTP/1.1\nHost: a\r\n",
    b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    b"\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"GET /" + b"a" * 5000,
    b"PRI * HTTP/2.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    *(
        b"POST / HTTP/1.1\r\nTransfer-Encoding: " + value + b"\r\n\r\n"
        for value in (
            b"xchunked",
            b"chunked, gzip",
            b"chunked, chunked",
            b"chunked;q=1",
            b"identity",
            b"x, chunked",
            b"",
        )
    ),
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\n",
    b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\nBad Name: 1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length : 5\r\n\r\n",
    b"POST / HTTP/1.1\r\nExpect: something\r\nContent-Length: 5\r\n\r\n",
    CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n",
    CHUNKED + b"3\r\nabc\r\n3\r\nabcX\n0\r\n\r\n",
    CHUNKED + b"zz\r\n",
    *(CHUNKED + size + b"\r\n" for size in (b"-1", b"+1", b"0x1", b"1_0", b" 1", b"")),
    CHUNKED + b"1" * 9000,
]


class WantsMoreError(Exception):
    """gunicorn has read all that is there, and needs more."""


class Bytes(IterUnreader):
    """What has arrived."""

    def chunk(self, size_hint=None):
        data = super().chunk(size_hint)
        if not data:
            raise WantsMoreError
        return data


def is_enough(data):
    """Return whether gunicorn can answer: it reads a whole request of the data, or refuses it."""
    try:
        Request(CONFIG, Bytes(iter([data])), ("127.0.0.1", 1)).body.read()
    except WantsMoreError:
        return False
    except ParseException:
        return True
    return True


def new_arrival():
    return Arrival(CONFIG, body_bytes=BODY_BYTES)


def fed(*parts):
    arrival = new_arrival()
    for part in parts:
        arrival.feed(part)
    return arrival


@pytest.mark.parametrize("data", COMPLETE)
def test_a_request_is_complete_as_soon_as_gunicorn_needs_no_more(data):
    arrival = new_arrival()
    for end in range(1, len(data) + 1):
        arrival.feed(data[end - 1 : end])
        assert arrival.is_complete == is_enough(data[:end]), data[:end]
    assert arrival.end == len(data)
    assert not arrival.is_cut_off


@pytest.mark.parametrize("data", COMPLETE)
def test_what_comes_after_a_request_is_the_next_one(data):
    arrival = fed(data + b"GET /next HTTP/1.1\r\n\r\nGET")
    arrival.begin_next()
    assert arrival.is_complete
    assert arrival.method_and_path == ("GET", "/next")
    arrival.begin_next()
    assert (bytes(arrival.data), arrival.is_complete) == (b"GET", False)


@pytest.mark.parametrize("data", REFUSED)
def test_what_gunicorn_refuses_is_not_waited_for(data):
    for arrival in (fed(data), fed(*(bytes([byte]) for byte in data))):
        assert arrival.is_complete
        assert is_enough(bytes(arrival.data[: arrival.end]))


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\nabc" % (BODY_BYTES + 1),
        CHUNKED + (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 20,
        CHUNKED + b"fffffff\r\n" + b"x" * 2 * BODY_BYTES,
        CHUNKED + b"0\r\nX: " + b"x" * 10_000,
    ],
)
def test_a_body_that_is_too_large_is_not_waited_for_and_ends_the_connection(data):
    arrival = fed(data)
    assert (arrival.end, arrival.is_cut_off) == (len(data), True)


def test_a_head_is_bounded():
    head = b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * HEAD_BYTES
    assert fed(head).is_head_too_long
    assert fed(head + b"\r\n\r\n").is_head_too_long
    assert not fed(head[: HEAD_BYTES - 100] + b"\r\n\r\n").is_head_too_long


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET /a/b?c=/d HTTP/1.1\r\n", ("GET", "/a/b")),
        (b"\r\nHEAD / HTTP/1.1\r\n", ("HEAD", "/")),
        (b"GET http://a/healthz HTTP/1.1\r\n", ("GET", "http://a/healthz")),
        (b"get / HTTP/1.1", ("", "")),
        (b"", ("", "")),
    ],
)
def test_method_and_path_are_those_of_the_request_line(data, expected):
    assert fed(data).method_and_path == expected


def test_a_client_may_ask_whether_its_body_is_wanted():
    head = b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n"
    assert fed(head).wants_continue
    assert not fed(COMPLETE[2]).wants_continue
