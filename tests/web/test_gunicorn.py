"""The web app's own server, and Flask's, as processes: their logs, and counts over several processes.

There is no Elasticsearch: these tests do not need one.
"""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from image_embeddings.serving.arrival import HEAD_BYTES
from tests.browser.webapp import ROOT, environ, served
from tests.waiting import LONG, wait_for

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
SEARCH = "/api/v1/search?q=my+secret"


def settings(tmp_path, **more):
    return {**environ("http://127.0.0.1:9", data_dir=tmp_path, index_name="none"), **more}


@contextmanager
def gunicorn(tmp_path, *options, **more):
    """Yield address and log file of gunicorn with these options and settings."""
    log = tmp_path / "gunicorn.log"
    with served(settings(tmp_path, **more), log=log, options=options, ready="/healthz") as address:
        yield address, log


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Address and log file of one gunicorn, for tests that neither set anything nor count lines of the log."""
    with gunicorn(tmp_path_factory.mktemp("plain")) as found:
        yield found


def get(address, **headers):
    """Return the answer, even if it is an error."""
    try:
        with OPENER.open(urllib.request.Request(address, headers=headers), timeout=LONG) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def test_an_answer_of_the_server_itself_is_counted(plain):
    address, _ = plain
    site = urlsplit(address)
    with socket.create_connection((site.hostname, site.port), timeout=LONG) as client:
        client.sendall(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * HEAD_BYTES)
        assert client.recv(1000).startswith(b"HTTP/1.1 431 ")
    counts = get(f"{address}/metrics")
    assert 'image_search_errors_total{code="request_header_fields_too_large"} 1.0' in counts.splitlines()


def lines_with(text, log):
    """Return the lines of a log that have that text, once there is one."""

    def found():
        return [line for line in log.read_text().splitlines() if text in line]

    wait_for(found, what=log.read_text)
    return found()


def test_each_request_leaves_one_line_for_people_without_what_was_searched(tmp_path):
    with gunicorn(tmp_path) as (address, log):
        get(f"{address}{SEARCH}", **{"X-Request-ID": "abc"})
        get(f"{address}/healthz")
        (line,) = lines_with("GET /api/v1/search", log)
        assert re.search(r"\[INFO\] \[abc\] GET /api/v1/search 503 [\d.]+ ms elasticsearch_unreachable$", line)
        assert "[abc] elasticsearch_unreachable: Nothing answers" in "".join(lines_with("[WARNING]", log))
        assert len(lines_with("GET /healthz 200", log)) == 2  # the first was sent by `served`
    assert "secret" not in log.read_text()


def test_every_line_even_of_gunicorn_is_a_json_object_if_wanted(tmp_path):
    with gunicorn(tmp_path, LOG_FORMAT="json") as (address, log):
        get(f"{address}{SEARCH}", **{"X-Request-ID": "abc"})
        (line,) = lines_with("GET /api/v1/search", log)
        lines_with("Not ready to search", log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["logger"] for line in lines} >= {"gunicorn.error", "app.access", "app.web.visitors"}
    access = json.loads(line)
    assert access.pop("ms") > 0
    assert {name: access[name] for name in access if name not in ("time", "message", "level", "logger")} == {
        "request_id": "abc",
        "method": "GET",
        "path": "/api/v1/search",
        "status": 503,
        "endpoint": "api.search",
        "error": "elasticsearch_unreachable",
    }


def test_search_texts_are_in_the_log_if_wanted(tmp_path):
    with gunicorn(tmp_path, LOG_QUERIES="true") as (address, log):
        get(f"{address}{SEARCH}")
        assert lines_with("GET /api/v1/search?q=my+secret 503", log)


def test_a_path_cannot_forge_lines(plain):
    address, log = plain
    get(f"{address}/a%0AGET%20/b%1B[31m%C3%A4")
    assert lines_with("GET /a%0AGET%20/b%1B%5B31m%C3%A4 404", log)


def test_a_setting_that_cannot_be_used_is_named_in_one_line(tmp_path):
    command = [sys.executable, "-m", "gunicorn", "--config", "app/gunicorn.conf.py", "app:create_app()"]
    env = settings(tmp_path, LOG_FORMAT="xml")
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=LONG)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "Error: LOG_FORMAT has value 'xml'. Not one of text, json."


# Where it may listen without a password


def refusal(tmp_path, *options, pass_fds=(), **more):
    """Return the last line of gunicorn that does not start with these options and settings."""
    command = [sys.executable, "-m", "gunicorn", "--config", "app/gunicorn.conf.py", *options, "app:create_app()"]
    env = settings(tmp_path, **more)
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=LONG, pass_fds=pass_fds
    )
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "more", "host"),
    [
        (("--bind", "0.0.0.0:0"), {}, "0.0.0.0"),
        (("--bind", "[::]:0"), {}, "::"),
        (("--bind", ":0"), {}, "all its addresses"),
        (("--bind", "127.0.0.1:0", "--bind", "192.0.2.1:0"), {}, "192.0.2.1"),
        ((), {"PORT": "0"}, "0.0.0.0"),
        ((), {"GUNICORN_CMD_ARGS": "--bind 0.0.0.0:0"}, "0.0.0.0"),
    ],
)
def test_it_does_not_listen_for_others_without_a_password(tmp_path, options, more, host):
    line = refusal(tmp_path, *options, **more)
    assert line.startswith(f"Error: Others could reach the web app at {host}, and it has no password. Set APP_PASSWORD")
    assert "ALLOW_WITHOUT_PASSWORD=yes" in line


def test_a_socket_that_was_opened_before_is_looked_at(tmp_path):
    with socket.socket() as bound:
        bound.bind(("0.0.0.0", 0))
        number = bound.fileno()
        assert "at 0.0.0.0" in refusal(tmp_path, "--bind", f"fd://{number}", pass_fds=[number])


def test_a_secret_that_cannot_be_used_is_named_in_one_line(tmp_path):
    assert refusal(tmp_path, APP_PASSWORD="short") == (
        "Error: APP_PASSWORD has a value that cannot be used. Too short: use 8 characters or more."
    )
    assert "No such file" in refusal(tmp_path, APP_PASSWORD_FILE="/nowhere/password")
    assert "AUTH_HEADER is set without TRUSTED_PROXIES" in refusal(tmp_path, AUTH_HEADER="Remote-User")
    (tmp_path / "file").touch()
    assert "can be neither read nor made" in refusal(
        tmp_path, APP_PASSWORD="my password", DATA_DIR=str(tmp_path / "file" / "data")
    )


def test_several_processes_know_each_others_sessions(tmp_path):
    with gunicorn(tmp_path, "--workers", "2", APP_PASSWORD="my password") as (address, log):
        assert "login" in get(f"{address}/collections")
        form = urllib.request.Request(f"{address}/login", data=b"password=my+password")
        cookies = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)
        with pytest.raises(urllib.error.HTTPError) as led:
            cookies.open(form, timeout=LONG)
        cookie = led.value.headers["Set-Cookie"].partition(";")[0]
        led.value.close()
        answered = set()
        while len(answered) < 2:
            assert "image_search_requests" in get(f"{address}/metrics", Cookie=cookie)
            answered = processes_that_answered(log, "/metrics 200")
    assert "my password" not in log.read_text()


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def is_reached(connection, place):
    """Connect to the server of a socket in the file system, and return whether it listens yet."""
    with suppress(FileNotFoundError, ConnectionRefusedError):
        connection.connect(str(place))
        return True
    return False


def test_a_socket_in_the_file_system_needs_no_password(tmp_path):
    place = tmp_path / "socket"
    command = [sys.executable, "-m", "gunicorn", "--config", "app/gunicorn.conf.py", "--bind", f"unix:{place}"]
    with subprocess.Popen([*command, "app:create_app()"], cwd=ROOT, env={**os.environ, **settings(tmp_path)}) as server:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(LONG)
                wait_for(lambda: is_reached(connection, place))
                connection.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
                assert connection.recv(1000).split()[1] == b"200"
        finally:
            server.terminate()


def processes_that_answered(log, what="/healthz"):
    """Return the ids of the processes that have answered so."""
    return {re.search(r"\] \[(\d+)\] \[", line)[1] for line in lines_with(f"GET {what}", log)}


def healthz_count(address):
    """Return how many requests for /healthz /metrics counts."""
    counts = get(f"{address}/metrics")
    return float(re.search(r'requests_total\{endpoint="health.healthz",status="200"\} (\S+)', counts)[1])


@pytest.mark.parametrize("wish", [{"WEB_CONCURRENCY": "2"}, ("--workers", "2")], ids=["environment", "option"])
def test_metrics_are_those_of_all_processes(tmp_path, wish):
    options, more = ((), wish) if isinstance(wish, dict) else (wish, {})
    shared = tmp_path / "tmp"
    shared.mkdir()
    with gunicorn(tmp_path, *options, "--worker-tmp-dir", str(shared), **more) as (address, log):
        asked = 1  # by `served`
        while len(processes_that_answered(log)) < 2:
            get(f"{address}/healthz")
            asked += 1
        assert {healthz_count(address) for _ in range(10)} == {asked}
    assert list(shared.iterdir()) == []


HALF_REQUESTS = (
    b"",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-",
    b"POST /similar_image HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nq=a",
)


def test_half_requests_do_not_hold_up_others(plain):
    address, _ = plain
    with ExitStack() as slow:
        for number in range(120):
            client = slow.enter_context(socket.create_connection(("127.0.0.1", urlsplit(address).port)))
            client.sendall(HALF_REQUESTS[number % 3])
        for _ in range(5):
            assert json.loads(get(f"{address}/healthz")) == {"status": "ok"}
            assert "elasticsearch_unreachable" in get(f"{address}{SEARCH}")


def test_an_upload_that_is_too_large_is_refused_without_its_body(plain):
    address, _ = plain
    with socket.socket() as client:
        client.connect(("127.0.0.1", urlsplit(address).port))
        client.sendall(b"POST /api/v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; ")
        client.sendall(b"boundary=b\r\nContent-Length: 20000001\r\n\r\n--b\r\n")
        text = client.makefile("rb").read().decode()  # up to the end of the connection
    assert text.startswith("HTTP/1.1 413 ")
    assert "\r\nConnection: close\r\n" in text
    assert json.loads(text.partition("\r\n\r\n")[2])["error"]["code"] == "image_too_large"


def test_flask_run_prints_each_request_once_too(tmp_path):
    log = tmp_path / "flask.log"
    env = settings(tmp_path, FLASK_APP="app:create_app()", PYTHONUNBUFFERED="1")
    with log.open("w") as output:
        command = [sys.executable, "-m", "flask", "run", "--port", "0"]
        flask = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
        try:
            address = re.search(r"http://\S+", lines_with("Running on http", log)[0])[0]
            get(f"{address}{SEARCH}")
            lines_with("GET /api/v1/search 503", log)
        finally:
            flask.terminate()
            flask.wait(timeout=LONG)
    said = log.read_text()
    assert said.count("/api/v1/search") == 1
    assert "secret" not in said
    assert os.fspath(tmp_path) not in said


def answer_to(address, *lines):
    """Return the status line that a server answers to these lines."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=LONG) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return connection.makefile("rb").readline().decode()


def test_a_malformed_body_is_the_fault_of_the_client(tmp_path):
    form = "Content-Type: application/x-www-form-urlencoded"
    head = ("POST /api/v1/search HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", form)
    with gunicorn(tmp_path) as (address, log):
        for chunk in ("zz\r\nq=red", "5\r\nq=redX", "5;=\r\nq=red", ""):
            assert " 400 " in answer_to(address, *head, "", chunk, "0", "", ""), chunk
    assert "Traceback" not in log.read_text()
