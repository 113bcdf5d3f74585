import re
import socket
import subprocess
import sys

import pytest

from image_embeddings import errors
from image_embeddings.embedded_node import process
from image_embeddings.embedded_node.java import JavaRuntime, choose_java
from image_embeddings.embedded_node.process import end_process, free_port, jvm_options
from tests.waiting import LONG

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def java_at(folder, *, simd):
    return JavaRuntime(home=folder, library=folder / "libjvm.so", version=25, simd=simd)


def test_a_port_is_free_and_below_those_of_outgoing_connections():
    port = free_port()
    assert 20_000 <= port < 32_000
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_no_free_port_is_an_error_with_a_remedy(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(process, "_PORTS", range(port, port + 1))
        monkeypatch.setattr(process, "_PORT_TRIES", 1)
        with pytest.raises(errors.NodePortError, match="ES_HOST"):
            free_port()


@pytest.mark.parametrize(("heap", "least"), [("64m", 64), ("2g", 128)])
def test_the_java_machine_has_the_heap_and_begins_with_a_small_one(tmp_path, heap, least):
    options = jvm_options(tmp_path, jars=tmp_path / "jars", java=java_at(tmp_path, simd=False), heap=heap)
    assert {f"-Xmx{heap}", f"-Xms{least * 2**20}", f"-Des.path.home={tmp_path / 'jars'}"} <= set(options)
    assert not any("vector" in option for option in options)


def test_the_bundled_java_takes_all_options(tmp_path):
    java = choose_java(None, notify=print)
    options = jvm_options(tmp_path, jars=tmp_path, java=java, heap="64m")
    said = subprocess.run(
        [java.home / "bin" / "java", *options, "-XX:+PrintFlagsFinal", "-version"],
        capture_output=True,
        text=True,
        check=True,
        env={},
    )
    values = dict(re.findall(r"(Tier4\w+) += (\d+)", said.stdout))
    assert (values["Tier4InvocationThreshold"], values["Tier4MinInvocationThreshold"]) == ("20000", "2400")
    assert values["Tier4CompileThreshold"] == "60000"


def test_simd_is_used_if_java_has_it(tmp_path):
    options = jvm_options(tmp_path, jars=tmp_path, java=java_at(tmp_path, simd=True), heap="1g")
    assert "--add-modules=jdk.incubator.vector" in options


@pytest.mark.parametrize(("program", "said"), [("pass", 0), (STUBBORN, 1)])
def test_a_process_is_ended_and_killed_if_it_does_not_end(tmp_path, program, said):
    lines = []
    command = [sys.executable, "-uc", f"{program}\nprint(1)\ninput()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        running.stdout.readline()
        end_process(running.pid, tmp_path, within=LONG if not said else 0.1, notify=lines.append)
        running.wait(timeout=LONG)
    assert len(lines) == said
    end_process(running.pid, tmp_path, within=LONG, notify=pytest.fail)
