"""The embedded node answers only to programs that know its token, and neither to web pages nor to other users."""

import base64
import http.client
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from image_embeddings.embedded_node.node import EmbeddedNode
from image_embeddings.embedded_node.plugin import JAR, classpath
from image_embeddings.embedded_node.running import MODULE
from image_embeddings.embedded_node.state import read_token
from image_embeddings.errors import UnreachableError
from image_embeddings.es.connection import connect
from tests.real_node import running_node
from tests.waiting import LONG, wait_for
from tools import node_plugin

pytestmark = pytest.mark.server

AS_NOBODY = """
import encodings.idna, os, socket, sys  # the first, because nobody may not read Python's folder
os.setgroups([]); os.setgid(65534); os.setuid(65534)
port, *files = sys.argv[1:]
for path in files:
    try:
        os.close(os.open(path, os.O_RDONLY))
        print("read")
    except PermissionError:
        print("denied")
with socket.create_connection(("127.0.0.1", int(port))) as node:
    node.sendall(f"GET /_cluster/health HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n".encode())
    print(node.recv(100).decode("ascii").split()[1])
"""
STRANGER = "import os; os.setgid(65534); os.setuid(65534); print('ready', flush=True); input()"


@pytest.fixture(scope="module")
def node(node_jars):
    """A node in a folder that others could reach if the node let them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home = Path(folder, "elasticsearch")
        home.mkdir(mode=0o755)  # as older versions made it
        with running_node(home, jars=node_jars) as node:
            yield node


@pytest.fixture
def running(node):
    return node.start()


def is_gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def basic(text):
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def ask(running, method="GET", path="/_cluster/health", *, headers=(), token=True, body=None):
    """Return the status and the text of the answer to a request with these headers and no others."""
    own = {"Host": f"127.0.0.1:{running.port}"}
    own |= {"Authorization": basic(f"es:{running.token}")} if token else {}
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=LONG)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in [*(own | dict(headers)).items(), ("Content-Length", str(len(body or b"")))]:
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_who_knows_the_token_is_answered(running):
    assert ask(running)[0] == 200
    assert ask(running, headers={"Host": f"localhost:{running.port}"})[0] == 200
    assert ask(running, headers={"Sec-Fetch-Site": "none"})[0] == 200


METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "NONSENSE")
PATHS = (
    "/",
    "/_cluster/health",
    "/photos/_close",
    "/no/such/path/at/all",
    "/_nodes/hot_threads",
    "/%ZZ",
    "//",
    "/?a=%",
)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_nothing_is_answered_whatever_is_asked(running, method, path):
    status, text = ask(running, method, path, token=False)
    assert status == 401
    assert "elasticsearch" not in text.lower()
    assert (json.loads(text)["error"]["type"] if method != "HEAD" else "security_exception") == "security_exception"


@pytest.mark.parametrize(
    "credentials",
    [
        *("", "Basic", "Basic ", "Bearer", basic("es:"), basic(":"), basic("elastic:changeme"), "Basic é", "Basic %"),
        *(lambda t: basic(f"es:{t}x"), lambda t: basic(f"es:{t[:-1]}"), lambda t: basic(f"es:{t.lower()}")),
        *(
            lambda t: basic(f"ES:{t}"),
            lambda t: basic(t),
            lambda t: f"Bearer {t}",
            lambda t: f"ApiKey {t}",
            lambda t: t,
        ),
        *(lambda t: f"{basic(f'es:{t}')} ,Basic x", lambda t: basic(f"es:{t}").lower()),
    ],
)
def test_a_wrong_token_is_refused(running, credentials):
    sent = credentials if isinstance(credentials, str) else credentials(running.token)
    assert ask(running, headers={"Authorization": sent})[0] == 401


def test_the_token_and_another_one_are_refused(running):
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        right = f"Authorization: {basic(f'es:{running.token}')}\r\n"
        head = f"GET /_cluster/health HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n{right}"
        connection.sendall(f"{head}{right.replace('Basic', 'Bearer')}\r\n".encode())
        assert b" 401 " in connection.recv(100)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:5001"])
def test_requests_of_web_pages_are_refused_even_with_the_token(running, origin):
    assert ask(running, "POST", "/photos/_close", headers={"Origin": origin})[0] == 403
    assert ask(running, "OPTIONS", headers={"Origin": origin, "Access-Control-Request-Method": "GET"})[0] == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin"])
def test_requests_that_a_browser_says_come_from_a_page_are_refused(running, site):
    assert ask(running, headers={"Sec-Fetch-Site": site})[0] == 403


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost", "127.0.0.2:{port}"],
)
def test_other_hosts_are_refused_even_with_the_token(running, host):
    assert ask(running, headers={"Host": host and host.format(port=running.port)})[0] in (400, 403)


def test_a_large_body_without_the_token_is_not_waited_for(running):
    with socket.create_connection(("127.0.0.1", running.port), timeout=LONG) as connection:
        head = f"POST /_bulk HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 90000000\r\n\r\n".encode())
        assert b" 401 " in connection.recv(100)


def test_the_token_is_in_no_answer_and_on_no_command_line(running):
    assert running.token not in " ".join(psutil.Process(running.pid).cmdline())
    assert running.token not in repr(running)
    for path in ("/_nodes", "/_nodes/settings", "/_cluster/settings?include_defaults=true", "/_cluster/state"):
        status, text = ask(running, path=path)
        assert (status, running.token in text, "image_search.token" in text) == (200, False, False)


def test_no_other_port_is_open(running):
    connections = psutil.Process(running.pid).net_connections(kind="inet")
    listening = [found.laddr for found in connections if found.status == psutil.CONN_LISTEN]
    assert [(address.ip.removeprefix("::ffff:"), address.port) for address in listening] == [
        ("127.0.0.1", running.port)
    ]
    assert [found for found in connections if found.type == socket.SOCK_DGRAM] == []


def test_files_of_the_node_are_its_owners(node, running):
    assert stat.S_IMODE(node.home.stat().st_mode) == 0o700
    for name in ("token", "process.json", "node.json"):
        assert stat.S_IMODE((node.home / name).stat().st_mode) == 0o600
    assert read_token(node.home) == running.token
    assert len(running.token) >= 43  # 256 bits


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_gets_neither_the_token_nor_the_data(node, running):
    files = [node.home / "token", node.home / "process.json", *(node.home / "data").rglob("*.st")]
    command = [sys.executable, "-c", AS_NOBODY, str(running.port), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LONG)
    assert done.stdout.split() == ["denied"] * len(files) + ["401"]


def test_each_start_has_another_port_and_another_token(node, running):
    node.stop()
    assert read_token(node.home) == ""
    again = node.start()
    assert again.port != running.port
    assert again.token != running.token
    assert ask(again, headers={"Authorization": basic(f"es:{running.token}")})[0] == 401


# Damaged state of a running node


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "http_port": null}', None])
def test_a_node_whose_state_file_is_damaged_is_found_used_and_stopped(node, content):
    running = node.start()
    file = node.home / "process.json"
    file.unlink() if content is None else file.write_text(content)
    found = EmbeddedNode(node.home).status()
    assert (found.pid, found.url, found.token, found.version) == (running.pid, running.url, running.token, "9.5.3")
    assert node.start() == found
    if content is None:
        assert node.stop() is True
        assert is_gone(running.pid)


@pytest.mark.parametrize("token", [None, "", "x" * 43, "é"])
def test_a_node_whose_token_is_lost_is_ended_and_started_again(node, token):
    running, said = node.start(), []
    file = node.home / "token"
    file.unlink() if token is None else file.write_text(token)
    assert node.start(notify=said.append).pid != running.pid
    assert "token" in said[0]
    assert is_gone(running.pid)
    assert ask(node.start())[0] == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_stranger_with_the_command_line_of_the_node_is_not_taken_for_it(node):
    node.stop()
    command = [sys.executable, "-c", STRANGER, "-m", MODULE, "--home", str(node.home), "--http-port", "20001"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout.readline() == b"ready\n"
        state = {"pid": stranger.pid, "http_port": 20001, "version": "9.5.3", "started_at": 0.0}
        (node.home / "process.json").write_text(json.dumps(state))
        assert node.status() is None
        stranger.communicate(b"\n")


def take_port(port):
    """Return a socket that listens at the port, as soon as the system has freed it."""
    taken = []

    def try_it():
        with suppress(OSError):
            taken.append(socket.create_server(("127.0.0.1", port)))
        return taken

    wait_for(try_it)
    return taken[0]


def test_a_client_sends_nothing_to_another_program_that_has_taken_the_port_of_the_node(node):
    running = node.start()
    with closing(connect([running.client_url], locate=node.locate)) as cluster:
        assert cluster.server_version() == (9, 5)
        psutil.Process(running.pid).kill()
        wait_for(lambda: is_gone(running.pid))
        with take_port(running.port) as stranger:
            with pytest.raises(UnreachableError), cluster.errors():
                cluster.client.cat.indices()
            stranger.settimeout(5)
            connection, _ = stranger.accept()
            with connection:
                assert connection.recv(100) == b""
        again = node.start()
        assert cluster.client.cat.indices().meta.status == 200
        assert cluster.address == again.url


# The plugin


def test_the_jar_of_the_plugin_is_what_its_source_gives(node_jars):
    assert node_plugin.make_jar(node_jars) == (node_plugin.FOLDER / JAR).read_bytes()


def test_all_jars_are_on_the_class_path_once(node_jars):
    names = [path.name for path in classpath(node_jars)]
    assert sorted(names) == sorted(path.name for path in node_jars.rglob("*.jar"))
