"""Slow clients hold no thread; overload ends in 503. A real gunicorn with a small app, over real sockets."""

import http.client
import time

import pytest

from image_embeddings.serving.limits import Limits
from tests.serving.small_server import PATIENT, SOON, is_open, read_all, request, small_server
from tests.waiting import LONG, wait_for

HALF_OPEN = {
    "idle": b"",
    "half a head": b"GET /hello HTTP/1.1\r\nHost: sma",
    "half a body": request("/body", "Content-Length: 1000", method="POST") + b"x" * 500,
    "half a chunk": request("/body", "Transfer-Encoding: chunked", method="POST") + b"64\r\nabc",
}
QUICK = Limits(head_seconds=1, grace_seconds=1, least_rate=100, sender_credit_seconds=10)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with small_server(tmp_path_factory.mktemp("patient")) as running:
        yield running


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    with small_server(tmp_path_factory.mktemp("quick"), limits=QUICK) as running:
        yield running


@pytest.mark.parametrize("begin", HALF_OPEN.values(), ids=HALF_OPEN)
def test_two_hundred_half_open_connections_hold_no_thread(server, begin):
    slow = [server.connect(begin) for _ in range(200)]
    assert [server.get("/hello") for _ in range(20)] == [b"/hello"] * 20
    assert all(is_open(client) for client in slow)
    for client in slow:
        client.close()


def test_a_half_request_that_goes_on_is_answered(server):
    slow = server.connect()
    for byte in request("/body", "Content-Length: 5", method="POST"):
        slow.sendall(bytes([byte]))
    server.get("/hello")
    slow.sendall(b"12")
    server.get("/hello")
    slow.sendall(b"345")
    assert read_all(slow).endswith(b"\r\n\r\n5")


def test_chunked_bodies_and_further_requests_on_a_connection_are_read(server):
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SOON)
    for body in (b"abc", iter([b"abc", b"de"]), b"x" * 3_000_000):
        client.request("POST", "/body", body=body)
        sent = 5 if not isinstance(body, bytes) else len(body)
        assert client.getresponse().read() == str(sent).encode()
    client.close()


def test_requests_that_are_sent_at_once_are_answered_in_turn(server):
    client = server.connect(request("/a", keep=True) + request("/b", keep=True) + request("/c"))
    bodies = [answer.partition(b"\r\n\r\n")[2] for answer in read_all(client).split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"/a", b"/b", b"/c"]


def test_a_client_that_expects_it_is_told_to_send_its_body(server):
    head = request("/body", "Content-Length: 3", "Expect: 100-continue", method="POST")
    client = server.connect(head)
    assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(b"abc")
    assert read_all(client).endswith(b"\r\n\r\n3")


@pytest.mark.parametrize("kind", ["half a head", "half a body", "half a chunk"])
def test_what_does_not_arrive_in_time_is_refused(quick, kind):
    answer = read_all(quick.connect(HALF_OPEN[kind]))
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert quick.get("/hello") == b"/hello"


def test_an_idle_connection_is_closed_without_a_word(quick):
    assert read_all(quick.connect()) == b""


@pytest.mark.parametrize("begin", [b"GET /", request("/body", "Content-Length: 9999", method="POST")])
def test_a_byte_now_and_then_is_not_enough(quick, begin):
    client = quick.connect(begin)
    while is_open(client):
        client.sendall(b"x")
        time.sleep(0.05)  # the client's slowness
    assert read_all(client).startswith(b"HTTP/1.1 408 ")


def test_a_slow_but_steady_body_is_received(quick):
    client = quick.connect(request("/body", "Content-Length: 2000", method="POST"))
    for _ in range(40):  # five times the least rate, for twice the time that a body may take without it
        client.sendall(b"x" * 50)
        time.sleep(0.05)
    assert read_all(client).endswith(b"\r\n\r\n2000")


def test_too_many_half_open_connections_close_the_oldest_but_no_upload(tmp_path):
    limits = Limits(
        head_seconds=LONG, grace_seconds=LONG, sender_credit_seconds=2 * LONG, least_rate=1, slow_clients_of_one=20
    )
    with small_server(tmp_path, limits=limits) as server:
        upload = server.connect(HALF_OPEN["half a body"])
        slow = [server.connect(HALF_OPEN["half a head"]) for _ in range(30)]
        wait_for(lambda: [is_open(client) for client in slow].count(False) == 11)
        assert (is_open(slow[0]), is_open(slow[-1])) == (False, True)
        upload.sendall(b"x" * 500)
        assert read_all(upload).endswith(b"\r\n\r\n1000")
        wait_for(lambda: "too many connections: " in server.log.read_text())


def test_overload_is_refused_at_once_or_after_the_longest_wait(tmp_path):
    limits = Limits(wait_seconds=2)
    with small_server(tmp_path, limits=limits) as server:
        held = server.hold(8)
        begin = time.monotonic()
        waiting = [server.connect(request("/api/waits")) for _ in range(64)]
        assert server.get("/healthz") == b"/healthz"
        assert server.get("/static/ui.js") == b"/static/ui.js"
        answers = [read_all(client) for client in waiting]  # all come while the eight threads are still held
        assert time.monotonic() - begin < SOON
        assert all(answer.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: 3\r\n" in answer for answer in answers)
        assert all(b'{"error": {"code": "server_busy"' in answer for answer in answers)
        assert server.started("/api/waits") == 0
        server.let_go()
        assert [read_all(client)[-8:] for client in held] == [b"was held"] * 8
        assert server.get("/hello") == b"/hello"
        wait_for(lambda: "server_busy: " in server.log.read_text())


def test_requests_wait_for_a_thread_and_are_answered(tmp_path):
    with small_server(tmp_path, "--threads", "2", limits=Limits(wait_seconds=LONG)) as server:
        server.hold(2)
        waiting = [server.connect(request("/waits")) for _ in range(9)]  # one more than 4 times the threads
        wait_for(lambda: [is_open(client) for client in waiting].count(False) == 1)
        server.let_go()
        bodies = sorted(read_all(client).partition(b"\r\n\r\n")[2] for client in waiting)
        assert bodies == [b"/waits"] * 8 + [b"Too many requests are waiting. Try again in a few seconds.\n"]


def test_the_app_does_not_run_the_requests_of_clients_that_have_left(tmp_path):
    with small_server(tmp_path, "--threads", "2", limits=Limits(wait_seconds=LONG)) as server:
        server.hold(2)
        for _ in range(3):  # more than can wait at a time: those that have left make room
            for client in [server.connect(request("/left")) for _ in range(8)]:
                client.close()
            wait_for(lambda: server.get("/healthz"))
        stays = server.connect(request("/stays"))
        server.let_go()
        assert read_all(stays).endswith(b"/stays")
        assert server.started("/left") == 0


def test_the_patient_limits_are_longer_than_any_test():
    assert min(PATIENT.head_seconds, PATIENT.grace_seconds) > SOON
