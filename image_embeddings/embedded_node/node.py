"""The embedded Elasticsearch: one node on the loopback interface. Its process still runs after the command has ended.

Files in its home:

- `jars-VERSION/`: the program
- `data/`, `logs/`
- `config/`, `modules/`: written at each start
- `node.json`: the version that wrote the data
- `process.json`: the process that runs; that process writes it
- `token`: the secret that this process demands; it makes another one at each start
- `kept.json`: the process, if it was started by hand
- `start.lock`: held by the one command that starts or stops the node
- `process.lock`: held by the node while it runs
"""

import json
import logging
import os
import secrets
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from image_embeddings.data_dir import make_data_dir
from image_embeddings.embedded_node import failures
from image_embeddings.embedded_node.health import TokenRefusedError, ask, is_usable
from image_embeddings.embedded_node.jars import VERSION, FetchJars, fetch_from_maven, install_jars
from image_embeddings.embedded_node.java import VECTOR_MODULE, JavaRuntime, choose_java
from image_embeddings.embedded_node.plugin import write_plugin
from image_embeddings.embedded_node.running import (
    LOOPBACK,
    MODULE,
    RunningNode,
    ends_within,
    find_node,
    has_clients,
    is_node,
    listens,
)
from image_embeddings.embedded_node.state import LOCK_NAME, STATE_NAME, TOKEN_NAME, read_json, write_json
from image_embeddings.errors import NodeDataError, NodePortError, NodeStartError

Notify = Callable[[str], None]

_log = logging.getLogger(__name__)
_ROOT = Path(__file__).resolve().parents[2]
# Below the ports that systems use for outgoing connections (from 32768), so that none of those gets the port first.
_PORTS = range(20_000, 32_000)
_PORT_TRIES = 100
_START_TRIES = 3
_PAUSE = 0.05
_RELEASE_SECONDS = 5.0
SETTLING_SECONDS = 1.0  # time for a command that has just found the node to connect to it

# $0 is the log, $@ the command. The locale is set because in the locale C, Java cannot open a folder with an umlaut in
# its name.
_DETACHED = 'LC_ALL=C.UTF-8 exec "$@" >>"$0" 2>&1 & echo $!'

