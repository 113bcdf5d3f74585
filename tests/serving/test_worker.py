"""Our worker and gunicorn: what it takes from it, how it ends, TLS."""

import http.client
import inspect
import os
import re
import signal
import ssl
import subprocess
import sys

import trustme
from gunicorn.workers.gthread import TConn, ThreadWorker

from image_embeddings.serving.limits import Limits
from image_embeddings.serving.worker import Worker
from tests.browser.webapp import ROOT
from tests.serving.small_app import SIZE
from tests.serving.small_server import SOON, is_open, read_all, request, small_server
from tests.waiting import LONG, wait_for


def names_in(function):
    return set(re.findall(r"\w+", inspect.getsource(function)))


def test_gunicorn_still_calls_what_is_replaced_and_has_what_is_used():
    assert names_in(ThreadWorker.run) >= {"murder_pending", "murder_keepalived", "nr_conns", "alive", "poller"}
    assert "accept" in names_in(ThreadWorker.set_accept_enabled)
    assert names_in(ThreadWorker.handle) >= {"handle_request", "parser", "initialized", "data_ready"}
    assert list(inspect.signature(TConn).parameters) == ["cfg", "sock", "client", "server"]
    replaced = {name for name in vars(Worker) if inspect.isfunction(vars(Worker)[name])} - {"_on_close"}
    assert replaced == {"run", "accept", "handle_request", "murder_pending", "murder_keepalived"}
    for name in replaced:
        theirs, ours = (inspect.signature(getattr(kind, name)).parameters for kind in (ThreadWorker, Worker))
        assert list(theirs) == list(ours), name


def test_requests_under_way_are_answered_before_the_end(tmp_path):
    with small_server(tmp_path, "--threads", "1") as server:
        clients = [server.connect(request("/second")) for _ in range(2)]  # the second one waits
        wait_for(lambda: server.started("/second") == 1)
        idle = server.connect()
        server.process.send_signal(signal.SIGTERM)
        assert [read_all(client)[-14:] for client in clients] == [b"after a second"] * 2
        assert read_all(idle) == b""
        assert server.process.wait(timeout=SOON) == 0


def test_threads_that_compute_give_way_early_to_those_that_receive_and_tell_the_health(tmp_path):
    with small_server(tmp_path) as server:
        assert float(server.get("/static/switch-seconds")) == Limits().switch_seconds < sys.getswitchinterval()


def test_a_worker_that_hangs_is_replaced(tmp_path):
    with small_server(tmp_path, "--timeout", "5") as server:
        hung = server.connect(request("/stop"))
        wait_for(lambda: "WORKER TIMEOUT" in server.log.read_text())
        assert read_all(hung) == b""
        assert server.get("/hello") == b"/hello"


def test_other_protocols_are_refused_at_the_start():
    command = [sys.executable, "-m", "gunicorn", "--worker-class", "image_embeddings.serving.worker.Worker"]
    command += ["--proxy-protocol", "v1", "--bind", "127.0.0.1:0", "tests.serving.small_app:application"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=LONG)
    assert done.returncode != 0
    assert "This server speaks HTTP/1.1 only." in done.stdout + done.stderr


def test_tls_is_spoken_and_half_handshakes_hold_no_thread(tmp_path):
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    with small_server(tmp_path, "--certfile", str(tmp_path / "server.pem")) as server:
        slow = [server.connect(b"\x16\x03\x01") for _ in range(50)]
        client = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=SOON)
        for body in (b"abc", b"x" * 3_000_000):
            client.request("POST", "/body", body=body)
            assert client.getresponse().read() == str(len(body)).encode()
        client.request("GET", "/bytes")
        assert len(client.getresponse().read()) == SIZE
        client.close()
        assert all(is_open(other) for other in slow)
