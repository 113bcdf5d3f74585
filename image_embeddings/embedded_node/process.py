"""The process of the embedded node: its port, its command, and its end."""

import secrets
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from image_embeddings.embedded_node import failures
from image_embeddings.embedded_node.jars import VERSION
from image_embeddings.embedded_node.java import VECTOR_MODULE, JavaRuntime
from image_embeddings.embedded_node.running import LOOPBACK, MODULE, ends_within
from image_embeddings.errors import NodePortError, NodeStartError

_ROOT = Path(__file__).resolve().parents[2]
# Below the ports that systems use for outgoing connections (from 32768), so that none of those gets the port first.
_PORTS = range(20_000, 32_000)
_PORT_TRIES = 100
# A method is compiled a second time, to be fast, after four times as many calls as by default. On two cores, a start
# then takes 4.5 s of CPU time and not 6.1, and a first indexing run a fifth less of Elasticsearch's. The first 300
# searches are no slower; with ten times as many calls they are.
_LATER_COMPILATION = (
    "-XX:Tier4InvocationThreshold=20000",
    "-XX:Tier4MinInvocationThreshold=2400",
    "-XX:Tier4CompileThreshold=60000",
)
# $0 is the log, $@ the command. The locale is set because in the locale C, Java cannot open a folder with an umlaut in
# its name.
_DETACHED = 'LC_ALL=C.UTF-8 exec "$@" >>"$0" 2>&1 & echo $!'


def start_process(home: Path, *, jars: Path, java: JavaRuntime, heap: str, http_port: int, log: Path) -> int:
    """Start the node's process and return its id. It has a session of its own and is not a child of this process.

    So nobody has to wait for its end. Its output is in `log`.
    """
    log.write_bytes(b"")
    command = [sys.executable, "-m", MODULE, "--home", str(home), "--jars", str(jars)]
    command += ["--library", str(java.library), "--http-port", str(http_port), "--version", VERSION]
    command += [f"--jvm-option={option}" for option in jvm_options(home, jars=jars, java=java, heap=heap)]
    launched = subprocess.run(
        ["/bin/sh", "-c", _DETACHED, str(log), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        cwd=_ROOT,
        start_new_session=True,
    )
    return int(launched.stdout)


def jvm_options(home: Path, *, jars: Path, java: JavaRuntime, heap: str) -> list[str]:
    """Return the options of the Java machine that runs the node."""
    options = [
        f"-Xmx{heap}",
        f"-Xms{min(failures.heap_bytes(heap), 128 * 2**20)}",
        # Seen on two cores: 275 MB resident after a start. With the default collector (and its usual -Xms512m) it was
        # 415 MB, in the same time.
        "-XX:+UseSerialGC",
        *_LATER_COMPILATION,
        "-XX:+ExitOnOutOfMemoryError",
        f"-XX:ErrorFile={home / 'logs' / 'java-crash.log'}",
        "--enable-native-access=ALL-UNNAMED",
        "-Dlog4j2.disable.jmx=true",
        "-Dlog4j.shutdownHookEnabled=false",
        f"-Des.path.home={jars}",
    ]
    return [*options, f"--add-modules={VECTOR_MODULE}"] if java.simd else options


def end_process(pid: int, home: Path, *, within: float, notify: Callable[[str], None]) -> None:
    """End the node's process. Kill it if it has not ended within that many seconds.

    Raise NodeStartError if another user has started it.
    """
    try:
        process = psutil.Process(pid)
        process.terminate()
        if not ends_within(process, within=within):
            notify(f"The embedded node did not end within {within:.0f} s, so it is killed.")
            process.kill()
            ends_within(process, within=within)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as error:
        raise NodeStartError(
            f"The embedded node of {home} (process {pid}) was started by another user, who has to stop it. "
            f"{failures.WAY_OUT}"
        ) from error


def free_port() -> int:
    """Return a port on the loopback interface that is free now. Raise NodePortError if none is."""
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
