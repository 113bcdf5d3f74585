"""`serve` as a process: the photos that it serves, and that it leaves nothing behind."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress

import pytest

from image_embeddings.config import load_settings
from image_embeddings.embedded_node.jars import VERSION
from image_embeddings.es.opening import embedded_node, open_index
from tests.commands import MODULE, ROOT, run_process
from tests.fakes import ColourEncoder
from tests.server.filling import fill
from tests.waiting import LONG

pytestmark = pytest.mark.server
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
HEAP = "256m"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def embedded(data_dir, node_jars, tmp_path):
    """The settings of commands with an embedded node, which is removed afterwards; IMAGE_DIR is not set."""
    home = data_dir / "elasticsearch"
    home.mkdir()
    (home / f"jars-{VERSION}").symlink_to(node_jars)
    unset = dict.fromkeys(("ES_HOST", "ES_CLOUD_ID", "IMAGE_DIR", "TRUSTED_HOSTS"), "")
    yield {**unset, "DATA_DIR": str(data_dir), "ES_HEAP": HEAP, "IMAGE_MODEL": "conse"}
    node_of(tmp_path).stop()


def node_of(tmp_path):
    return embedded_node(load_settings({"ES_HEAP": HEAP}, data_dir=tmp_path / "data"))


@contextmanager
def serve(environ, tmp_path):
    """Yield address, process and log of `serve` once it answers; it runs beside an `app.py` of somebody else."""
    (tmp_path / "app.py").write_text("raise SystemExit('this is not the web app')\n")
    port, log = free_port(), tmp_path / "serve.log"
    env = {**os.environ, **environ, "PYTHONPATH": str(ROOT)}
    with log.open("w") as output:
        command = [sys.executable, *MODULE, "serve", "--port", str(port)]
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=output, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_answered(f"{address}/healthz", process, log)
        yield address, process, log
    finally:
        process.terminate()
        process.wait(timeout=LONG)


def wait_until_answered(address, process, log):
    deadline = time.monotonic() + LONG
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), OPENER.open(address, timeout=LONG) as answer:
            assert answer.status == 200
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def status_of(address, **headers):
    try:
        with OPENER.open(urllib.request.Request(address, headers=headers), timeout=LONG) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def content_of(address, **headers):
    with OPENER.open(urllib.request.Request(address, headers=headers), timeout=LONG) as answer:
        return answer.read()


def index_colours(settings, folder):
    """Index six photos below `folder`; this starts the embedded node and leaves it running, as `index` does."""
    photos = folder / "photos"
    index = open_index(settings)
    index.create(model=ColourEncoder().info, vector_index_type="flat", corpus=str(photos))
    fill(index, folder)
    index.cluster.close()
    return photos


def test_the_folder_that_was_indexed_is_served_and_ctrl_c_leaves_no_process(embedded, tmp_path):
    photos = index_colours(load_settings(embedded), tmp_path)
    assert node_of(tmp_path).status() is not None
    with serve(embedded, tmp_path) as (address, process, log):
        red = photos / "warm" / "red.png"
        with red.open("ab") as file:
            file.write(random.randbytes(100_000))  # so that a server that begins in the middle would be noticed
        assert content_of(f"{address}/image/warm/red.png") == red.read_bytes()
        assert content_of(f"{address}/image/warm/red.png", Range="bytes=9-70000") == red.read_bytes()[9:70001]
        assert status_of(f"{address}/thumbnail/warm/red.png") == 200
        assert status_of(f"{address}/", Host="photos.example") == 400
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=LONG) == 0
    assert node_of(tmp_path).status() is None
    assert f"The photos are those of {photos}" in log.read_text()


def test_a_node_that_was_started_by_hand_runs_on_and_the_end_of_the_terminal_ends_the_server(embedded, tmp_path):
    assert run_process(embedded, "node", "start").returncode == 0
    with serve(embedded, tmp_path) as (_, process, _):
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=LONG) == 0
    assert node_of(tmp_path).status() is not None


def test_a_port_in_use_is_reported_before_a_node_is_started(embedded, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = run_process(embedded, "serve", "--port", str(port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: Nothing can be served at 127.0.0.1:{port} (Address already in use).")
    assert f"--port {port + 1}" in done.stderr
    assert node_of(tmp_path).status() is None


@pytest.mark.parametrize("options", [[], ["--check"]])
@pytest.mark.parametrize(("host", "place"), [("0.0.0.0", "0.0.0.0"), ("", "all its addresses")])
def test_it_does_not_listen_for_others_without_a_password(embedded, tmp_path, host, place, options):
    done = run_process(embedded, "serve", "--host", host, "--port", str(free_port()), *options)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: Others could reach the web app at {place}, and it has no password. Set")
    assert "ALLOW_WITHOUT_PASSWORD=yes" in line
    assert node_of(tmp_path).status() is None


def test_with_a_password_it_may_listen_for_others(embedded):
    protected = {**embedded, "APP_PASSWORD": "my password"}
    done = run_process(protected, "serve", "--check", "--host", "0.0.0.0", "--port", str(free_port()))
    assert (done.returncode, done.stderr) == (0, "")