# The default watermarks are shares of the disk (85, 90, 95 %). To them, a laptop's disk with 50 GB free is "full".
# Absolute watermarks still stop writes before the disk is so full that the node's data could be damaged.
_SETTINGS = """\
cluster.name: image-search
node.name: embedded
discovery.type: single-node
network.host: 127.0.0.1
http.port: {http_port}
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


class EmbeddedNode:
    """The embedded node of one folder. Start it, stop it, or ask whether it runs."""

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
        """Describe the node whose files are in `home`. Nothing is started or written yet.

        `jars` is the folder of the program (default: one in `home`), so that nodes can share it. `fetch_jars` downloads
        the program. Times are in seconds.
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
        """Return the running node, and start it if none runs. It answers requests when this returns.

        Raises:
            NodeDownloadError: its jars cannot be fetched.
            NodeMemoryError: there is too little memory for its heap.
            NodePortError: no port is free.
            NodeDataError: its data was written by a newer version, or is damaged.
            NodeStartError: it does not start for another reason. The message has the last lines of the log.
        """
        with self._hold_start_lock():
            found = self.status()
            # A node that was just killed may still seem to run. Then it ends, and another one is started.
            if found is not None and (running := self._answering(found.pid, notify)) is not None:
                return running
            self._wait_for_files()
            java = self._prepare(notify)
            notify(f"Starting the embedded Elasticsearch {VERSION} …")
            started = time.monotonic()
            running = self._launch(java, notify)
            notify(f"Elasticsearch answers at {running.url} after {time.monotonic() - started:.0f} s.")
            return running

    def stop(self, *, unless_used_within: float | None = None, notify: Notify = _log.warning) -> bool:
        """Stop the node, and return whether there was one to stop. Its process has ended when this returns.

        The data stays. If `unless_used_within` is given, the node is not stopped if a client is connected now or within
        that many seconds.

        Raises:
            NodeStartError: the folder cannot be used, or the process belongs to another user.
        """
        if not self.home.is_dir():
            return False
        with self._hold_start_lock():  # wait for a node that is just starting: whoever starts it will connect
            running = self.status()
            if running is None or (unless_used_within is not None and self.in_use(within=unless_used_within)):
                return False
            self._end(running.pid, notify)
            self._wait_for_files()
            for name in (STATE_NAME, TOKEN_NAME):
                (self.home / name).unlink(missing_ok=True)
            return True

    def status(self) -> RunningNode | None:
        """Return the node that runs, or None. A node that is just starting runs, but does not answer yet."""
        return find_node(self.home)

    def answers(self) -> bool:
        """Return whether the node runs and answers, and all of its index can be read. Return within a few seconds."""
        running = self.status()
        try:
            return running is not None and is_usable(running)
        except TokenRefusedError:
            return False

    def locate(self) -> str | None:
        """Return the address of the running node with the token in it, or None if it does not listen there."""
        running = self.status()
        return running.client_url if running is not None and running.token and listens(running) else None

    def keep(self) -> None:
        """Record that the running node was started by hand, so that no web server stops it when it ends."""
        if running := self.status():
            write_json(self.home / "kept.json", {"pid": running.pid})

    def is_kept(self) -> bool:
        """Return whether the running node was started by hand."""
        running = self.status()
        return running is not None and read_json(self.home / "kept.json").get("pid") == running.pid

    def is_disk_full(self) -> bool:
        """Return whether the disk of its folder lacks the room that the node needs."""
        return self.home.is_dir() and failures.is_disk_full(self.home)

    def check_disk(self) -> None:
        """Raise NodeStartError if the disk lacks the room that the node needs."""
        failures.check_disk(self.home)

    def in_use(self, *, within: float = 0.0) -> bool:
        """Return whether a client is connected to the running node, now or within that many seconds.

        Clients keep their connections open as long as they run. So the answer is whether a web app or an indexing run
        uses the node.
        """
        deadline = time.monotonic() + within
        while True:
            running = self.status()
            if running is None:
                return False
            if has_clients(running):
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)

    @contextmanager
    def _hold_start_lock(self) -> Iterator[None]:
        with failures.readable_file_errors(self.home):
            make_data_dir(self.home.parent)
            self._make_home()
            with FileLock(self.home / "start.lock"):
                yield

    def _make_home(self) -> None:
        """Make the folder. Nobody else may read it, because the index tells what is in private photos."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if stat.S_IMODE(self.home.stat().st_mode) & 0o077:
            try:
                self.home.chmod(0o700)
            except PermissionError:
                _log.warning("Other users may be able to read %s: its permissions cannot be changed.", self.home)

    def _wait_for_files(self) -> None:
        """Wait until no node holds the folder. After a kill, threads keep its files and ports for a moment.

        Return in any case after _RELEASE_SECONDS. If a process still holds the folder, the next start says so.
        """
        with suppress(Timeout), FileLock(self.home / LOCK_NAME).acquire(timeout=_RELEASE_SECONDS):
            return

    def _prepare(self, notify: Notify) -> JavaRuntime:
        """Check everything that can be checked before a process starts, write its files, and return its Java."""
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
        write_plugin(self.home / "modules")
        return java

    def _check_version(self) -> None:
        written_by = str(read_json(self.home / "node.json").get("version", VERSION))
        if _version_key(written_by) > _version_key(VERSION):
            raise failures.data_error(self.home, f"{written_by}, which is newer than {VERSION}")

    def _launch(self, java: JavaRuntime, notify: Notify) -> RunningNode:
        """Start the node and return it when it answers. Try other ports if another program takes the chosen ones."""
        for tries_left in reversed(range(_START_TRIES)):
            http_port = self._configure()
            running = self._answering(self._spawn(java, http_port), notify)
            if running is not None:
                return running
            failure = self._failure()
            if not (tries_left and isinstance(failure, NodePortError)):
                break
        raise failure

    def _configure(self) -> int:
        """Write the node's settings and return its port, which is another one at each start.

        So no other program knows, or can occupy, the address where clients will look for the node.
        """
        write_json(self.home / "node.json", {"version": VERSION})
        http_port = _free_port()
        settings = _SETTINGS.format(
            http_port=http_port,
            data=json.dumps(str(self.home / "data")),  # A JSON string is a YAML string, whatever is in the path.
            logs=json.dumps(str(self.home / "logs")),
        )
        (self.home / "config" / "elasticsearch.yml").write_text(settings, encoding="utf-8")
        return http_port

    def _spawn(self, java: JavaRuntime, http_port: int) -> int:
        """Start the node's process and return its id. It has a session of its own and is not a child of this process.

        So nobody has to wait for its end.
        """
        self.start_log.write_bytes(b"")
        command = [sys.executable, "-m", MODULE, "--home", str(self.home), "--jars", str(self.jars)]
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
            # Seen on two cores: 275 MB resident after a start. With the default collector (and its usual -Xms512m) it
            # was 415 MB, in the same time.
            "-XX:+UseSerialGC",
            "-XX:+ExitOnOutOfMemoryError",
            f"-XX:ErrorFile={self.home / 'logs' / 'java-crash.log'}",
            "--enable-native-access=ALL-UNNAMED",
            "-Dlog4j2.disable.jmx=true",
            "-Dlog4j.shutdownHookEnabled=false",
            f"-Des.path.home={self.jars}",
        ]
        return [*options, f"--add-modules={VECTOR_MODULE}"] if java.simd else options

    def _answering(self, pid: int, notify: Notify) -> RunningNode | None:
        """Return the node when it answers. Return None if process `pid` ends before that and no other node runs.

        A node whose token is lost cannot be used by anybody. It is ended.
        """
        deadline = time.monotonic() + self.start_timeout
        while time.monotonic() < deadline:
            running = self.status()
            try:
                if running is not None and is_usable(running):
                    return running
            except TokenRefusedError:
                notify("The token of the running node is lost, so the node is ended and started again.")
                self._end(pid, notify)
                return None
            if running is None and not is_node(pid, self.home):
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
        if running is not None and ask(running, "/_cluster/health") is not None:
            return failures.damaged_error(self.home, "not all of its index can be loaded (cluster health is red)")
        return NodeStartError(
            f"The embedded node (process {pid}) did not answer within {self.start_timeout:.0f} s. It may still be "
            f"starting: run the command again; if that does not help, stop it (node stop) and read "
            f"{self.home / 'logs' / 'node.log'}. {failures.WAY_OUT}"
        )

    def _end(self, pid: int, notify: Notify) -> None:
        try:
            process = psutil.Process(pid)
            process.terminate()
            if not ends_within(process, within=self.stop_timeout):
                notify(f"The embedded node did not end within {self.stop_timeout:.0f} s, so it is killed.")
                process.kill()
                ends_within(process, within=self.stop_timeout)
        except psutil.NoSuchProcess:
            return
        except psutil.AccessDenied as error:
            raise NodeStartError(
                f"The embedded node of {self.home} (process {pid}) was started by another user, who has to stop it. "
                f"{failures.WAY_OUT}"
            ) from error


def _free_port() -> int:
    for port in secrets.SystemRandom().sample(_PORTS, _PORT_TRIES):
        if _can_listen(port):
            return port
    raise NodePortError(
        f"None of {_PORT_TRIES} ports tried on {LOOPBACK} is free for the embedded node. Close programs that listen "
        f"there, or look for a firewall that forbids it. {failures.WAY_OUT}"
    )


def _can_listen(port: int) -> bool:
    with socket.socket() as listener:
        # Elasticsearch does the same. So open connections of a node that was just stopped do not block the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split(".") if part.isdigit())
