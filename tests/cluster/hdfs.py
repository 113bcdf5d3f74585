"""HDFS on the loopback interface: a NameNode, and two DataNodes with a copy of each block.

    with hdfs_cluster(folder, jars=fetch_jars(cache)) as hdfs:
        hdfs.put(photos, "/photos")  # a file or a folder
        f"{hdfs.url}/photos"         # for Spark: hdfs://127.0.0.1:PORT
        hdfs.web_url, hdfs.user      # for WebHDFS: http://127.0.0.1:PORT and the user who may write
        hdfs.kill_datanode(0)        # hdfs.start() starts it again

Hadoop's own programs run, from the jars of its small clusters. All processes end with the one that started them.
"""

import getpass
import json
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlencode
from xml.etree.ElementTree import Element, SubElement, tostring

import psutil
import requests

from tests.cluster import java
from tests.cluster.owned_process import OwnedProcess
from tests.cluster.three_nodes import free_ports
from tests.waiting import LONG, wait_for

DATANODES = 2
_NAMENODE = "org.apache.hadoop.hdfs.server.namenode.NameNode"
_DATANODE = "org.apache.hadoop.hdfs.server.datanode.DataNode"
_HEAP = "160m"
_WRITERS = 8  # number of files that are written at the same time
_LOGGING = """\
log4j.rootLogger=INFO,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d %p %c{2}: %m%n
"""


class Hdfs:
    """The file system, as tests use it."""

    user = getpass.getuser()  # who starts it: the one who may do everything

    def __init__(self, folder: Path, *, jars: Sequence[Path]) -> None:
        self.folder = folder
        found = java.find_java()
        assert found, java.MISSING
        with free_ports(2) as (self._port, self._web_port):
            pass
        config = folder / "conf"
        config.mkdir()
        (config / "log4j.properties").write_text(_LOGGING)
        _write_settings(config / "core-site.xml", {"fs.defaultFS": self.url, "hadoop.tmp.dir": f"{folder}/tmp"})
        _write_settings(config / "hdfs-site.xml", self._settings())
        classpath = ":".join(map(str, [config, *jars]))
        self._java = [str(found.executable), f"-Xmx{_HEAP}", "--add-opens=java.base/java.lang=ALL-UNNAMED"]
        self._java += ["-cp", classpath]
        self._environment = java.environment(folder, found)
        self._namenode: OwnedProcess | None = None
        self._datanodes: dict[int, OwnedProcess] = {}

    def _settings(self) -> dict[str, object]:
        return {
            "dfs.replication": DATANODES,
            "dfs.namenode.safemode.extension": 0,
            "dfs.namenode.name.dir": f"file://{self.folder}/names",
            "dfs.namenode.http-address": f"127.0.0.1:{self._web_port}",
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            # A DataNode counts as dead 12 seconds after its last heartbeat: 2 × recheck-interval and 10 × heartbeat.
            "dfs.heartbeat.interval": 1,
            "dfs.namenode.heartbeat.recheck-interval": 1000,
            "dfs.datanode.hostname": "127.0.0.1",
            "dfs.datanode.address": "127.0.0.1:0",
            "dfs.datanode.http.address": "127.0.0.1:0",
            "dfs.datanode.ipc.address": "127.0.0.1:0",
        }

    @property
    def url(self) -> str:
        return f"hdfs://127.0.0.1:{self._port}"

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self._web_port}"

    def start(self) -> None:
        """Start what does not run, and return when the NameNode takes files for two DataNodes."""
        if self._namenode is None:
            if not (self.folder / "names").exists():
                formatting = self._start("format", _NAMENODE, "-format", "-nonInteractive")
                assert formatting.wait() == 0, formatting.log.read_text(errors="replace")[-4000:]
            self._namenode = self._start("namenode", _NAMENODE)
        for number in set(range(DATANODES)) - set(self._datanodes):
            data = f"-Ddfs.datanode.data.dir=file://{self.folder}/data-{number}"
            self._datanodes[number] = self._start(f"datanode-{number}", _DATANODE, data)
        wait_for(self._is_whole, what=lambda: str(self.state()))

    def _start(self, name: str, *arguments: str) -> OwnedProcess:
        return OwnedProcess([*self._java, *arguments], log=self.folder / f"{name}.log", env=self._environment)

    def _is_whole(self) -> bool:
        for process in self._all():
            process.check_runs()
        # The NameNode may still list a killed DataNode, with the ports that it had.
        nodes = json.loads(self.state("NameNodeInfo").get("LiveNodes", "{}")).values()
        reached = [node for node in nodes if _listens(node["infoAddr"])]
        return len(reached) == DATANODES and self.state().get("FSState") == "Operational"

    def state(self, bean: str = "FSNamesystemState") -> dict:
        """What the NameNode says of itself and of its DataNodes; empty if it does not answer."""
        query = urlencode({"qry": f"Hadoop:service=NameNode,name={bean}"})
        try:
            beans = requests.get(f"{self.web_url}/jmx?{query}", timeout=10).json()["beans"]
        except (OSError, ValueError):
            return {}
        return beans[0] if beans else {}

    def put(self, local: Path, path: str) -> None:
        """Write a file, or all files below a folder, to `path`. What is there already is replaced."""
        files = [file for file in local.rglob("*") if file.is_file()] if local.is_dir() else [local]
        paths = [str(PurePosixPath(path, file.relative_to(local).as_posix())) for file in files]
        with ThreadPoolExecutor(_WRITERS) as pool:
            list(pool.map(self.write, paths, [file.read_bytes() for file in files]))

    def write(self, path: str, content: bytes) -> None:
        """Write a file. Folders above it are made."""
        query = urlencode({"op": "CREATE", "user.name": self.user, "overwrite": "true", "noredirect": "true"})
        answer = requests.put(f"{self.web_url}/webhdfs/v1{quote(path)}?{query}", timeout=LONG)
        answer.raise_for_status()
        requests.put(answer.json()["Location"], data=content, timeout=LONG).raise_for_status()

    def processes(self) -> list[psutil.Process]:
        """Return all processes: the NameNode's first, then those of the DataNodes by their numbers."""
        return [each for owned in self._all() for each in owned.children()]

    def _all(self) -> list[OwnedProcess]:
        datanodes = [self._datanodes[number] for number in sorted(self._datanodes)]
        return [*([self._namenode] if self._namenode else []), *datanodes]

    def kill_datanode(self, number: int) -> None:
        """Kill a DataNode, as the loss of a machine does. Its blocks have a copy on the other one.

        For 12 seconds, the NameNode goes on to send readers to it (`excludedatanodes` of WebHDFS keeps them from it).
        """
        self._datanodes.pop(number).kill()

    def kill_namenode(self) -> None:
        """Kill the NameNode. `start` starts it again with the files that it had."""
        assert self._namenode
        self._namenode.kill()
        self._namenode = None

    def close(self) -> None:
        """Kill all that runs."""
        for process in self._all():
            process.kill()
        self._namenode = None
        self._datanodes.clear()


@contextmanager
def hdfs_cluster(folder: Path, *, jars: Sequence[Path]) -> Iterator[Hdfs]:
    """Start HDFS with all its files below `folder`, and kill it at the end."""
    cluster = Hdfs(folder, jars=jars)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0


def _write_settings(file: Path, settings: dict) -> None:
    root = Element("configuration")
    for name, value in settings.items():
        setting = SubElement(root, "property")
        SubElement(setting, "name").text = name
        SubElement(setting, "value").text = str(value)
    file.write_bytes(tostring(root))
