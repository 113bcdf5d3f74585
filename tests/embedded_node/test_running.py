"""How the process of an embedded node is found."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from filelock import FileLock

from image_embeddings.embedded_node.running import MODULE, find_node, listens
from image_embeddings.embedded_node.state import LOCK_NAME, STATE_NAME, write_json

PORT = 20_500
WAIT = "import sys; sys.stdin.read()"
LISTEN = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"


@pytest.fixture
def process(tmp_path):
    """A process with the command line of the node of `tmp_path`. It writes no state file and takes no lock."""
    command = [sys.executable, "-c", WAIT, MODULE, "--home", str(tmp_path), "--http-port", str(PORT), "--version", "9"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as started:
        yield started
        started.stdin.close()


def test_a_node_without_a_state_file_is_found_by_the_lock_that_it_holds(process, tmp_path):
    assert find_node(tmp_path) is None
    with FileLock(tmp_path / LOCK_NAME):
        found = find_node(tmp_path)
        assert (found.pid, found.port) == (process.pid, PORT)
    assert find_node(tmp_path) is None


def test_commands_that_look_for_the_node_at_once_do_not_take_each_other_for_it(process, tmp_path):
    (tmp_path / LOCK_NAME).touch()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: find_node(tmp_path), range(2000)))
    assert found == [None] * 2000


def test_a_node_listens_once_it_has_started_and_holds_its_port(tmp_path):
    command = [sys.executable, "-c", LISTEN, MODULE, "--home", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        state = {"pid": process.pid, "http_port": int(process.stdout.readline()), "version": "9", "started_at": 0.0}
        for said, expected in (({"has_started": False}, False), ({"has_started": True}, True), ({}, True)):
            write_json(tmp_path / STATE_NAME, {**state, **said})
            assert listens(find_node(tmp_path)) is expected
        write_json(tmp_path / STATE_NAME, {**state, "http_port": 1})
        assert listens(find_node(tmp_path)) is False
        process.communicate(b"\n")
