"""The process of an embedded node that runs: how it is found, what it listens on, and how it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from image_embeddings.embedded_node.state import LOCK_NAME, STATE_NAME, read_json, read_token

LOOPBACK = "127.0.0.1"
MODULE = "image_embeddings.embedded_node.server"
USER = "es"  # the name beside the token, for programs that ask for a name and a password
_PAUSE = 0.05


@dataclass(frozen=True, kw_only=True)
class RunningNode:
    """An embedded node that runs: its address, its process, and the token without which it answers nothing."""

    url: str
    token: str = field(repr=False)  # empty if it is lost
    pid: int
    version: str
    started_at: datetime
    home: Path
    log: Path
    has_started: bool = True  # False until it listens

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self.url.rpartition(":")[2])

    @property
    def client_url(self) -> str:
        """The address with the token in it, as all clients of Elasticsearch take it. It is a secret."""
        return self.url.replace("://", f"://{USER}:{self.token}@")


def find_node(home: Path) -> RunningNode | None:
    """Return the node of `home` that runs, or None.

    The node's state file says where it is. If that file is damaged, a process that still holds the node's lock shows
    it by its command line.
    """
    recorded = _described(home, read_json(home / STATE_NAME))
    if recorded is not None and is_node(recorded.pid, home):
        return recorded
    return next(_holders(home), None) if _is_locked(home) else None


def is_node(pid: int, home: Path) -> bool:
    """Return whether `pid` is the node of this home, and not another program that has got the same id since.

    The command line shows this. Start times do not, because they shift if a laptop's clock is set. Any user may start a
    program with such a command line, so the owner has to fit, too.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or process.uids().effective not in _trusted_users(home):
            return False
        command = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return MODULE in command and str(home) in command


def listens(running: RunningNode) -> bool:
    """Return whether the node itself listens at its address. Only then may it be sent the token.

    As long as it does not, any other program can. To list the ports of a process takes 10 ms, so that is not done over
    and over while it starts.
    """
    return running.has_started and psutil.CONN_LISTEN in _states_at_port(running)


def has_clients(running: RunningNode) -> bool:
    """Return whether a client is connected to the node."""
    return psutil.CONN_ESTABLISHED in _states_at_port(running)


def ends_within(process: psutil.Process, *, within: float) -> bool:
    """Return whether the process ends within that many seconds. A zombie counts as ended."""
    deadline = time.monotonic() + within
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def _described(home: Path, state: dict[str, Any]) -> RunningNode | None:
    try:
        return RunningNode(
            url=f"http://{LOOPBACK}:{int(state['http_port'])}",
            token=read_token(home),
            pid=int(state["pid"]),
            version=str(state["version"]),
            started_at=datetime.fromtimestamp(float(state["started_at"]), timezone.utc),
            home=home,
            log=home / "logs" / "node.log",
            has_started=bool(state.get("has_started", True)),  # older versions do not say it
        )
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _holders(home: Path) -> Iterator[RunningNode]:
    """Yield the nodes of `home` among all processes, as their command lines describe them."""
    for process in psutil.process_iter(["cmdline", "create_time"]):
        command = process.info["cmdline"] or []
        if MODULE in command and is_node(process.pid, home):
            values = dict(pairwise(command))
            state = {"http_port": values.get("--http-port"), "version": values.get("--version")}
            found = _described(home, {**state, "pid": process.pid, "started_at": process.info["create_time"]})
            if found is not None:
                yield found


def _is_locked(home: Path) -> bool:
    """Return whether the node holds its lock. Several may ask at once: a shared lock shuts out none of them."""
    try:
        descriptor = os.open(home / LOCK_NAME, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _trusted_users(home: Path) -> set[int]:
    return {0, os.geteuid(), home.stat().st_uid}


def _states_at_port(running: RunningNode) -> set[str]:
    try:
        connections = psutil.Process(running.pid).net_connections(kind="tcp")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return set()
    return {found.status for found in connections if found.laddr and found.laddr.port == running.port}
