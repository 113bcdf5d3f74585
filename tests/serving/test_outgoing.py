"""Clients that do not read their answers hold no thread, or few."""

from threading import BoundedSemaphore

import pytest

from image_embeddings.serving.exchange import Exchange
from image_embeddings.serving.limits import Limits
from image_embeddings.serving.outgoing import Outgoing
from tests.serving.small_app import SIZE
from tests.serving.small_server import read_all, request, small_server
from tests.waiting import LONG, wait_for


@pytest.mark.parametrize("path", ["/bytes", "/file"])
def test_those_who_do_not_read_hold_no_thread(tmp_path, path):
    with small_server(tmp_path, "--threads", "2", limits=Limits(grace_seconds=LONG)) as server:
        slow = []
        for number in range(4):
            slow.append(server.connect(request(path), receive_buffer=4096))
            wait_for(lambda number=number: server.started(path) == number + 1)
        assert server.get("/hello") == b"/hello"
        assert len(read_all(slow[-1]).partition(b"\r\n\r\n")[2]) == SIZE


def test_those_who_do_not_read_a_stream_hold_half_of_the_threads(tmp_path):
    with small_server(tmp_path, "--threads", "2", limits=Limits(grace_seconds=LONG)) as server:
        slow = []
        for number in range(4):
            slow.append(server.connect(request("/stream"), receive_buffer=4096))
            wait_for(lambda number=number: server.started("/stream") == number + 1)
        assert server.get("/hello") == b"/hello"
        assert [len(read_all(client).partition(b"\r\n\r\n")[2]) == SIZE for client in slow].count(True) == 1


@pytest.mark.parametrize("path", ["/bytes", "/file", "/stream"])
def test_those_who_do_not_read_are_left(tmp_path, path):
    with small_server(tmp_path, limits=Limits(grace_seconds=1, reader_credit_seconds=1)) as server:
        client = server.connect(request(path), receive_buffer=4096)
        wait_for(lambda: "read too slowly: 1" in server.log.read_text())
        assert len(read_all(client)) < SIZE


@pytest.mark.parametrize("path", ["/bytes", "/file", "/stream"])
def test_those_who_read_get_all(tmp_path, path):
    with small_server(tmp_path) as server:
        assert len(server.get(path)) == SIZE


def test_answers_that_nobody_reads_take_bounded_memory(tmp_path):
    limits = Limits(grace_seconds=LONG, unsent_bytes=3 * SIZE)
    with small_server(tmp_path, limits=limits) as server:
        for _ in range(8):
            server.connect(request("/bytes"), receive_buffer=4096)
        wait_for(lambda: "too much memory: " in server.log.read_text())


class Wire:
    """A socket that takes all that is sent, and keeps what each call has sent."""

    def __init__(self):
        self.sent = []

    def send(self, part):
        self.sent.append(bytes(part))
        return len(part)


def answer(*parts):
    """Return what each call has sent of an answer with these parts."""
    wire = Wire()
    outgoing = Outgoing(wire, limits=Limits(), streams=BoundedSemaphore())
    exchange = Exchange(wire, None, outgoing)
    for part in parts:
        exchange.sendall(part)
    assert outgoing.flush()
    assert not outgoing
    return wire.sent


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LARGE = b"x" * 1_000_000


@pytest.mark.parametrize(
    ("parts", "sent"),
    [
        ((HEAD, b"body"), [HEAD + b"body"]),
        ((HEAD, b"first", b"second"), [HEAD + b"first", b"second"]),
        ((HEAD,), [HEAD]),
        ((HEAD, LARGE), [HEAD, LARGE]),
        ((CONTINUE, HEAD), [CONTINUE, HEAD]),
    ],
    ids=["body", "two parts", "no body", "large", "interim"],
)
def test_the_head_of_an_answer_is_sent_with_its_body(parts, sent):
    assert answer(*parts) == sent


def test_an_answer_to_go_on_is_sent_at_once():
    wire = Wire()
    Exchange(wire, None, Outgoing(wire, limits=Limits(), streams=BoundedSemaphore())).sendall(CONTINUE)
    assert wire.sent == [CONTINUE]
