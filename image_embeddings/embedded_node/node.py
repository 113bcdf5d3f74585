"""The embedded Elasticsearch: one node on the loopback interface, in a process of its own that outlives the command.

Files in its home: `jars-VERSION/` (the program), `data/`, `config/` (written at each start), `logs/`, `node.json`
(ports and version, kept from start to start), `process.json` (the process that runs, written by that process),
`kept.json` (the process that was started by hand) and two locks: `start.lock` is held by the one command that starts
or stops the node, `process.lock` by the node while it lives.
"""

import http.client
import json
import logging
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from image_embeddings.embedded_node import failures
from image_embeddings.embedded_node.jars import VERSION, FetchJars, fetch_from_maven, install_jars
from image_embeddings.embedded_node.java import VECTOR_MODULE, JavaRuntime, choose_java
from image_embeddings.embedded_node.state import LOCK_NAME, STATE_NAME, read_json, write_json
from image_embeddings.errors import NodeDataError, NodePortError, NodeStartError

Notify = Callable[[str], None]

_log = logging.getLogger(__name__)
_ROOT = Path(__file__).resolve().parents[2]
_MODULE = "image_embeddings.embedded_node.server"
_LOOPBACK = "127.0.0.1"
# Below the ports that systems lend to outgoing connections (from 32768), so that a stopped node's port stays free.
_PORTS = range(20_000, 32_000)
_PORT_TRIES = 100
_START_TRIES = 3
_PAUSE = 0.05
_RELEASE_SECONDS = 5.0
SETTLING_SECONDS = 1.0  # in which another command that has just found the node connects to it

# $0 is the log, $@ the command. In a C locale Java cannot open a folder with an umlaut in its name.
_DETACHED = 'LC_ALL=C.UTF-8 exec "$@" >>"$0" 2>&1 & echo $!'

# Watermarks: the defaults are shares of the disk (85, 90, 95 %), which leave a laptop's disk "full" with 50 GB free.
# Absolute ones still stop writing while a truly full disk has room for the node to stay sound.
_SETTINGS = """\
cluster.name: image-search
node.name: embedded
discovery.type: single-node
network.host: 127.0.0.1
http.port: {http_port}
transport.port: {transport_port}
path.data: {data}
path.logs: {logs}
action.auto_create_index: false
cluster.routing.allocation.disk.watermark.low: 300mb
cluster.routing.allocation.disk.watermark.high: 200mb
cluster.routing.allocation.disk.watermark.flood_stage: 100mb
"""

