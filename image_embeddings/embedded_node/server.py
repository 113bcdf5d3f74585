"""The embedded node's own process: a Java virtual machine in Python that runs Elasticsearch until SIGTERM.

`node.EmbeddedNode` starts it. It writes its state file before it imports anything heavy.
"""

import argparse
import gc
import os
import secrets
import signal
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from image_embeddings.embedded_node.plugin import classpath
from image_embeddings.embedded_node.state import LOCK_NAME, STATE_NAME, write_json, write_token

_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def main() -> None:
    """Run the node of `--home` until SIGTERM. The output is the log of this start."""
    sys.excepthook = _end_at_once
    arguments = _arguments()
    # The signals are blocked here, so that every thread of the virtual machine inherits the mask. Then only sigwait
    # gets them, whenever they are sent.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        # Some seconds, because a killed process holds its lock until the system has cleaned up after it.
        lock = FileLock(arguments.home / LOCK_NAME).acquire(timeout=5)
    except Timeout:
        sys.exit("Another process runs the node of this folder.")
    with lock:
        token = secrets.token_urlsafe(32)
        write_token(arguments.home, token)
        state = {
            "pid": os.getpid(),
            "started_at": time.time(),
            "http_port": arguments.http_port,
            "version": arguments.version,
            "has_started": False,
        }
        write_json(arguments.home / STATE_NAME, state)
        os.chdir(arguments.home)
        node = _start(arguments, token)
        write_json(arguments.home / STATE_NAME, {**state, "has_started": True})
        signal.sigwait(_STOP_SIGNALS)
        node.close()
        _end(0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m image_embeddings.embedded_node.server")
    for name in ("--home", "--jars", "--library"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--jvm-option", action="append", default=[])
    return parser.parse_args()


def _start(arguments: argparse.Namespace, token: str) -> Any:
    """Start an org.elasticsearch.node.Node and return it. Elasticsearch's own main class takes the same steps."""
    import jpype

    jars = [str(jar) for jar in classpath(arguments.jars)]
    # -Xrs: the virtual machine leaves the signals to us.
    jpype.startJVM(str(arguments.library), "-Xrs", *arguments.jvm_option, classpath=jars, convertStrings=False)
    # JPype looks for garbage of Python each time Java has looked for its own. What has been loaded is none.
    gc.freeze()
    config = jpype.JClass("java.nio.file.Paths").get(str(arguments.home / "config"))
    builder = jpype.JClass("org.elasticsearch.common.settings.Settings").builder()
    builder = builder.loadFromPath(config.resolve("elasticsearch.yml")).put("path.home", str(arguments.jars))
    builder = builder.put("http.port", str(arguments.http_port)).put("image_search.token", token)
    environment = jpype.JClass("org.elasticsearch.env.Environment")(builder.build(), config)
    logging = jpype.JClass("org.elasticsearch.common.logging.LogConfigurator")
    logging.registerErrorListener()
    logging.configure(environment, True)
    loader = jpype.JClass("org.elasticsearch.plugins.PluginsLoader")
    modules = loader.loadModulesBundles(config.resolveSibling("modules"), True)
    plugins = loader.loadPluginsBundles(environment.pluginsDir(), False)
    loaded = loader.createPluginsLoader(modules, plugins, jpype.JClass("java.util.Map").of(), False)
    node = jpype.JClass("org.elasticsearch.node.Node")(environment, loaded)
    node.start()
    return node


def _end_at_once(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End a failed start at once. An ordinary exit would wait for the threads of the incomplete node."""
    traceback.print_exception(kind, error, trace)
    _end(1)


def _end(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
