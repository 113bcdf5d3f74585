"""The embedded Elasticsearch: one node on the loopback interface. Its process still runs after the command has ended.

Files in its home:

- `jars-VERSION/`: the program
- `data/`, `logs/`
- `config/`, `modules/`: the same at each start
- `node.json`: the version that wrote the data
- `process.json`: the process that runs; that process writes it
- `token`: the secret that this process demands; it makes another one at each start
- `kept.json`: the process, if it was started by hand
- `start.lock`: held by the one command that starts or stops the node
- `process.lock`: held by the node while it runs
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from image_embeddings.embedded_node import failures
from image_embeddings.embedded_node.folder import hold_start_lock, wait_until_released
from image_embeddings.embedded_node.health import TokenRefusedError, ask, is_usable
from image_embeddings.embedded_node.jars import VERSION, FetchJars, fetch_from_maven, install_jars
from image_embeddings.embedded_node.java import JavaRuntime, choose_java
from image_embeddings.embedded_node.process import end_process, free_port, start_process
from image_embeddings.embedded_node.running import RunningNode, find_node, has_clients, is_node, listens
from image_embeddings.embedded_node.settings_files import check_version, write_files
from image_embeddings.embedded_node.state import STATE_NAME, TOKEN_NAME, read_json, write_json
from image_embeddings.errors import NodeDataError, NodePortError, NodeStartError

Notify = Callable[[str], None]

_log = logging.getLogger(__name__)
_START_TRIES = 3
_PAUSE = 0.05
SETTLING_SECONDS = 1.0  # time for a command that has just found the node to connect to it


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
        with hold_start_lock(self.home):
            found = self.status()
            # A node that was just killed may still seem to run. Then it ends, and another one is started.
            if found is not None and (running := self._answering(found.pid, notify)) is not None:
                return running
            wait_until_released(self.home)
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
        with hold_start_lock(self.home):  # wait for a node that is just starting: whoever starts it will connect
            running = self.status()
            if running is None or (unless_used_within is not None and self.in_use(within=unless_used_within)):
                return False
            self._end(running.pid, notify)
            wait_until_released(self.home)
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

    def _prepare(self, notify: Notify) -> JavaRuntime:
        """Check everything that can be checked before a process starts, write its files, and return its Java."""
        if os.pathsep in str(self.jars):
            raise NodeStartError(
                f"Java cannot use a folder with '{os.pathsep}' in its name: {self.jars}. Set DATA_DIR to another one. "
                f"{failures.WAY_OUT}"
            )
        check_version(self.home)
        failures.check_disk(self.home)
        failures.check_memory(self.heap)
        java = choose_java(self.java_home, notify=notify)
        install_jars(self.jars, fetch=self.fetch_jars, notify=notify)
        write_files(self.home)
        return java

    def _launch(self, java: JavaRuntime, notify: Notify) -> RunningNode:
        """Start the node and return it when it answers. Try other ports if another program takes the chosen ones."""
        for tries_left in reversed(range(_START_TRIES)):
            # Another port at each start: so no other program knows, or can occupy, the address that clients look for.
            running = self._answering(self._start_process(java, free_port()), notify)
            if running is not None:
                return running
            failure = self._failure()
            if not (tries_left and isinstance(failure, NodePortError)):
                break
        raise failure

    def _start_process(self, java: JavaRuntime, http_port: int) -> int:
        return start_process(
            self.home, jars=self.jars, java=java, heap=self.heap, http_port=http_port, log=self.start_log
        )

    def _answering(self, pid: int, notify: Notify) -> RunningNode | None:
        """Return the node when it answers. Return None if process `pid` ends before that and no other node runs.

        A node whose token is lost cannot be used by anybody. It is ended.
        """
        deadline, misses = time.monotonic() + self.start_timeout, 0
        while time.monotonic() < deadline:
            running = self.status()
            try:
                if running is not None and is_usable(running):
                    return running
            except TokenRefusedError:
                notify("The token of the running node is lost, so the node is ended and started again.")
                self._end(pid, notify)
                return None
            # While a program takes the place of another (exec), a process has no command line: so look twice.
            misses = misses + 1 if running is None and not is_node(pid, self.home) else 0
            if misses == 2:
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
        end_process(pid, self.home, within=self.stop_timeout, notify=notify)