_LOGGING = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${sys:es.logs.base_path}/node.log
appender.file.filePattern = ${sys:es.logs.base_path}/node-%i.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c{1} %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 1
# The libraries it misses at every start (zstd, SIMD in C) are not on Maven Central, and nothing here needs them.
logger.native.name = org.elasticsearch.nativeaccess
logger.native.level = error
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
"""


@dataclass(frozen=True, kw_only=True)
class RunningNode:
    """The embedded node that runs: where it answers, and which process it is."""

    url: str
    pid: int
    version: str
    started_at: datetime
    home: Path
    log: Path


class LocalNode:
    """The embedded node of one folder: starts it, stops it, tells whether it runs."""

    def __init__(
        self,
        home: Path,
        *,
        heap: str = "1g",
        java_home: Path | None = None,
        jars: Path | None = None,
        fetch_jars: FetchJars = fetch_from_maven,
        start_timeout: float = 120.0,
        stop_timeout: float = 30.0,
    ) -> None:
        """The node whose files are in `home`; nothing is started or written yet.

        `jars` is where the program is kept (default: in `home`), so that nodes can share it; `fetch_jars` gets it.
        Times are in seconds.
        """
        self.home = home.resolve()
        self.heap = heap
        self.java_home = java_home
        self.jars = (jars or home / f"jars-{VERSION}").resolve()
        self.fetch_jars = fetch_jars
        self.start_timeout = start_timeout
        self.stop_timeout = stop_timeout
        self.start_log = self.home / "logs" / "start.log"

    def start(self, *, notify: Notify = _log.info) -> RunningNode:
        """The node that runs already, else one that was started now; it answers.

        Raises:
            NodeDownloadError: its jars cannot be fetched.
            NodeMemoryError: too little memory for its heap.
            NodePortError: no port is free.
            NodeDataError: its data was written by a newer version, or is damaged.
            NodeStartError: anything else; has the last lines of the log.
        """
        with self._hold_start_lock():
            found = self.status()
            # One that was just killed may still look alive; then it ends, and another is started.
            if found is not None and (running := self._answering(found.pid)) is not None:
                return running
            self._wait_for_files()
            java = self._prepare(notify)
            notify(f"Starting the embedded Elasticsearch {VERSION} …")
            started = time.monotonic()
            running = self._launch(java)
            notify(f"Elasticsearch answers at {running.url} after {time.monotonic() - started:.0f} s.")
            return running

    def stop(self, *, unless_used_within: float | None = None, notify: Notify = _log.warning) -> bool:
        """Whether there was a node to stop; it is gone when this returns. Its data stays.

        With `unless_used_within`, nothing is stopped if a client is connected now or within that many seconds.

        Raises:
            NodeStartError: the folder cannot be used, or the process belongs to someone else.
        """
        if not self.home.is_dir():
            return False
        with self._hold_start_lock():  # a node that is being started is waited for: who starts it will connect
            running = self.status()
            if running is None or (unless_used_within is not None and self.in_use(within=unless_used_within)):
                return False
            self._end(running.pid, notify)
            self._wait_for_files()
            (self.home / STATE_NAME).unlink(missing_ok=True)
            return True

    def status(self) -> RunningNode | None:
        """The node that runs, or None; one that is just starting runs, but does not answer yet."""
        state = read_json(self.home / STATE_NAME)
        try:
            running = RunningNode(
                url=f"http://{_LOOPBACK}:{int(state['http_port'])}",
                pid=int(state["pid"]),
                version=str(state["version"]),
                started_at=datetime.fromtimestamp(float(state["started_at"]), timezone.utc),
                home=self.home,
                log=self.home / "logs" / "node.log",
            )
        except (KeyError, TypeError, ValueError):
            return None
        return running if self._runs(running.pid) else None

    def keep(self) -> None:
        """Note that the node that runs was started by hand, so that no web server stops it at its end."""
        if running := self.status():
            write_json(self.home / "kept.json", {"pid": running.pid})

    def is_kept(self) -> bool:
        """Return whether the node that runs was started by hand."""
        running = self.status()
        return running is not None and read_json(self.home / "kept.json").get("pid") == running.pid

    def is_disk_full(self) -> bool:
        """Whether the disk of its folder lacks the room that it needs."""
        return self.home.is_dir() and failures.is_disk_full(self.home)

    def check_disk(self) -> None:
        """Passes where the disk has room for the node to work.

        Raises:
            NodeStartError: it has not.
        """
        failures.check_disk(self.home)

    def in_use(self, *, within: float = 0.0) -> bool:
        """Whether a client is connected to the node that runs, now or within that many seconds.

        Clients keep their connections open while they live: this tells whether a web app or an indexing run is there.
        """
        deadline = time.monotonic() + within
        while True:
            running = self.status()
            if running is None:
                return False
            if _has_clients(running):
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)

    @contextmanager
    def _hold_start_lock(self) -> Iterator[None]:
        with failures.readable_file_errors(self.home):
            self.home.mkdir(parents=True, exist_ok=True)
            with FileLock(self.home / "start.lock"):
                yield

    def _wait_for_files(self) -> None:
        """Returns when no node holds the folder; after a kill, threads keep its files and ports for a moment longer.

        A process that keeps them for good is not waited for: the next start will say that it is there.
        """
        with suppress(Timeout), FileLock(self.home / LOCK_NAME).acquire(timeout=_RELEASE_SECONDS):
            return

    def _prepare(self, notify: Notify) -> JavaRuntime:
        """Everything that can be known to be wrong before a process starts, and the files it needs."""
        if os.pathsep in str(self.jars):
            raise NodeStartError(
                f"Java cannot use a folder with '{os.pathsep}' in its name: {self.jars}. Set DATA_DIR to another one. "
                f"{failures.WAY_OUT}"
            )
        self._check_version()
        failures.check_disk(self.home)
        failures.check_memory(self.heap)
        java = choose_java(self.java_home, notify=notify)
        install_jars(self.jars, fetch=self.fetch_jars, notify=notify)
        for folder in ("config", "data", "logs"):
            (self.home / folder).mkdir(exist_ok=True)
        (self.home / "config" / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
        return java

    def _check_version(self) -> None:
        written_by = str(read_json(self.home / "node.json").get("version", VERSION))
        if _version_key(written_by) > _version_key(VERSION):
            raise failures.data_error(self.home, f"{written_by}, which is newer than {VERSION}")

    def _launch(self, java: JavaRuntime) -> RunningNode:
        """The node, started and answering; on other ports where another program is quicker to take the chosen ones."""
        for tries_left in reversed(range(_START_TRIES)):
            http_port = self._configure()
            running = self._answering(self._spawn(java, http_port))
            if running is not None:
                return running
            failure = self._failure()
            if not (tries_left and isinstance(failure, NodePortError)):
                break
        raise failure

    def _configure(self) -> int:
        """Writes the node's settings, with the ports it had before where they are still free; the HTTP port."""
        known = read_json(self.home / "node.json")
        http_port = _free_port(known.get("http_port"))
        transport_port = _free_port(known.get("transport_port"), other_than=http_port)
        write_json(
            self.home / "node.json",
            {"version": VERSION, "http_port": http_port, "transport_port": transport_port},
        )
        settings = _SETTINGS.format(
            http_port=http_port,
            transport_port=transport_port,
            data=json.dumps(str(self.home / "data")),  # A JSON string is a YAML string, whatever is in the path.
            logs=json.dumps(str(self.home / "logs")),
        )
        (self.home / "config" / "elasticsearch.yml").write_text(settings, encoding="utf-8")
        return http_port

    def _spawn(self, java: JavaRuntime, http_port: int) -> int:
        """The id of a new process of its own session that is no child of this one, so nobody has to reap it."""
        self.start_log.write_bytes(b"")
        command = [sys.executable, "-m", _MODULE, "--home", str(self.home), "--jars", str(self.jars)]
        command += ["--library", str(java.library), "--http-port", str(http_port), "--version", VERSION]
        command += [f"--jvm-option={option}" for option in self._jvm_options(java)]
        launched = subprocess.run(
            ["/bin/sh", "-c", _DETACHED, str(self.start_log), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
            cwd=_ROOT,
            start_new_session=True,
        )
        return int(launched.stdout)

    def _jvm_options(self, java: JavaRuntime) -> list[str]:
        options = [
            f"-Xmx{self.heap}",
            f"-Xms{min(failures.heap_bytes(self.heap), 128 * 2**20)}",
            # Seen on two cores: 275 MB resident after a start instead of 415 MB with the default collector (and its
            # usual -Xms512m), in the same time.
            "-XX:+UseSerialGC",
            "-XX:+ExitOnOutOfMemoryError",
            f"-XX:ErrorFile={self.home / 'logs' / 'java-crash.log'}",
            "--enable-native-access=ALL-UNNAMED",
            "-Dlog4j2.disable.jmx=true",
            "-Dlog4j.shutdownHookEnabled=false",
            f"-Des.path.home={self.jars}",
        ]
        return [*options, f"--add-modules={VECTOR_MODULE}"] if java.simd else options

    def _answering(self, pid: int) -> RunningNode | None:
        """The node, once it answers; None if process `pid` ends first and no other was quicker to start."""
        deadline = time.monotonic() + self.start_timeout
        while time.monotonic() < deadline:
            running = self.status()
            if running is not None and _is_usable(running):
                return running
            if running is None and not self._runs(pid):
                return None
            time.sleep(_PAUSE)
        raise self._too_slow(pid)

    def _failure(self) -> Exception:
        java = str(self.java_home or "bundled")
        return failures.explain(self.start_log, home=self.home, heap=self.heap, java=java)

    def _too_slow(self, pid: int) -> NodeDataError | NodeStartError:
        if failures.is_disk_full(self.home):
            return failures.disk_full(self.home)
        running = self.status()
        if running is not None and _request(running, "/_cluster/health") is not None:
            return failures.damaged_error(self.home, "not all of its index can be loaded (cluster health is red)")
        return NodeStartError(
            f"The embedded node (process {pid}) did not answer within {self.start_timeout:.0f} s. It may still be "
            f"starting: run the command again; if that does not help, stop it (node stop) and read "
            f"{self.home / 'logs' / 'node.log'}. {failures.WAY_OUT}"
        )

    def _runs(self, pid: int) -> bool:
        """Whether `pid` is the node of this home, not another program that got its number meanwhile.

        Its command line tells. Start times do not: they shift when a laptop's clock is set.
        """
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            command = process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False
        return _MODULE in command and str(self.home) in command

    def _end(self, pid: int, notify: Notify) -> None:
        try:
            process = psutil.Process(pid)
            process.terminate()
            if not _ends_within(process, within=self.stop_timeout):
                notify(f"The embedded node did not end within {self.stop_timeout:.0f} s, so it is killed.")
                process.kill()
                _ends_within(process, within=self.stop_timeout)
        except psutil.NoSuchProcess:
            return
        except psutil.AccessDenied as error:
            raise NodeStartError(
                f"The embedded node of {self.home} (process {pid}) was started by another user, who has to stop it. "
                f"{failures.WAY_OUT}"
            ) from error


def _has_clients(running: RunningNode) -> bool:
    port = int(running.url.rpartition(":")[2])
    try:
        connections = psutil.Process(running.pid).net_connections(kind="tcp")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return any(found.status == psutil.CONN_ESTABLISHED and found.laddr.port == port for found in connections)


def _ends_within(process: psutil.Process, *, within: float) -> bool:
    """Whether the process ends within that many seconds; a zombie has ended."""
    deadline = time.monotonic() + within
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def _is_usable(running: RunningNode) -> bool:
    """Whether all that was ever written can be read; an index that has no place on the disk yet holds nothing."""
    answer = _request(running, "/_cluster/health?wait_for_status=yellow&timeout=1s")
    if answer is None:
        return False
    return answer.get("timed_out") is False or _lacks_new_indices_only(running)


def _lacks_new_indices_only(running: RunningNode) -> bool:
    wanted = "routing_table.indices.*.shards.*.state,routing_table.indices.*.shards.*.unassigned_info.reason"
    answer = _request(running, f"/_cluster/state/routing_table?filter_path={wanted}")
    if answer is None:
        return False
    indices = answer.get("routing_table", {}).get("indices", {}).values()
    copies = [copy for index in indices for shard in index["shards"].values() for copy in shard]
    lacking = [copy for copy in copies if copy["state"] != "STARTED"]
    return all(copy.get("unassigned_info", {}).get("reason") == "INDEX_CREATED" for copy in lacking)


def _request(running: RunningNode, path: str) -> dict[str, Any] | None:
    """The JSON answer, or None where nobody answers; by http.client, because a proxy must not come between."""
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else None


def _free_port(remembered: object, *, other_than: int | None = None) -> int:
    if isinstance(remembered, int) and 0 < remembered < 65_536 and remembered != other_than:
        deadline = time.monotonic() + 1  # A node that just ended lets go of its files before its ports.
        while time.monotonic() < deadline:
            if _can_listen(remembered):
                return remembered
            time.sleep(_PAUSE)
    for port in random.sample(_PORTS, _PORT_TRIES):
        if port != other_than and _can_listen(port):
            return port
    raise NodePortError(
        f"None of {_PORT_TRIES} ports tried on {_LOOPBACK} is free for the embedded node. Close programs that listen "
        f"there, or look for a firewall that forbids it. {failures.WAY_OUT}"
    )


def _can_listen(port: int) -> bool:
    with socket.socket() as listener:
        # As Elasticsearch does, so that connections of a node just stopped do not count.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_LOOPBACK, port))
        except OSError:
            return False
        return True


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split(".") if part.isdigit())
