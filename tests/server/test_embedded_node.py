"""The embedded node: how it really starts, stops and dies."""

import base64
import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from image_embeddings import errors
from image_embeddings.embedded_node import failures
from image_embeddings.embedded_node import node as node_module
from image_embeddings.embedded_node.node import EmbeddedNode
from image_embeddings.embedded_node.process import free_port
from image_embeddings.embedded_node.state import write_json
from tests import java_archive
from tests.real_node import running_node
from tests.waiting import LONG, wait_for

pytestmark = pytest.mark.server

START = """
import sys
from pathlib import Path
from image_embeddings.embedded_node.node import EmbeddedNode
node = EmbeddedNode(Path(sys.argv[1]), heap="256m", jars=Path(sys.argv[2]), start_timeout=600.0)
print(node.start(notify=lambda line: print(line, file=sys.stderr, flush=True)).pid)
"""
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def request(url, method, path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    place = urlsplit(url)
    secret = base64.b64encode(f"{place.username}:{place.password}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {secret}"}
    address = f"http://{place.hostname}:{place.port}{path}"
    asked = urllib.request.Request(address, data=data, method=method, headers=headers)
    with _OPENER.open(asked, timeout=LONG) as answer:
        return json.loads(answer.read())


def is_gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def processes_of(home):
    """Return the ids of the living processes that name `home` on their command line."""
    found = psutil.process_iter(["cmdline", "status"])
    return [p.pid for p in found if str(home) in (p.info["cmdline"] or []) and p.info["status"] != "zombie"]


def start_command(home, jars):
    command = [sys.executable, "-c", START, str(home), str(jars)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def make_node(node_jars):
    """Makes nodes, and stops them after the test."""
    made = []

    def make(home, **options):
        made.append(EmbeddedNode(home, **{"heap": "256m", "jars": node_jars, "start_timeout": LONG, **options}))
        return made[-1]

    yield make
    for node in made:
        node.stop()
        assert processes_of(node.home) == []


@pytest.fixture(scope="module")
def kept_node(tmp_path_factory, node_jars):
    """A node that no test ends."""
    with running_node(tmp_path_factory.mktemp("kept"), jars=node_jars) as node:
        yield node


def test_data_survive_a_restart_and_damaged_ones_have_an_error_of_their_own(make_node, tmp_path):
    node = make_node(tmp_path)
    first = node.start()
    request(first.client_url, "PUT", "/photos", {"settings": {"number_of_replicas": 0}})
    request(first.client_url, "PUT", "/photos/_doc/1?refresh=true", {"image_id": "a.jpg"})
    assert node.stop() is True
    assert is_gone(first.pid)
    assert node.status() is None
    second = node.start()
    assert request(second.client_url, "GET", "/photos/_doc/1")["_source"] == {"image_id": "a.jpg"}
    assert second.version == "9.5.3"
    assert second.pid != first.pid
    node.stop()
    for path in Path(tmp_path / "data" / "_state").glob("*.c*"):
        path.write_bytes(path.read_bytes()[:40] + b"x" * 100)
    with pytest.raises(errors.NodeDataError, match="is damaged"):
        node.start()


def test_a_running_node_is_found_detached_on_loopback_only_and_killed_if_it_hangs(make_node, tmp_path, monkeypatch):
    node = make_node(tmp_path, stop_timeout=1.0)
    running = node.start()
    assert node.start() == running == node.status() == EmbeddedNode(tmp_path).status()
    process = psutil.Process(running.pid)
    listening = [c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    assert len(listening) == 1
    assert {address.removeprefix("::ffff:") for address in listening} <= {"127.0.0.1", "::1"}
    assert process.terminal() is None
    assert psutil.Process().pid not in [parent.pid for parent in process.parents()]
    process.suspend()
    wait_for(lambda: process.status() == psutil.STATUS_STOPPED)
    with monkeypatch.context() as changed:
        changed.setattr(failures, "LEAST_DISK", 2**60)
        changed.setattr(node, "start_timeout", 0.5)
        with pytest.raises(errors.NodeStartError, match=r"disk of .* is full"):
            node.start()
    said = []
    assert node.stop(notify=said.append) is True
    assert "killed" in said[0]
    assert is_gone(running.pid)


def test_two_commands_at_once_start_one_node_and_two_homes_two(make_node, tmp_path, node_jars):
    homes = [tmp_path / "a", tmp_path / "a", tmp_path / "b"]
    for home in set(homes):
        make_node(home)
    commands = [start_command(home, node_jars) for home in homes]
    outputs = [command.communicate(timeout=LONG) for command in commands]
    assert [command.returncode for command in commands] == [0, 0, 0], outputs
    first, second, other = [int(stdout) for stdout, _ in outputs]
    assert first == second != other
    assert not is_gone(first)
    assert not is_gone(other)


def test_a_killed_node_is_noticed_and_started_again(make_node, tmp_path):
    node = make_node(tmp_path)
    killed = node.start()
    assert node.answers()
    request(killed.client_url, "PUT", "/photos", {"settings": {"number_of_replicas": 0}})
    psutil.Process(killed.pid).kill()
    again = node.start()  # At once, while the killed process may still be there.
    assert is_gone(killed.pid)
    psutil.Process(again.pid).kill()
    wait_for(lambda: is_gone(again.pid))
    assert node.status() is None
    assert not node.answers()
    assert "photos" in request(node.start().client_url, "GET", "/photos")


def test_a_node_whose_port_is_taken_while_it_starts_takes_another_one_and_the_thief_gets_no_token(
    make_node, tmp_path, monkeypatch
):
    node = make_node(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as thief:
        ports = [thief.getsockname()[1], node_module.free_port()]
        monkeypatch.setattr(node_module, "free_port", lambda: ports.pop(0))
        assert "status" in request(node.start().client_url, "GET", "/_cluster/health")
        assert ports == []
        thief.settimeout(0)
        with pytest.raises(BlockingIOError):  # nobody has connected to it
            thief.accept()


def test_a_node_is_in_use_while_a_client_is_connected(kept_node, tmp_path):
    assert EmbeddedNode(tmp_path).in_use() is False
    port = int(kept_node.status().url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        wait_for(kept_node.in_use)
        assert kept_node.stop(unless_used_within=0) is False
    wait_for(lambda: not kept_node.in_use())
    assert kept_node.in_use(within=0.2) is False


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not say which files a process maps")
def test_the_nodes_of_the_tests_take_classes_from_the_archive(kept_node, node_jars):
    """A node that started while another process was still making the archive does without it."""
    archive, running = java_archive.archive_of(node_jars), kept_node.status()
    is_older = archive.exists() and archive.stat().st_ctime < running.started_at.timestamp()
    assert not is_older or str(archive) in Path(f"/proc/{running.pid}/maps").read_text(encoding="utf-8")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_is_ended_during_the_start_leaves_a_node_that_the_next_one_finds(
    make_node, tmp_path, node_jars, how
):
    node = make_node(tmp_path)
    with start_command(tmp_path, node_jars) as command:
        wait_for(lambda: node.status() is not None)
        begun = node.status()
        command.send_signal(how)
        command.communicate(timeout=LONG)
        assert command.returncode != 0
    assert node.start().pid == begun.pid


def test_a_second_process_changes_nothing_of_the_node_that_is_starting(make_node, tmp_path):
    """The first command may be ended before its process has said that it runs. Then the next one starts another."""
    node = make_node(tmp_path, start_timeout=LONG)
    java = node._prepare(print)
    pid = node._start_process(java, free_port())
    wait_for(lambda: node.status() is not None)
    second = node._start_process(java, free_port())
    wait_for(lambda: is_gone(second))
    assert "Another process runs the node" in node.start_log.read_text()
    assert node.start().pid == pid


def test_a_node_that_dies_while_starting_is_noticed_before_the_timeout(make_node, tmp_path):
    (tmp_path / "data" / "node.lock").mkdir(parents=True)
    with pytest.raises(errors.NodeStartError, match=r"(?s)Its last lines:.*start\.log"):
        make_node(tmp_path, start_timeout=LONG).start()


def test_stale_state_a_broken_java_home_and_umlauts_do_not_keep_it_from_starting(make_node, tmp_path, monkeypatch):
    home, java_home, said = tmp_path / "Bücher und $Fotos'", tmp_path / "java", []
    home.mkdir()
    write_json(home / "process.json", {"pid": 2**22 - 1, "http_port": 1, "version": "9.5.3", "started_at": 0.0})
    node = make_node(home, java_home=java_home)
    assert node.status() is None
    seen, look = [False], node_module.is_node  # the first look finds no command line, as in the midst of an exec
    monkeypatch.setattr(node_module, "is_node", lambda *place: seen.pop() if seen else look(*place))
    running = node.start(notify=said.append)
    assert running == node.status()
    assert "bundled Java" in said[0]
    assert running.url in said[-1]


def test_heap_that_java_cannot_get_is_a_memory_error(make_node, tmp_path):
    with pytest.raises(errors.NodeMemoryError, match="ES_HEAP"):
        make_node(tmp_path, heap="1m").start()


def test_the_shared_node_of_the_test_session_answers(elasticsearch_url):
    assert request(elasticsearch_url, "GET", "/_cluster/health")["status"] in ("green", "yellow")


def test_a_mistyped_index_is_not_made(elasticsearch_url):
    with pytest.raises(urllib.error.HTTPError) as refused:
        request(elasticsearch_url, "PUT", "/pohtos/_doc/1", {"image_id": "a.jpg"})
    refused.value.close()
    assert refused.value.code == 404
