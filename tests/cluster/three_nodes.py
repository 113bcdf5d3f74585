"""Three real Elasticsearch nodes that form a cluster on the loopback interface, from the embedded node's jars.

    with three_nodes(folder, jars=node_jars) as nodes:
        nodes.hosts        # for ES_HOST
        nodes.kill(2)      # SIGKILL for the third node
        nodes.start()      # start it again

The embedded node itself opens no port for other nodes, so these run without its plugin. `python -m
tests.cluster.three_nodes` is the process of one node. It ends with the process that started it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

from image_embeddings.config import ROOT
from image_embeddings.embedded_node.jars import VERSION
from image_embeddings.embedded_node.java import choose_java
from image_embeddings.embedded_node.settings_files import _LOGGING
from tests.java_archive import OPTIONS
from tests.waiting import wait_for

NAMES = ("n1", "n2", "n3")
_HEAP = "384m"
_SETTINGS = """\
cluster.name: three
node.name: {name}
network.host: 127.0.0.1
http.port: {http}
transport.port: {transport}
discovery.seed_hosts: {seeds}
cluster.initial_master_nodes: {names}
path.data: {data}
path.logs: {logs}
action.auto_create_index: false
cluster.routing.allocation.disk.threshold_enabled: false
"""
# Elasticsearch loads a module only if this file lies beside its jars. The embedded node loads netty from its classpath.
_NETTY_DESCRIPTOR = f"""\
description=HTTP and transport
version={VERSION}
name=transport-netty4
classname=org.elasticsearch.transport.netty4.Netty4Plugin
java.version=17
elasticsearch.version={VERSION}
extended.plugins=
has.native.controller=false
"""


class Nodes:
    """The nodes, as tests use them."""

    def __init__(self, folder: Path, *, jars: Path) -> None:
        self._folder, self._jars = folder, jars
        self._library = choose_java(None, notify=print).library
        with free_ports(2 * len(NAMES)) as ports:
            self.ports, transport = ports[: len(NAMES)], ports[len(NAMES) :]
        self._processes: dict[int, subprocess.Popen] = {}
        seeds = json.dumps([f"127.0.0.1:{port}" for port in transport])
        for number, name in enumerate(NAMES):
            home = folder / name
            for part in ("config", "data", "logs"):
                (home / part).mkdir(parents=True)
            text = _SETTINGS.format(
                name=name,
                http=self.ports[number],
                transport=transport[number],
                seeds=seeds,
                names=json.dumps(NAMES),
                data=json.dumps(f"{home}/data"),
                logs=json.dumps(f"{home}/logs"),
            )
            (home / "config" / "elasticsearch.yml").write_text(text)
            (home / "config" / "log4j2.properties").write_text(_LOGGING)
            netty = home / "modules" / "transport-netty4"
            shutil.copytree(jars / "modules" / netty.name, netty)
            (netty / "plugin-descriptor.properties").write_text(_NETTY_DESCRIPTOR)

    @property
    def hosts(self) -> str:
        return ",".join(f"http://127.0.0.1:{port}" for port in self.ports)

    @property
    def pids(self) -> list[int]:
        """The processes, in the order of the nodes."""
        return [self._processes[number].pid for number in sorted(self._processes)]

    def start(self) -> None:
        """Start the nodes that do not run, and return when all are one cluster in which no copy is missing."""
        for number, name in enumerate(NAMES):
            if number in self._processes and self._processes[number].poll() is not None:
                self.kill(number)  # somebody else has killed it
            if number not in self._processes:
                home = self._folder / name
                paths = map(str, (home, self._jars, self._library))
                command = [sys.executable, "-m", "tests.cluster.three_nodes", *paths]
                options = os.environ | {"JAVA_TOOL_OPTIONS": " ".join(OPTIONS)}  # the archive has another classpath
                with (home / "start.log").open("wb") as log:
                    pipe = subprocess.PIPE  # its other end closes if this process ends, in whatever way
                    self._processes[number] = subprocess.Popen(
                        command, cwd=ROOT, env=options, stdin=pipe, stdout=log, stderr=log
                    )
        wait_for(self._are_whole, what=lambda: str(self.ask("/_cluster/health")))

    def _are_whole(self) -> bool:
        for number, process in self._processes.items():
            assert process.poll() is None, (self._folder / NAMES[number] / "start.log").read_text()[-3000:]
        health = self.ask("/_cluster/health")
        return (health.get("number_of_nodes"), health.get("status")) == (len(NAMES), "green")

    def kill(self, number: int) -> None:
        """Kill a node, as a power cut does."""
        process = self._processes.pop(number)
        process.kill()
        process.wait()
        process.stdin.close()

    def close(self) -> None:
        for number in list(self._processes):
            self.kill(number)

    def master(self) -> int:
        """The number of the node that leads the cluster."""
        state = self.ask("/_cluster/state/master_node,nodes")
        return NAMES.index(state["nodes"][state["master_node"]]["name"])

    def ask(self, path: str) -> dict:
        """What the first node that answers says; empty if none does."""
        for port in self.ports:
            try:
                with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                    return json.load(answer)
            except OSError:
                continue
        return {}


@contextmanager
def three_nodes(folder: Path, *, jars: Path) -> Iterator[Nodes]:
    """Start the nodes below `folder`, and kill them at the end."""
    nodes = Nodes(folder, jars=jars)
    try:
        nodes.start()
        yield nodes
    finally:
        nodes.close()


@contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """Yield ports that nobody uses; the system gives them to nobody else inside the block."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        yield [each.getsockname()[1] for each in sockets]


def run_node(home: Path, jars: Path, library: Path) -> None:
    """Run one node until nobody holds the other end of standard input."""
    import jpype

    options = [f"-Xmx{_HEAP}", "-Xms128m", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED"]
    options += ["-Dlog4j2.disable.jmx=true", f"-Des.path.home={jars}"]
    classpath = sorted(map(str, (jars / "lib").glob("*.jar")))
    jpype.startJVM(str(library), "-Xrs", *options, classpath=classpath, convertStrings=False)
    config = jpype.JClass("java.nio.file.Paths").get(str(home / "config"))
    builder = jpype.JClass("org.elasticsearch.common.settings.Settings").builder()
    builder = builder.loadFromPath(config.resolve("elasticsearch.yml")).put("path.home", str(jars))
    environment = jpype.JClass("org.elasticsearch.env.Environment")(builder.build(), config)
    logging = jpype.JClass("org.elasticsearch.common.logging.LogConfigurator")
    logging.registerErrorListener()
    logging.configure(environment, True)
    loader = jpype.JClass("org.elasticsearch.plugins.PluginsLoader")
    modules = loader.loadModulesBundles(config.resolveSibling("modules"), True)
    plugins = loader.loadPluginsBundles(environment.pluginsDir(), False)
    loaded = loader.createPluginsLoader(modules, plugins, jpype.JClass("java.util.Map").of(), False)
    jpype.JClass("org.elasticsearch.node.Node")(environment, loaded).start()
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run_node(*map(Path, sys.argv[1:]))
